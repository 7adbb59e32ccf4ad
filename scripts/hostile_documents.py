#!/usr/bin/env python3
"""Reads many mutants of each type of document and writes what became of them into docs/decisions/0015-reading-documents.md.

    scripts/hostile_documents.py [MUTANTS]      of each type, 2000 where nothing is said; some minutes

The mutants are those of `crates/extract/tests/extract/fuzz`, which `make test` reads 200 of. Each type has a process of its
own, whose children are the readers: what the kernel counted for the largest of them is the memory that is written down.
"""
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import date

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/decisions/0015-reading-documents.md"
BEGIN, END = "<!-- generated: mutants -->", "<!-- end generated -->"
OFFICE_AND_MARKUP = ["csv", "doc", "docx", "html", "json", "pdf", "pptx", "xlsx"]


def output(*command):
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def test_program():
    """Builds the tests; the path of the program."""
    build = ["cargo", "test", "--locked", "--quiet", "--package", "loomgate-extract", "--test", "extract", "--no-run"]
    messages = map(json.loads, output(*build, "--message-format=json").splitlines())
    return next(message["executable"] for message in messages if message.get("executable") and message["target"]["name"] == "extract")


def figures(program, kind, mutants):
    """What became of a type's mutants; what its processes took is added."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "figures")
        more = {"LOOMGATE_FUZZ_FIGURES": str(file), "LOOMGATE_FUZZ_MUTANTS": str(mutants)}
        log = pathlib.Path(folder, "log")
        with log.open("w") as to:
            test = subprocess.Popen(
                [program, "--exact", f"fuzz::{kind}", "--nocapture"], cwd=ROOT, env=os.environ | more, stdout=to, stderr=to
            )
            _, status, took = os.wait4(test.pid, 0)
            test.returncode = os.waitstatus_to_exitcode(status)
        if not file.exists():
            sys.exit(f"{kind} has no figures:\n{log.read_text()}")
        if test.returncode:
            print(log.read_text(), file=sys.stderr)
        found = json.loads(file.read_text())
    print(kind, found, f"{took.ru_maxrss >> 10} MB", flush=True)
    return found | {"memory_mb": took.ru_maxrss >> 10}


def row(name, rows):
    read = sum(row["read"] for row in rows)
    refused = sum(sum(row["refused"].values()) for row in rows)
    beyond = sum(row["beyond_limits"] for row in rows)
    longest = max(row["longest_ms"] for row in rows) / 1000
    memory = max(row["memory_mb"] for row in rows)
    return f"| {name} | {read + refused + beyond:,} | {read:,} | {refused:,} | {beyond} | {longest:.2f} s | {memory} MB |"


def processor():
    models = [line for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return models[0].split(": ", 1)[1] if models else "an unknown processor"


def tables(all_rows, mutants):
    texts = [kind for kind in all_rows if kind not in OFFICE_AND_MARKUP]
    reasons = {}
    for found in all_rows.values():
        for reason, count in found["refused"].items():
            reasons[reason] = reasons.get(reason, 0) + count
    lines = [
        f"Written by `scripts/hostile_documents.py {mutants}` on {date.today()}: {os.cpu_count()} cores of {processor()};",
        f"{platform.system()} {platform.release()}; {output('rustc', '--version').strip()}; commit {output('git', 'rev-parse', '--short', 'HEAD').strip()};",
        "an unoptimised build, as tests are. Its readers have 256 MB, 10 s of processor time and a tenth of the default limits of pages, text and the like (of operators a fiftieth).",
        "",
        "| type | mutants | read | refused | ended by the kernel, or with no clear error | longest, its process's start included | memory of the largest process, at most |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(row(f"`.{kind}`", [all_rows[kind]]) for kind in OFFICE_AND_MARKUP),
        row(f"text and code, {len(texts)} types: {', '.join(f'`.{kind}`' for kind in texts)}", [all_rows[kind] for kind in texts]),
        row("all", all_rows.values()),
        "",
        "| refused as | mutants |",
        "| --- | ---: |",
        *(f"| {reason} | {count:,} |" for reason, count in sorted(reasons.items(), key=lambda item: -item[1])),
    ]
    return "\n".join(lines)


def main():
    mutants = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    program = test_program()
    listed = output(program, "--list", "fuzz::").splitlines()
    kinds = [line.removeprefix("fuzz::").removesuffix(": test") for line in listed if line.startswith("fuzz::")]
    kinds.remove("every_type_is_tried")
    with ThreadPoolExecutor(os.cpu_count()) as at_once:
        found = at_once.map(lambda kind: figures(program, kind, mutants), kinds)
        all_rows = dict(zip(kinds, found))
    before, rest = PAGE.read_text().split(BEGIN)
    after = rest.split(END, 1)[1]
    PAGE.write_text(f"{before}{BEGIN}\n{tables(all_rows, mutants)}\n{END}{after}")
    if any(found["beyond_limits"] for found in all_rows.values()):
        sys.exit("some mutants broke their limits: see above")


main()
