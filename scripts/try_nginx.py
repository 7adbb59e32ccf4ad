"""Tries the nginx configuration of docs/operations.md: two processes of Loomgate on one PostgreSQL behind it, the OpenAI SDK
before it. Words of a stream have to come one at a time, and a rolling restart must not let a request fail.

Environment: LOOMGATE_BIN, the program; LOOMGATE_DATABASE, an empty database. Needs nginx on PATH."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import warnings

import openai

warnings.simplefilter("ignore", DeprecationWarning)

KEY = "lg-try-nginx-0000000000000000000000000000"
ROOT = pathlib.Path(__file__).resolve().parent.parent


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def nginx_config(folder: pathlib.Path, front: int, ports: list[int]) -> pathlib.Path:
    """The documented text, with this run's ports."""
    text = re.search(r"```nginx\n(.*?)```", (ROOT / "docs/operations.md").read_text(), re.DOTALL)
    assert text, "docs/operations.md has no nginx configuration"
    text = text.group(1).replace("127.0.0.1:8080", f"127.0.0.1:{front}")
    for documented, port in zip(("127.0.0.1:8787", "127.0.0.1:8788"), ports, strict=True):
        assert documented in text, documented
        text = text.replace(documented, f"127.0.0.1:{port}")
    path = folder / "nginx.conf"
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    path.write_text(
        f"daemon off;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{text}\n}}\n"
    )
    return path


def ready(port: int) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError):
            if urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2).status == 200:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing is ready on port {port}")


def start(folder: pathlib.Path, port: int) -> subprocess.Popen:
    process = subprocess.Popen(
        [os.environ["LOOMGATE_BIN"], "serve", "--config", folder / "loomgate.toml", "--listen", f"127.0.0.1:{port}"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=open(folder / "loomgate.log", "a"),
    )
    ready(port)
    return process


def stream_comes_word_by_word(client: openai.OpenAI, assistant: str) -> None:
    words = "one two three four five six seven eight"
    thread = client.beta.threads.create(messages=[{"role": "user", "content": f"/echo pace 100\n{words}"}])
    times = [
        time.monotonic()
        for event in client.beta.threads.runs.create(thread_id=thread.id, assistant_id=assistant, stream=True)
        if event.event == "thread.message.delta"
    ]
    gaps = [later - earlier for earlier, later in zip(times, times[1:])]
    assert len(times) == 8, times
    assert min(gaps) > 0.03, f"words came together: {gaps}"
    print(f"a stream of 8 words at 100 ms each: the shortest gap was {min(gaps) * 1000:.0f} ms")


def load(client: openai.OpenAI, assistant: str, stop: threading.Event, failures: list[str], done: list[int]) -> None:
    while not stop.is_set():
        try:
            thread = client.beta.threads.create()
            client.beta.threads.messages.create(thread.id, role="user", content="hello")
            run = client.beta.threads.runs.create_and_poll(
                thread_id=thread.id, assistant_id=assistant, poll_interval_ms=50
            )
            if run.status != "completed":
                failures.append(f"{run.id}: {run.status}")
            done[0] += 1
        except openai.OpenAIError as error:
            failures.append(repr(error))


def reopened(front: int, client: openai.OpenAI, assistant: str, restart) -> None:
    """Breaks a stream off by stopping the process that serves it, and reads on."""
    text = " ".join(f"w{n}" for n in range(60))
    thread = client.beta.threads.create(messages=[{"role": "user", "content": f"/echo pace 50\n{text}"}])
    path = f"http://127.0.0.1:{front}/v1/threads/{thread.id}/runs"
    headers = {"authorization": f"Bearer {KEY}", "openai-beta": "assistants=v2", "content-type": "application/json"}
    body = b'{"assistant_id": "%s", "stream": true}' % assistant.encode()
    request = urllib.request.Request(path, body, headers)
    told, last, breaks, restarting = "", None, 0, None
    while "event: done" not in told:
        try:
            with urllib.request.urlopen(request, timeout=30) as stream:
                for line in stream:
                    told += line.decode()
                    if line.startswith(b"id: "):
                        last = line[4:].strip().decode()
                    if restarting is None and told.count("thread.message.delta") > 5:
                        restarting = threading.Thread(target=restart)
                        restarting.start()
        except (OSError, ValueError):
            pass
        if "event: done" in told:
            break
        breaks += 1
        assert breaks < 50, told[-500:]
        if last is not None:
            run = client.beta.threads.runs.list(thread.id).data[0].id
            request = urllib.request.Request(f"{path}/{run}/stream", headers={**headers, "last-event-id": last})
        time.sleep(0.1)
    restarting.join()
    ids = re.findall(r"^id: (.*)$", told, re.MULTILINE)
    assert len(ids) == len(set(ids)), "an event was told twice"
    said = client.beta.threads.messages.list(thread.id, limit=1).data[0].content[0].text.value
    assert said == text, said
    print(f"a stream over a rolling restart: {len(ids)} events, {breaks} breaks, none told twice")


def main() -> None:
    assert shutil.which("nginx"), "nginx is missing (Debian: apt-get install nginx-light)"
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = pathlib.Path(name)
        front, ports = free_port(), [free_port(), free_port()]
        (folder / "loomgate.toml").write_text(
            f'[[api_keys]]\nname = "try"\nkey = "{KEY}"\ndefault_virtual_key = "echo"\n'
            '[virtual_keys.echo]\nprovider = "echo"\n[http]\ndrain_s = 1\n'
        )
        processes = [start(folder, port) for port in ports]
        stack.callback(lambda: [process.kill() for process in processes])
        nginx = subprocess.Popen(["nginx", "-c", nginx_config(folder, front, ports), "-e", folder / "error.log"])
        stack.callback(nginx.terminate)
        ready(front)
        client = openai.OpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{front}/v1")
        assistant = client.beta.assistants.create(model="echo").id
        stream_comes_word_by_word(client, assistant)

        def rolling() -> None:
            for index, port in enumerate(ports):
                processes[index].send_signal(signal.SIGTERM)
                processes[index].wait(30)
                processes[index] = start(folder, port)

        stop, failures, done = threading.Event(), [], [0]
        threads = [
            threading.Thread(target=load, args=(client, assistant, stop, failures, done)) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for _ in range(2):
            rolling()
        stop.set()
        for thread in threads:
            thread.join()
        if failures:
            print((folder / "error.log").read_text()[-2000:], file=sys.stderr)
            raise SystemExit(f"{len(failures)} failed: {failures[:5]}")
        print(f"two rolling restarts under load: {done[0]} runs, none failed")
        reopened(front, client, assistant, rolling)


main()
