"""The Python clients under test, and the few places where their methods differ.

`openai` calls with `Authorization: Bearer KEY`; `portkey` calls as the page for Modify Run of the
Portkey documentation does: gateway key, virtual key, base URL. Both share `client.beta.*`; what
follows covers only what they do not share. `way` is another virtual key, or a config.
"""

from __future__ import annotations

import importlib
from typing import Any, Iterator

import openai
from gateway import APP_KEY
from recording import Recorder, recording_transport
from server import VIRTUAL_KEYS


class Client:
    name: str
    sdk: Any
    errors: Any  # the module that holds the exception classes
    EventHandler: Any

    @property
    def beta(self) -> Any:
        return self.sdk.beta

    @property
    def files(self) -> Any:
        return self.sdk.files

    @property
    def uploads(self) -> Any:
        return self.sdk.uploads

    @property
    def vector_stores(self) -> Any:
        return self.sdk.vector_stores

    @property
    def models(self) -> Any:
        return self.sdk.models

    def modify_run(self, thread_id: str, run_id: str, **body: Any) -> Any:
        """`metadata` goes in as the named argument, anything else the way the SDK lets extra fields through."""
        raise NotImplementedError

    def every(self, method: Any, **arguments: Any) -> Iterator[Any]:
        """All items of a list, page after page."""
        raise NotImplementedError

    def close(self) -> None:
        self._http.close()


class OpenAIClient(Client):
    name = "openai"
    errors = openai
    EventHandler = openai.AssistantEventHandler

    def __init__(self, base_url: str, key: str, recorder: Recorder, **way: Any) -> None:
        http = importlib.import_module("httpx2" if int(openai.__version__.partition(".")[0]) >= 3 else "httpx")
        self._http = http.Client(transport=recording_transport(http, recorder), timeout=30)
        headers = importlib.import_module("portkey_ai").createHeaders(**way) if way else None
        self.sdk = openai.OpenAI(
            api_key=key, base_url=base_url, http_client=self._http, max_retries=0, default_headers=headers
        )

    def modify_run(self, thread_id: str, run_id: str, **body: Any) -> Any:
        named = {"metadata": body.pop("metadata")} if "metadata" in body else {}
        return self.beta.threads.runs.update(run_id, thread_id=thread_id, **named, extra_body=body)

    def every(self, method: Any, **arguments: Any) -> Iterator[Any]:
        yield from method(**arguments)


class PortkeyClient(Client):
    name = "portkey"

    def __init__(self, base_url: str, key: str, recorder: Recorder, **way: Any) -> None:
        import httpx
        from portkey_ai import Portkey
        from portkey_ai._vendor import openai as vendored

        self.errors = vendored
        self.EventHandler = vendored.AssistantEventHandler
        self._http = httpx.Client(transport=recording_transport(httpx, recorder), timeout=30)
        way = way or {"virtual_key": (VIRTUAL_KEYS | {APP_KEY: "main"}).get(key, "echo")}
        self.sdk = Portkey(api_key=key, base_url=base_url, http_client=self._http, **way)

    def modify_run(self, thread_id: str, run_id: str, **body: Any) -> Any:
        return self.beta.threads.runs.update(thread_id=thread_id, run_id=run_id, **body)

    def every(self, method: Any, **arguments: Any) -> Iterator[Any]:
        """This SDK hands out bare pages: follow the cursor as its documentation does."""
        while True:
            page = method(**arguments)
            yield from page.data
            if not page.has_more:
                return
            arguments["after"] = page.data[-1].id


CLIENTS = {"openai": OpenAIClient, "portkey": PortkeyClient}
