"""Runs a command beside a server that speaks S3, with the address of a bucket in LOOMGATE_TEST_S3: run.py COMMAND..."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import urllib.request

from moto.server import ThreadedMotoServer

BUCKET = "loomgate-test"


def main() -> int:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}/{BUCKET}"
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(urllib.request.Request(url, method="PUT")).close()
        return subprocess.run(sys.argv[1:], env=os.environ | {"LOOMGATE_TEST_S3": url}, check=False).returncode
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
