"""The real `loomgate` binary as a child process, on a free port, with a data folder of its own."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY / "tests"))

import backends  # noqa: E402

START_SECONDS = 30
STOP_SECONDS = 30

FIRST_KEY = "lg-sdk-suite-first-workspace-0001"
SECOND_KEY = "lg-sdk-suite-second-workspace-0002"
# What clients that name a virtual key name: one for each workspace.
VIRTUAL_KEYS = {FIRST_KEY: "named-first", SECOND_KEY: "named-second"}

CONFIG = f"""
[[api_keys]]
name = "first"
key = "{FIRST_KEY}"
workspace = "first"
default_virtual_key = "echo"

[[api_keys]]
name = "second"
key = "{SECOND_KEY}"
workspace = "second"
default_virtual_key = "echo"

[virtual_keys.echo]
provider = "echo"

[virtual_keys.named-first]
provider = "echo"

[virtual_keys.named-second]
provider = "echo"
"""


def relaying_config(upstream: str) -> str:
    """Keys and virtual keys of the same names; every assistants call goes on to the server at `upstream`."""
    keys = {"first": FIRST_KEY, "second": SECOND_KEY}
    lines = []
    for name, key in keys.items():
        account = f'provider = "openai"\nbase_url = "{upstream}"\napi_key = "{upstream_key(key)}"\nassistants = "upstream"'
        lines += [
            f'[[api_keys]]\nname = "{name}"\nkey = "{key}"\nworkspace = "{name}"\ndefault_virtual_key = "{name}"',
            f"[virtual_keys.{name}]\n{account}",
            f"[virtual_keys.{VIRTUAL_KEYS[key]}]\n{account}",
        ]
    return "\n\n".join(lines)


def upstream_key(key: str) -> str:
    """The key by which the server upstream knows the same workspace: another one, so that a leak is noticed."""
    return f"{key}-upstream"


def upstream_config() -> str:
    """What stands behind `relaying_config`: the usual server, with keys of its own."""
    return CONFIG.replace(FIRST_KEY, upstream_key(FIRST_KEY)).replace(SECOND_KEY, upstream_key(SECOND_KEY))


def binary() -> Path:
    """`LOOMGATE_BIN`, or the debug build of this repository."""
    return Path(os.environ.get("LOOMGATE_BIN", REPOSITORY / "target/debug/loomgate")).resolve()


class Server:
    """One running server. `base_url` ends in `/v1`, as the SDKs want it."""

    def __init__(self, folder: Path, config: str = CONFIG) -> None:
        (folder / "config.toml").write_text(config)
        self._log = folder / "stderr.log"
        # Nothing of the developer's shell (provider keys, LOOMGATE_ options) may reach the server.
        environment = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        environment |= backends.environment()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    str(binary()),
                    "serve",
                    *("--listen", "127.0.0.1:0"),
                    *("--data-dir", str(folder / "data")),
                    *("--config", str(folder / "config.toml")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
            )
        first_line = self._first_line()
        before, found, origin = first_line.partition("loomgate listening on ")
        if before or not found:
            raise AssertionError(f"unexpected first line {first_line!r}\n{self.log()}")
        self.origin = origin
        self.base_url = f"{origin}/v1"

    def _first_line(self) -> str:
        pipe = self._process.stdout
        assert pipe is not None
        line = b""
        deadline = time.monotonic() + START_SECONDS
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(pipe.fileno(), 1) if ready else b""
            if not chunk:
                self._process.kill()
                raise AssertionError(f"the server did not come up, stdout {line!r}\n{self.log()}")
            line += chunk
        return line.decode().rstrip("\n")

    def log(self) -> str:
        return self._log.read_text(errors="replace")[-4000:]

    def stop(self) -> int:
        """SIGTERM, then the exit code."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"still running {STOP_SECONDS} s after SIGTERM\n{self.log()}") from None
        finally:
            if self._process.stdout is not None:
                self._process.stdout.close()
