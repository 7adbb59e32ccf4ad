"""Where the servers of the suites keep what they are told: said to each in its environment.

Records are in SQLite and files in the data folder, unless the suite runs on PostgreSQL
(LOOMGATE_TEST_DATABASE=postgres, scripts/test-postgres.sh) or with a bucket (LOOMGATE_TEST_S3,
scripts/test-s3.sh). Each server has a database and a prefix in the bucket of its own.
"""

from __future__ import annotations

import os
import subprocess
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def environment() -> dict[str, str]:
    return database() | files()


def database() -> dict[str, str]:
    if os.environ.get("LOOMGATE_TEST_DATABASE") != "postgres":
        return {}
    made = subprocess.run([ROOT / "scripts/test-postgres.sh", "database"], stdout=subprocess.PIPE, check=True)
    return {"LOOMGATE_DATABASE": made.stdout.decode().strip()}


def files() -> dict[str, str]:
    url = os.environ.get("LOOMGATE_TEST_S3")
    if not url:
        return {}
    endpoint, _, bucket = url.rpartition("/")
    return {
        "LOOMGATE_FILES": f"s3://{bucket}/{uuid.uuid4().hex}",
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
