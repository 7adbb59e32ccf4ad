"""Starts the LiteLLM proxy as its documentation does for production, one worker, on a free port of the loopback
interface, and prints its address as the first line. The provider's address is the only argument."""
import os
import socket
import sys

os.environ.update(
    CONFIG_FILE_PATH=os.path.join(os.path.dirname(os.path.abspath(__file__)), "config.yaml"),
    LITELLM_MODE="PRODUCTION",
    LITELLM_LOG="ERROR",
    # Its prices are in the package: nothing is fetched.
    LITELLM_LOCAL_MODEL_COST_MAP="True",
    # It does not start without one. The calls of the benchmark have it.
    LITELLM_MASTER_KEY="sk-rewritten-0000000000000000000000000000",
    UPSTREAM=f"http://{sys.argv[1]}/v1",
)
# Nobody reads its banner, and it would come before the address.
address = os.dup(1)
os.dup2(2, 1)

import uvicorn  # noqa: E402


class Server(uvicorn.Server):
    async def startup(self, sockets=None):
        await super().startup(sockets)
        os.write(address, b"http://127.0.0.1:%d\n" % sockets[0].getsockname()[1])


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
config = uvicorn.Config("litellm.proxy.proxy_server:app", log_level="warning", access_log=False)
Server(config).run(sockets=[listener])
