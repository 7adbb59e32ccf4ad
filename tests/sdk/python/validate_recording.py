"""Validates a file of recorded exchanges (see recording.py): the Node suite's answers pass through here.

    python validate_recording.py FILE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from recording import Exchange
from validation import check


def main(path: Path) -> int:
    lines = path.read_text(encoding="utf-8").splitlines()
    problems = [problem for line in lines for problem in check(Exchange(**json.loads(line)))]
    print(*problems, sep="\n", end="\n" if problems else "")
    print(f"{len(lines)} recorded exchanges, {len(problems)} findings")
    return 1 if problems or not lines else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
