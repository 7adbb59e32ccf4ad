"""Every call of docs/gateway.md, made with curl against a real server, answers as the page says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

import pytest
from page import ABSENT, Call, codes, differences, lines, read, tables

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/sdk/python"))

from providers import NAMES, stand_in  # noqa: E402
from server import Server  # noqa: E402

PAGE = read(ROOT / "docs/gateway.md")
# The addresses that the page shows.
SERVER = "127.0.0.1:8787"
PROVIDERS = ("127.0.0.1:9001", "127.0.0.1:9002")
PATIENCE_S = 10
CALLS = 110
OPERATORS = "$eq $ne $gt $gte $lt $lte $in $nin $regex $and $or".split()
CHECKS = ROOT / "crates/gateway/src/guardrail/check.rs"

# `curl` as the page calls it: its answer is written down beside, too. What a block sets, the next ones have.
CURL = """
ANSWER=$1 STATE=$2
set -e
curl() (
    here=$(mktemp -d "$ANSWER/XXXXXX")
    echo "$here" >"$ANSWER/last"
    set -o pipefail
    command curl --silent --show-error --no-buffer --max-time 20 --dump-header "$here/head" "$@" | tee "$here/body"
)
if [[ -e $STATE ]]; then . "$STATE"; fi
set -a
"""
KEEP = """
set +a
export -p >"$STATE"
"""


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Any  # parsed JSON, or lines of text that are not empty


@dataclass
class Reader:
    """Somebody who follows the page: types its calls, one after the other, in the same shell."""

    folder: Path
    # The page's addresses and those of this run.
    addresses: list[tuple[str, str]]

    def here(self, text: str) -> str:
        for shown, real in self.addresses:
            text = text.replace(shown, real)
        return text

    def there(self, text: str) -> str:
        for shown, real in self.addresses:
            text = text.replace(real, shown)
        return text

    def run(self, script: str) -> Answer:
        answers = self.folder / "answers"
        answers.mkdir(exist_ok=True)
        (answers / "last").unlink(missing_ok=True)
        script = CURL + self.here(PAGE.prelude + script) + KEEP
        command = ["bash", "-c", script, "bash", str(answers), str(self.folder / "state")]
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr or done.stdout}"
        last = Path((answers / "last").read_text().strip())
        *_, head = (last / "head").read_bytes().decode().strip().split("\r\n\r\n")
        status, *fields = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        body = self.there((last / "body").read_text())
        is_json = headers.get("content-type", "").startswith("application/json") and body
        return Answer(int(status.split()[1]), headers, json.loads(body) if is_json else lines(body))

    def find(self, script: str, wrong: Any) -> Any:
        """What is `wrong` with an answer. Records are written behind an answer's back: what is only read is asked for
        until it is there."""
        reads = re.search(r"/(logs|analytics)\b", script) and not re.search(r" -[dX] ", script)
        deadline = time.monotonic() + (PATIENCE_S if reads else 0)
        while (problems := wrong(self.run(script))) and time.monotonic() < deadline:
            time.sleep(0.05)
        return problems

    def chat(self, config: Any, *more: str, path: str = "/chat/completions", **fields: Any) -> Answer:
        body = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Hello"}], **fields}
        words = ["-H", f"x-portkey-config: {json.dumps(config)}", *more, "-d", json.dumps(body)]
        return self.run(f'curl $URL{path} -H "$KEY" -H "$JSON" {shlex.join(words)}')


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    providers = [stand_in(name) for name in NAMES]
    real = [provider.url.removeprefix("http://").removesuffix("/v1") for provider in providers]
    reader = Reader(tmp_path_factory.mktemp("reader"), list(zip(PROVIDERS, real)))
    server = Server(tmp_path_factory.mktemp("page"), reader.here(PAGE.config))
    reader.addresses.append((SERVER, server.origin.removeprefix("http://")))
    yield reader
    assert server.stop() == 0, server.log()
    for provider in providers:
        provider.stop()


def wrong(call: Call, answer: Answer) -> list[str]:
    problems = [] if answer.status == call.expected.status else [f"status {answer.status}: {answer.body}"]
    for name, value in call.expected.headers.items():
        problems += differences(value, answer.headers.get(name, ABSENT), name)
    if call.expected.body is not None:
        problems += differences(call.expected.body, answer.body)
    return problems


# First, and one test: the page tells a story, and a later call may need an earlier one.
def test_every_call_of_the_page(reader: Reader) -> None:
    problems = []
    for call in PAGE.calls:
        found = reader.find(call.script, lambda answer: wrong(call, answer))
        problems += [f"docs/gateway.md:{call.line}: {problem}" for problem in found]
    assert not problems, "\n".join(problems)
    assert len(PAGE.calls) >= CALLS


def test_every_operator_of_conditions(reader: Reader) -> None:
    rows = PAGE.tables["operator"]
    assert [row[0] for row in rows] == [f"`{operator}`" for operator in OPERATORS]
    for operator, queries, holds, not_with in rows:
        for query in map(json.loads, codes(queries)):
            # An operator, or its short form.
            assert codes(operator)[0] in json.dumps(query) or operator == "`$eq`"
            targets = [{"name": "no", "virtual_key": "main"}, {"name": "yes", "virtual_key": "spare"}]
            strategy = {"mode": "conditional", "conditions": [{"query": query, "then": "yes"}], "default": "no"}
            for cell, index in [(holds, 1), (not_with, 0)]:
                assert codes(cell)
                for metadata in codes(cell):
                    answer = reader.chat(
                        {"strategy": strategy, "targets": targets}, "-H", f"x-portkey-metadata: {metadata}"
                    )
                    way = (answer.status, answer.headers["x-portkey-last-used-option-index"])
                    assert way == (200, f"config.targets[{index}]"), (query, metadata)


def test_every_check_of_guardrails(reader: Reader) -> None:
    rows = PAGE.tables["check"]
    known = re.findall(r'^        (?:"\w+" \| )?"(\w+)" =>', CHECKS.read_text(), re.MULTILINE)
    assert len(known) >= 16 and sorted(codes(row[0])[0] for row in rows) == sorted(known)
    for name, parameters, passes, fails in rows:
        (name,) = codes(name)
        assert codes(parameters) and codes(passes) and codes(fails), name
        for of_the_check in codes(parameters):
            guardrail = {f"default.{name}": json.loads(of_the_check), "deny": True}
            for cell, status in [(passes, 200), (fails, 446)]:
                for subject in codes(cell):
                    answer = guarded(reader, guardrail, subject)
                    assert answer.status == status, (name, subject, answer.body)
                    if status == 446:
                        (hook,) = answer.body["hook_results"]["before_request_hooks"]
                        (check,) = hook["checks"]
                        assert check["id"] == f"default.{name}" and not check["verdict"]
                        assert "error" not in check, check


def guarded(reader: Reader, guardrail: dict[str, Any], subject: str) -> Answer:
    """A call behind a guardrail. A subject is a model, a header, a path, or else what the user says."""
    config = {"virtual_key": "main", "input_guardrails": [guardrail]}
    if subject.startswith("x-portkey-"):
        return reader.chat(config, "-H", subject)
    if subject.startswith("/"):
        return reader.chat(config, path=subject, input="Hello")
    if model := re.fullmatch('"model": "(.+)"', subject):
        return reader.chat(config, model=model[1])
    return reader.chat(config, messages=[{"role": "user", "content": subject}])


# After the calls of the page: there is something to see in each.
@pytest.mark.parametrize("kind", ["graph", "table"])
def test_every_graph_and_table(reader: Reader, kind: str) -> None:
    folder = "graphs" if kind == "graph" else "groups"
    unknown = reader.run(f'curl "$URL/analytics/{folder}/nothing?$TIMES" -H "$KEY"')
    known = unknown.body["error"]["message"].partition("Known: ")[2].strip(".").split(", ")
    rows = PAGE.tables[kind]
    assert sorted(name for row in rows for name in codes(row[0])) == sorted(known)
    for names, shown in rows:
        for name in codes(names):
            # `{key}` is any key of metadata.
            path = name.replace("{key}", "plan")
            script = f'curl "$URL/analytics/{folder}/{path}?$TIMES" -H "$KEY"'
            judge = wrong_graph if kind == "graph" else wrong_table
            assert not reader.find(script, lambda answer: judge(answer, shown)), name


def wrong_graph(answer: Answer, figures: str) -> Any:
    names = {name for name in codes(figures) if name != "_user"}
    whole = answer.body["summary"]
    points = [point for point in answer.body["data_points"] if point["total"]]
    is_right = {*whole} == names and whole["total"] > 0 and points and {*points[0]} == names | {"timestamp"}
    return None if is_right else answer.body


def wrong_table(answer: Answer, _: str) -> Any:
    rows = answer.body["data"]
    is_right = rows and all(row["requests"] > 0 for row in rows) and any(row["key"] for row in rows)
    return None if is_right else answer.body


def test_a_page_that_is_wrong_is_noticed() -> None:
    found = {"a": 1, "b": [{"c": "text"}, 2], "d": None}
    assert differences({"a": 1, "b": [{"c": "te..."}], "d": None}, found) == []
    for shown in ({"a": 2}, {"x": 1}, {"x": "..."}, {"b": [{"c": "other"}]}, {"b": [{}, 2, 3]}, {"d": "..."[:2]}, [1]):
        assert differences(shown, found), shown


def test_a_table_is_read_as_it_stands() -> None:
    text = "Words\n| name | codes |\n| --- | --- |\n| one | `{}`, or `` `a` `` |\n| two | none |\n\n| other |\n| --- |\n"
    found = tables(text)
    assert found == {"name": [["one", "`{}`, or `` `a` ``"], ["two", "none"]], "other": []}
    assert codes(found["name"][0][1]) == ["{}", "`a`"]
    assert codes("`` ```sql SELECT 1``` ``") == ["```sql SELECT 1```"]
