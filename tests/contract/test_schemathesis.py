"""Generated requests against the running server: no 5xx, and nothing that its own API document does not describe.

Bounded and repeatable: the deterministic mode, few examples per operation, no example database,
streams cut after some events.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from client import Client
from scenarios import messages, settled, start, steps
from server import KEYS, Server

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
RUN_TIMEOUT_S = 900  # only so that nothing hangs for ever: other suites run at the same time
EXAMPLES = 12


@pytest.fixture(scope="module")
def ids(server: Server) -> Iterator[dict[str, str]]:
    """Things that exist, so that generated bodies get past the ids; in a workspace of the fuzzer's own."""
    api = Client(server.url, KEYS["fuzz"])
    run = settled(api, start(api, assistant_tools=[]))
    yield {
        "assistant_id": run["assistant_id"],
        "thread_id": run["thread_id"],
        "run_id": run["id"],
        "message_id": messages(api, run["thread_id"])[0]["id"],
        "step_id": steps(api, run)[0]["id"],
    }
    api.close()


def schemathesis(server: Server, folder: Path, key: str, *options: str, config: str = "") -> None:
    """One run of the tool; its report is the message of a failure."""
    (folder / "schemathesis.toml").write_text("max-stream-events = 50\n" + config)
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(folder / "schemathesis.toml"), "--no-color",
        "run", f"{server.url}/openapi.json", "--checks", CHECKS, "--phases", "examples,coverage,fuzzing",
        "--include-path-regex", "^/v1/", "--max-examples", str(EXAMPLES), "--no-shrink",
        "--generation-deterministic", "--request-timeout", "15", "--workers", "1",
        "--suppress-health-check", "all", "--continue-on-failure", "--warnings", "off",
        "-H", f"Authorization: Bearer {key}", *options,
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-3000:]
    assert "No test cases were generated" not in done.stdout, done.stdout


def test_any_request(server: Server, tmp_path: Path) -> None:
    schemathesis(server, tmp_path, KEYS["fuzz"])


def test_requests_for_things_that_exist(server: Server, ids: dict[str, str], tmp_path: Path) -> None:
    config = "[parameters]\n" + "".join(f'"path.{name}" = {json.dumps(value)}\n' for name, value in ids.items())
    config += '"body.assistant_id" = { dictionary = "assistants" }\n'
    config += f"[dictionaries.assistants]\nvalues = [{json.dumps(ids['assistant_id'])}]\n"
    schemathesis(server, tmp_path, KEYS["fuzz"], "--exclude-method", "DELETE", config=config)


def test_requests_with_a_wrong_key(server: Server, tmp_path: Path) -> None:
    schemathesis(server, tmp_path, "lg-wrong", "--phases", "coverage")
