"""The gateway under test: its configuration, its keys, and the two SDKs as callers of it."""

from __future__ import annotations

import time
from typing import Any, Callable, TypeVar

import httpx
import openai
from upstream import Request

APP_KEY = "lg-sdk-gateway-app-key-0000000001"
ADMIN_KEY = "lg-sdk-gateway-admin-key-00000002"
PINNED_KEY = "lg-sdk-gateway-pinned-key-0000003"
READER_KEY = "lg-sdk-gateway-reader-key-0000004"
OTHER_KEY = "lg-sdk-gateway-other-key-00000005"

FIRST_SECRET = "sk-made-up-secret-of-the-first-account"
SECOND_SECRET = "sk-made-up-secret-of-the-second-account"

PATIENCE_S = 10

Found = TypeVar("Found")


def config(first: str, second: str) -> str:
    """Two accounts at two scripted upstreams; keys of two workspaces, one of them under a config of its own."""
    return f"""
[[api_keys]]
name = "app"
key = "{APP_KEY}"
workspace = "team"
default_virtual_key = "main"
metadata = {{ team = "search" }}

[[api_keys]]
name = "admin"
key = "{ADMIN_KEY}"
workspace = "team"
default_virtual_key = "main"
scopes = ["admin"]

[[api_keys]]
name = "pinned"
key = "{PINNED_KEY}"
workspace = "team"
default_config = "pinned"
allow_config_override = false

[[api_keys]]
name = "reader"
key = "{READER_KEY}"
workspace = "team"
default_virtual_key = "main"
scopes = ["logs.list", "logs.view"]

[[api_keys]]
name = "other"
key = "{OTHER_KEY}"
workspace = "others"
default_virtual_key = "main"

[virtual_keys.main]
provider = "openai"
base_url = "{first}"
api_key = "{FIRST_SECRET}"
model_aliases = {{ "gpt-4-1106-preview" = "gpt-4o" }}

[virtual_keys.second]
provider = "openai"
base_url = "{second}"
api_key = "{SECOND_SECRET}"

[virtual_keys.hosted]
provider = "openai"
base_url = "{first}"
api_key = "{FIRST_SECRET}"
assistants = "upstream"

[virtual_keys.echo]
provider = "echo"

[configs.pinned]
json = '{{"virtual_key":"second"}}'

[configs.spare]
json = '{{"strategy":{{"mode":"fallback"}},"targets":[{{"virtual_key":"main"}},{{"virtual_key":"second"}}]}}'

[gateway]
retries = 0

[egress]
allow = ["127.0.0.1"]
"""


class Callers:
    """Makes clients of both SDKs. The Portkey ones repeat nothing on their own, so that attempts can be counted."""

    def __init__(self, base_url: str, http: Any) -> None:
        self.base_url = base_url
        self._http = http

    def portkey(self, api_key: str | None = APP_KEY, **options: Any) -> Any:
        from portkey_ai import Portkey

        sdk = Portkey(api_key=api_key, base_url=self.base_url, http_client=self._http, **options)
        sdk.openai_client.max_retries = 0
        return sdk

    def openai(self, api_key: str = APP_KEY, **headers: Any) -> openai.OpenAI:
        """The OpenAI SDK with Portkey's headers, made by Portkey's own function."""
        from portkey_ai import createHeaders

        extra = createHeaders(**headers)
        return openai.OpenAI(api_key=api_key, base_url=self.base_url, default_headers=extra, max_retries=0)


def errors_of(sdk: Any) -> Any:
    """The module with the exception classes that a client raises."""
    if isinstance(sdk, openai.OpenAI):
        return openai
    from portkey_ai._vendor import openai as vendored

    return vendored


def ask(sdk: Any, text: str = "Hello", model: str = "gpt-4o", **fields: Any) -> Any:
    return sdk.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], **fields)


def said(completion: Any) -> str:
    return completion.choices[0].message.content


def told(answer: Any) -> dict[str, str]:
    """What the gateway says of an answer, as the Portkey SDK hands it out."""
    return answer.get_headers()


def raw_headers(error: Any) -> httpx.Headers:
    return error.response.headers


def credential_of(request: Request) -> str:
    """The credential that a provider was sent; nothing of the gateway's own came along."""
    own = {name for name, value in request.headers.items() if name.startswith("x-portkey-") or APP_KEY in value}
    assert own == set()
    return request.headers["authorization"].removeprefix("Bearer ")


def eventually(find: Callable[[], Found | None]) -> Found:
    """What is written behind the answer's back: it is there within moments."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = find()
        if found is not None or time.monotonic() > deadline:
            assert found is not None, "it never came"
            return found
        time.sleep(0.02)
