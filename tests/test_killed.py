"""The service as users start it, killed at bad moments."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from standardwebhooks import Webhook

from api.cli.serving import BACKGROUND_NICE
from infrastructure.embedded import EmbeddedServers
from tests.commands import TIDINGS
from tests.site import PLAIN, eventually
from tests.webhooks.hook import Hook, listening

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
        if process.poll() is None:
            ends_at_a_signal(process)
    finally:
        process.kill()
        process.wait()


def ends_at_a_signal(process: subprocess.Popen[bytes]) -> None:
    """In order, and with all that it has started."""
    children = descendants(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0  # what does not obey is killed after fifteen
    _, alive = psutil.wait_procs(children, 10)
    assert children and alive == []


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
            with httpx.Client(
                base_url=f"http://127.0.0.1:{port}", headers=headers, verify=PLAIN
            ) as client:
                try:
                    while not stop.is_set():
                        answer = client.post(POSTS, json=body, timeout=15)
                        if answer.status_code == 200:
                            acknowledged.append(answer.json()["post_id"])
                        time.sleep(0.03)
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


@contextmanager
def database(data_dir: Path) -> Iterator[psycopg.Connection]:
    with EmbeddedServers(data_dir) as servers, psycopg.connect(servers.database_url) as connection:
        connection.autocommit = True
        yield connection


def published(connection: psycopg.Connection) -> dict[str, int]:
    """How often each post that is in the log was published."""
    rows = connection.execute(
        "SELECT stream_id, count(*) FILTER (WHERE topic = 'social.post.published_on')"
        " FROM log.events WHERE topic LIKE 'social.post.%' GROUP BY 1"
    ).fetchall()
    on_network = connection.execute("SELECT count(*), count(DISTINCT key) FROM sandbox.posts")
    posts, keys = on_network.fetchone()
    assert posts == keys
    return {f"post_{stream.hex}": count for stream, count in rows}


def register(port: int, bearer: str, url: str) -> str:
    """An endpoint for what is said of posts; returns its secret."""
    answer = httpx.post(
        f"http://127.0.0.1:{port}/api/v1/webhooks/endpoints",
        headers={"Authorization": f"Bearer {bearer}"},
        json={"url": url, "events": ["social.post.created", "social.post.published"]},
    )
    return answer.raise_for_status().json()["secret"]


def told(hook: Hook, secret: str) -> dict[tuple[str, str], set[str]]:
    """The webhook ids under which each event of each post came, each with a true signature."""
    ids: dict[tuple[str, str], set[str]] = {}
    for headers, body in list(hook.got):
        said = Webhook(secret).verify(body, headers)
        key = said["type"], said["data"]["post_id"]
        ids.setdefault(key, set()).add(headers["webhook-id"])
    return ids


def kill(victim: str, process: subprocess.Popen[bytes], data_dir: Path) -> None:
    """End with SIGKILL one process of the service, or all of them."""
    children = [child for child in descendants(process) if child.is_running()]
    forked = [c for c in children if c.ppid() == process.pid]
    ours = [c for c in forked if "keeper" not in " ".join(c.cmdline())]
    match victim:
        case "worker":
            next(child for child in ours if child.nice() < BACKGROUND_NICE).kill()
        case "background":
            next(child for child in ours if child.nice() == BACKGROUND_NICE).kill()
        case "postgres":
            postmaster(data_dir).kill()
        case _:
            for each in [psutil.Process(process.pid), postmaster(data_dir), *children]:
                if each.is_running():
                    each.kill()
            process.wait(10)


@pytest.mark.slow
@pytest.mark.parametrize("victims", [["worker", "background", "postgres"], ["everything"]])
def test_killed_in_the_middle_of_a_load_nothing_is_lost(tmp_path, victims):
    """Each acknowledged post is in the log, goes out once, and is told of under one id an event."""
    tmp_path.chmod(0o711)
    data_dir, port = tmp_path / "a place with spaces", free_port()
    with listening() as hook:
        with served(data_dir, port, ALLOW_PRIVATE_NETWORKS="127.0.0.0/8") as process:
            bearer = token(data_dir)
            secret = register(port, bearer, hook.url)
            with posting(port, bearer) as acknowledged:
                for victim in victims:
                    before = len(acknowledged)
                    eventually(lambda before=before: len(acknowledged) > before + 50, within=30)
                    kill(victim, process, data_dir)
        began = time.monotonic()
        with (
            served(data_dir, port, ALLOW_PRIVATE_NETWORKS="127.0.0.0/8"),
            database(data_dir) as connection,
        ):
            second = time.monotonic() - began

            def all_is_out() -> bool:
                time.sleep(0.2)
                posts = published(connection)
                return all(count == 1 for count in posts.values()) and len(
                    told(hook, secret)
                ) >= 2 * len(posts)

            eventually(all_is_out, within=60)
            posts = published(connection)
        ids = told(hook, secret)
    assert second < 30, "far beyond the aim of 3 s, which is measured by hand"
    assert set(acknowledged) <= set(posts)
    events = ["social.post.created", "social.post.published"]
    assert set(ids) == {(event, post) for event in events for post in posts}
    assert all(len(each) == 1 for each in ids.values())
