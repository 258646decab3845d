"""The service as users start it, killed at bad moments."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest

from infrastructure.embedded import EmbeddedServers
from tests.site import eventually

TIDINGS = Path(sys.executable).parent / "tidings"
POSTS = "/api/v1/social/posts"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def served(data_dir: Path, port: int, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [TIDINGS, "--data-dir", data_dir, "serve", "--port", str(port)]
    process = subprocess.Popen(
        command,
        env=os.environ | {"RATE_LIMIT_PROFILE": "off", **environment},
        stdout=subprocess.PIPE,
        stderr=(data_dir.parent / "serve.log").open("ab"),
    )
    try:
        assert process.stdout is not None
        assert (
            process.stdout.readline() == f"Tidings is ready at http://127.0.0.1:{port}\n".encode()
        )
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(30)


def token(data_dir: Path) -> str:
    command = [TIDINGS, "--data-dir", data_dir, "token", "--role", "admin", "--user", "ann"]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout.decode().strip()


@contextmanager
def posting(port: int, bearer: str, callers: int = 8) -> Iterator[list[str]]:
    """A load of posts; the list holds the ids that were acknowledged."""
    acknowledged: list[str] = []
    stop = threading.Event()

    def post(n: int) -> None:
        headers = {"Authorization": f"Bearer {bearer}", "Prefer": "respond-async"}
        body = {"content": f"Post of caller {n}", "platforms": ["twitter"]}
        while not stop.is_set():
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
                try:
                    while not stop.is_set():
                        answer = client.post(POSTS, json=body, timeout=15)
                        if answer.status_code == 200:
                            acknowledged.append(answer.json()["post_id"])
                except httpx.TransportError:
                    time.sleep(0.05)

    threads = [threading.Thread(target=post, args=(n,)) for n in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield acknowledged
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)


def descendants(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def postmaster(data_dir: Path) -> psutil.Process:
    pid = (data_dir / "postgres" / "data" / "postmaster.pid").read_text().split("\n")[0]
    return psutil.Process(int(pid))


def published(data_dir: Path) -> dict[str, int]:
    """How often each post that is in the log was published."""
    with EmbeddedServers(data_dir) as servers, psycopg.connect(servers.database_url) as connection:
        rows = connection.execute(
            "SELECT stream_id, count(*) FILTER (WHERE topic = 'social.post.published_on')"
            " FROM log.events WHERE topic LIKE 'social.post.%' GROUP BY 1"
        ).fetchall()
        on_network = connection.execute("SELECT count(*), count(DISTINCT key) FROM sandbox.posts")
        posts, keys = on_network.fetchone()
        assert posts == keys
    return {f"post_{stream.hex}": count for stream, count in rows}


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "background", "postgres", "everything"])
def test_killed_in_the_middle_of_a_load_no_acknowledged_post_is_lost(tmp_path, victim):
    tmp_path.chmod(0o711)
    data_dir, port = tmp_path / "a place with spaces", free_port()
    random.seed(victim)
    with served(data_dir, port) as process:
        with posting(port, token(data_dir)) as acknowledged:
            eventually(lambda: len(acknowledged) > 50)
            children = [child for child in descendants(process) if child.is_running()]
            match victim:
                case "worker" | "background":
                    forked = [c for c in children if c.ppid() == process.pid]
                    workers = sorted(
                        (c for c in forked if "keeper" not in " ".join(c.cmdline())),
                        key=lambda c: c.pid,
                    )
                    workers[0 if victim == "worker" else -1].kill()
                case "postgres":
                    postmaster(data_dir).kill()
                case _:
                    for each in [psutil.Process(process.pid), postmaster(data_dir), *children]:
                        if each.is_running():
                            each.kill()
            before = len(acknowledged)
            if victim != "everything":
                eventually(lambda: len(acknowledged) > before + 50, within=30)
        if victim == "everything":
            process.wait(10)
    with served(data_dir, port):
        eventually(lambda: all(count == 1 for count in published(data_dir).values()), within=60)
    assert set(acknowledged) <= set(published(data_dir))


@pytest.mark.slow
def test_a_second_start_is_quick_and_a_signal_ends_everything(tmp_path):
    tmp_path.chmod(0o711)
    data_dir, port = tmp_path / "data", free_port()
    with served(data_dir, port) as process:
        children = descendants(process)
        assert children
    assert process.returncode == 0
    _, alive = psutil.wait_procs(children, 10)
    assert alive == []
    began = time.monotonic()
    with served(data_dir, port):
        assert httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
        second = time.monotonic() - began
    assert second < 30, "far beyond the aim of 3 s, which is measured in `make bench`"
