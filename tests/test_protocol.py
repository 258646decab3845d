"""How answers leave: in one piece, in order, and no faster than they are read."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from api.protocol import Protocol

HEAD = {"type": "http.response.start", "status": 200}


@contextmanager
def answering(app: Callable[..., Any]) -> Iterator[socket.socket]:
    """A connection to a server of `app`."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, http=Protocol, loop="uvloop", lifespan="off", log_config=None)  # type: ignore[arg-type]
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        address = server.servers[0].sockets[0].getsockname()
        with socket.create_connection(address, timeout=10) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(10)


def ask(client: socket.socket, *fields: str) -> None:
    client.sendall("\r\n".join(["GET / HTTP/1.1", "Host: here", *fields, "", ""]).encode())


def until_closed(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def test_head_and_body_leave_in_one_piece():
    async def app(scope, receive, send):
        await send({**HEAD, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})

    with answering(app) as client:
        for _ in range(20):
            ask(client)
            piece = client.recv(65536)
            assert piece.startswith(b"HTTP/1.1 200 OK\r\n")
            assert piece.endswith(b"\r\n\r\nhello")


def test_what_streams_is_not_held_up():
    more = threading.Event()

    async def app(scope, receive, send):
        await send(HEAD)
        await asyncio.to_thread(more.wait, 10)
        await send({"type": "http.response.body", "body": b"late"})

    with answering(app) as client:
        ask(client)
        assert client.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        more.set()
        assert b"late" in client.recv(65536)


def test_an_answer_that_ends_its_connection_arrives_whole():
    async def app(scope, receive, send):
        await send({**HEAD, "headers": [(b"content-length", b"300000")]})
        await send({"type": "http.response.body", "body": b"x" * 300_000})

    with answering(app) as client:
        ask(client, "Connection: close")
        head, _, body = until_closed(client).partition(b"\r\n\r\n")
        assert b"connection: close" in head
        assert body == b"x" * 300_000


def test_a_stream_is_written_in_order_and_waits_for_its_reader():
    chunks = [bytes([n]) * 100_000 for n in range(200)]
    written = 0

    async def app(scope, receive, send):
        nonlocal written
        await send({**HEAD, "headers": [(b"content-length", b"%d" % (len(chunks) * 100_000))]})
        for chunk in chunks:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            written += 1
        await send({"type": "http.response.body"})

    with answering(app) as client:
        ask(client, "Connection: close")
        time.sleep(0.5)
        assert written < 150  # what the kernel takes for a reader that does not read, and no more
        _, _, body = until_closed(client).partition(b"\r\n\r\n")
        assert body == b"".join(chunks)
