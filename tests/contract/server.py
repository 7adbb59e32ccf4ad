"""Starts and stops one Loomgate process for the suite, on a free loopback port and a data directory of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

import backends  # noqa: E402

LISTENING = re.compile(r"^loomgate listening on (http://127\.0\.0\.1:\d+)$")
READY_TIMEOUT_S = 30

KEYS = {
    "scripted": "lg-contract-scripted-0000000000000001",
    "replay": "lg-contract-replay-000000000000000002",
    "fuzz": "lg-contract-fuzz-00000000000000000003",
    "other": "lg-contract-other-0000000000000000004",
}


def binary() -> Path:
    return Path(os.environ.get("LOOMGATE_BIN") or ROOT / "target" / "debug" / "loomgate")


def config(upstream_url: str, run_expiry_s: int) -> str:
    """The configuration: one API key per workspace, models from the scripted upstream (the fuzz key: `echo`)."""
    keys = "".join(
        f'[[api_keys]]\nname = "{name}"\nkey = "{key}"\nworkspace = "{name}"\n'
        f'default_virtual_key = "{"echo" if name == "fuzz" else "scripted"}"\n\n'
        for name, key in KEYS.items()
    )
    return (
        f"{keys}"
        f'[virtual_keys.scripted]\nprovider = "openai"\nbase_url = "{upstream_url}"\napi_key = "sk-scripted"\n\n'
        f'[virtual_keys.echo]\nprovider = "echo"\n\n'
        f"[limits]\nrun_expiry_s = {run_expiry_s}\n"
    )


class Server:
    """A running binary. `url` is its address; `log` what it wrote to stderr so far."""

    def __init__(self, folder: Path, upstream_url: str, run_expiry_s: int = 600) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log_path = folder / "stderr.log"
        config_path = folder / "loomgate.toml"
        config_path.write_text(config(upstream_url, run_expiry_s))
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("LOOMGATE_") and name.lower() not in ("http_proxy", "https_proxy", "all_proxy")
        }
        environment |= backends.environment()
        command = [
            str(binary()), "serve", "--config", str(config_path),
            "--listen", "127.0.0.1:0", "--data-dir", str(folder / "data"),
        ]  # fmt: skip
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, cwd=folder, env=environment
            )
        watchdog = threading.Timer(READY_TIMEOUT_S, self.process.kill)
        watchdog.start()
        try:
            first_line = self.process.stdout.readline().decode().rstrip("\n")
        finally:
            watchdog.cancel()
        listening = LISTENING.match(first_line)
        if not listening:
            self.stop()
            raise RuntimeError(f"{command[0]} did not start: first line {first_line!r}\n{self.log}")
        self.url = listening.group(1)
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def stop(self) -> int:
        """Asks the process to end, as an operator would; kills it when it does not within ten seconds."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode
