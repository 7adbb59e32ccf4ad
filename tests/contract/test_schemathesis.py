"""Generated requests against the running server: no 5xx, and nothing that its own API document does not describe.

Bounded and repeatable: the deterministic mode, few examples per operation, no example database,
streams cut after some events.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from client import Client
from scenarios import messages, settled, start, steps
from server import KEYS, Server
from test_files import add, begin, upload
from test_openapi import objects
from test_vector_stores import settled as indexed

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
RUN_TIMEOUT_S = 900  # only so that nothing hangs for ever: other suites run at the same time
EXAMPLES = 12
UPLOADS = 40
# Where generated requests name things that exist, path parameters apart.
PLACES = {
    "path.upload_id": "upload_id",
    "body.assistant_id": "assistant_id",
    "body.file_id": "file_id",
    "body.file_ids[*]": "file_id",
    "body.files[*].file_id": "file_id",
    "body.attachments[*].file_id": "file_id",
    "body.part_ids[*]": "part_id",
    "body.tool_resources.file_search.vector_store_ids[*]": "vector_store_id",
}
# What the run of these tests, which has ended, can only refuse.
REFUSED = {
    "POST /v1/threads/{thread_id}/runs/{run_id}/cancel",
    "POST /v1/threads/{thread_id}/runs/{run_id}/submit_tool_outputs",
}


@dataclass(frozen=True)
class Things:
    """What exists, so that generated requests get past the ids; in a workspace of the fuzzer's own."""

    # By the names of path parameters.
    ids: dict[str, str]
    # Pending ones: each can be cancelled once.
    uploads: list[str]
    # One that has its only part already.
    filled_upload: str
    part: str


@pytest.fixture(scope="module")
def things(server: Server) -> Iterator[Things]:
    api = Client(server.url, KEYS["fuzz"])
    run = settled(api, start(api, assistant_tools=[]))
    # Of a purpose whose files may be downloaded.
    file = upload(api, "food.md", b"The favourite food of the crew is pizza.", "vision").body["id"]
    store = api.ok("POST", "/vector_stores", {})["id"]
    batch = api.ok("POST", f"/vector_stores/{store}/file_batches", {"file_ids": [file]})["id"]
    indexed(api, f"/vector_stores/{store}/file_batches/{batch}")
    filled = begin(api, 3)
    yield Things(
        {
            "assistant_id": run["assistant_id"],
            "thread_id": run["thread_id"],
            "run_id": run["id"],
            "message_id": messages(api, run["thread_id"])[0]["id"],
            "step_id": steps(api, run)[0]["id"],
            "file_id": file,
            "vector_store_id": store,
            "batch_id": batch,
        },
        [begin(api, 1_000_000)["id"] for _ in range(UPLOADS)],
        filled["id"],
        add(api, filled, b"abc"),
    )
    api.close()


def document(server: Server, examples: dict[str, Any]) -> dict[str, Any]:
    """The server's document, with examples of fields, by their names."""
    served = httpx.get(f"{server.url}/openapi.json", trust_env=False).json()
    for _, shape in objects(served["components"]["schemas"], ""):
        for name in shape["properties"].keys() & examples.keys():
            shape["properties"][name]["examples"] = [examples[name]]
    return served


def schemathesis(
    server: Server, folder: Path, key: str, *options: str, config: str = "", examples: dict[str, Any] | None = None
) -> list[tuple[str, str, int]]:
    """One run of the tool: the method, path and status of each request. Its report is the message of a failure."""
    (folder / "schemathesis.toml").write_text("max-stream-events = 50\n" + config)
    (folder / "openapi.json").write_text(json.dumps(document(server, examples or {})))
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(folder / "schemathesis.toml"), "--no-color",
        "run", str(folder / "openapi.json"), "--url", server.url, "--checks", CHECKS,
        "--phases", "examples,coverage,fuzzing",
        "--include-path-regex", "^/v1/", "--max-examples", str(EXAMPLES), "--no-shrink",
        "--generation-deterministic", "--request-timeout", "15", "--workers", "1",
        "--suppress-health-check", "all", "--continue-on-failure", "--warnings", "off",
        # Otherwise nearly every request brings an empty key along, and the server refuses it.
        "--generation-with-security-parameters", "false",
        "--report", "har", "--report-har-path", str(folder / "requests.har"),
        "-H", f"Authorization: Bearer {key}", *options,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-3000:]
    assert "No test cases were generated" not in done.stdout, done.stdout
    entries = json.loads((folder / "requests.har").read_text())["log"]["entries"]
    sent = [(entry["request"], entry["response"]["status"]) for entry in entries]
    return [(request["method"], urlsplit(request["url"]).path, status) for request, status in sent]


def test_any_request(server: Server, tmp_path: Path) -> None:
    assert 401 not in {status for *_, status in schemathesis(server, tmp_path, KEYS["fuzz"])}


def test_requests_for_things_that_exist(server: Server, things: Things, tmp_path: Path) -> None:
    config = "[parameters]\n" + "".join(f'"path.{name}" = {json.dumps(value)}\n' for name, value in things.ids.items())
    config += "".join(f'"{place}" = {{ dictionary = "{name}" }}\n' for place, name in PLACES.items())
    dictionaries = {name: [value] for name, value in things.ids.items()}
    dictionaries |= {"upload_id": things.uploads, "part_id": [things.part]}
    config += "".join(f"[dictionaries.{name}]\nvalues = {json.dumps(values)}\n" for name, values in dictionaries.items())
    config += '[[operations]]\ninclude-path = "/v1/uploads/{upload_id}/complete"\n'
    config += f'parameters = {{ "path.upload_id" = "{things.filled_upload}" }}\n'
    ids = things.ids
    examples: dict[str, Any] = {name: ids[name] for name in ("assistant_id", "file_id")}
    examples |= {"file_ids": [ids["file_id"]], "vector_store_ids": [ids["vector_store_id"]], "part_ids": [things.part]}
    options = ("--exclude-method", "DELETE")
    sent = schemathesis(server, tmp_path, KEYS["fuzz"], *options, config=config, examples=examples)
    accepted = {f"{method} {path}" for method, path, status in sent if status == 200}
    assert [name for name in operations(server) if not any(map(re.compile(pattern(name)).fullmatch, accepted))] == []


def operations(server: Server) -> list[str]:
    """What can be accepted of what is sent."""
    paths = document(server, {})["paths"].items()
    names = {f"{method.upper()} {path}" for path, item in paths for method in item if path.startswith("/v1/")}
    return sorted(name for name in names - REFUSED if not name.startswith("DELETE"))


def pattern(name: str) -> str:
    return re.sub(r"{[^}]*}", "[^/]+", name)


def test_requests_with_a_wrong_key(server: Server, tmp_path: Path) -> None:
    sent = schemathesis(server, tmp_path, "lg-wrong", "--phases", "coverage")
    assert min(status for *_, status in sent) >= 400
