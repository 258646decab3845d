"""Names and their addresses, and the connections that are made to them."""

import asyncio
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path

import httpcore
import httpx
import pytest

from infrastructure.addresses import parse_networks
from infrastructure.egress import EgressGuard, EgressRefused, NameNotResolved
from infrastructure.guarded_http import GuardedTransport, PinnedBackend
from tests.infrastructure.egress_rooms import (
    LOOPBACK,
    PUBLIC,
    answering,
    certificate,
    never_accepting,
    running,
)


def test_a_name_that_leads_out_and_in_is_refused() -> None:
    guard = EgressGuard(resolver=answering([PUBLIC, "10.0.0.1"]))
    with pytest.raises(EgressRefused) as refused:
        asyncio.run(guard.resolve("mixed.example.com", 443))
    assert refused.value.reason == "The host name leads to a private address."


def test_registering_asks_where_the_name_leads() -> None:
    asked: list[tuple[str, int]] = []

    async def resolver(host: str, port: int) -> Sequence[str]:
        asked.append((host, port))
        return ["169.254.169.254" if host.startswith("inside") else PUBLIC]

    async def scenario() -> None:
        guard = EgressGuard(resolver=resolver)
        await guard.check_target("https://bücher.example/hook")
        await guard.check_target("http://example.com:8080/hook")
        await guard.check_target("http://8.8.8.8/")
        with pytest.raises(EgressRefused, match="leads to a cloud metadata address"):
            await guard.check_target("http://inside.example.com/")
        with pytest.raises(EgressRefused, match="credentials"):
            await guard.check_target("https://a:b@example.com/")

    asyncio.run(scenario())
    names = [("xn--bcher-kva.example", 443), ("example.com", 8080), ("inside.example.com", 80)]
    assert asked == names


def test_addresses_keep_the_resolvers_order_without_duplicates() -> None:
    guard = EgressGuard(resolver=answering(["8.8.4.4", "2606:2800::1", "8.8.4.4", "8.8.8.8"]))
    found = asyncio.run(guard.resolve("example.com", 443))
    assert list(map(str, found)) == ["8.8.4.4", "2606:2800::1", "8.8.8.8"]


def test_a_resolver_that_fails_or_hangs_is_no_refusal() -> None:
    async def failing(host: str, port: int) -> Sequence[str]:
        raise OSError("no such host")

    async def hanging(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    for resolver, message in (
        (failing, "could not be resolved"),
        (hanging, "not resolved in time"),
        (answering([]), "has no address"),
    ):
        guard = EgressGuard(resolver=resolver, resolve_timeout=0.05)
        with pytest.raises(NameNotResolved, match=message):
            asyncio.run(guard.resolve("example.com", 443))


def test_a_name_that_no_resolver_can_take_is_no_crash() -> None:
    with pytest.raises(NameNotResolved):
        asyncio.run(EgressGuard().resolve("a" * 70 + ".invalid", 443))


class Greeter:
    """Answers every request with one text and keeps what it saw."""

    def __init__(self, answer: str = "here") -> None:
        self.answer = answer.encode()
        self.seen: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.append("connection")
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            self.seen.append(head[0])
            self.seen.extend(line.lower() for line in head if line.lower().startswith("host:"))
            length = len(self.answer)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length + self.answer)
            await writer.drain()


def test_rebinding_between_check_and_use_reaches_nothing() -> None:
    """The name is public when it is registered and leads home when it is used."""

    async def scenario() -> None:
        greeter = Greeter()
        async with running(greeter) as port:
            resolver = answering([PUBLIC], ["127.0.0.1"])
            guard = EgressGuard(ports=frozenset({port}), resolver=resolver)
            url = f"http://rebind.example.com:{port}/"
            guard.check_url(url)
            assert await guard.resolve("rebind.example.com", port) == [IPv4Address(PUBLIC)]
            async with httpx.AsyncClient(transport=GuardedTransport(guard)) as client:
                with pytest.raises(EgressRefused, match="leads to a loopback address"):
                    await client.get(url)
        assert greeter.seen == []

    asyncio.run(scenario())


def test_the_checked_address_is_the_one_connected_to() -> None:
    """A resolver that changes its mind at every question is asked once per connection."""

    async def scenario() -> None:
        first, second = Greeter("first"), Greeter("second")
        async with running(first) as port, running(second, host="127.0.0.2", port=port):
            guard = EgressGuard(LOOPBACK, resolver=answering(["127.0.0.1"], ["127.0.0.2"]))
            async with httpx.AsyncClient(transport=GuardedTransport(guard)) as client:
                url = f"http://hooks.example.com:{port}/"
                assert (await client.get(url)).text == "first"
                assert (await client.get(url)).text == "first"
        host = f"host: hooks.example.com:{port}"
        assert first.seen == ["connection", *["GET / HTTP/1.1", host] * 2]
        assert second.seen == []

    asyncio.run(scenario())


@pytest.mark.parametrize("order", [("127.0.0.1", "127.0.0.2"), ("127.0.0.2", "127.0.0.1")])
def test_the_other_address_is_tried_when_one_refuses(order: Sequence[str]) -> None:
    async def scenario() -> None:
        async with running(Greeter("second"), host="127.0.0.2") as port:
            guard = EgressGuard(LOOPBACK, resolver=answering(order))
            async with httpx.AsyncClient(transport=GuardedTransport(guard)) as client:
                assert (await client.get(f"http://hooks.example.com:{port}/")).text == "second"

    asyncio.run(scenario())


def test_an_address_that_hangs_leaves_time_for_the_next() -> None:
    async def scenario() -> None:
        with never_accepting() as port:
            async with running(Greeter("second"), host="127.0.0.2", port=port):
                guard = EgressGuard(LOOPBACK, resolver=answering(["127.0.0.1", "127.0.0.2"]))
                transport = GuardedTransport(guard)
                async with httpx.AsyncClient(transport=transport, timeout=2) as client:
                    answer = await client.get(f"http://hooks.example.com:{port}/")
                    assert answer.text == "second"

    asyncio.run(scenario())


def test_a_hanging_resolver_counts_as_a_connection_that_was_not_made_in_time() -> None:
    async def hanging(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async def scenario() -> None:
        backend = PinnedBackend(EgressGuard(resolver=hanging))
        with pytest.raises(httpcore.ConnectTimeout):
            await backend.connect_tcp("hooks.example.com", 443, timeout=0.05)

    asyncio.run(scenario())


def test_local_sockets_are_refused() -> None:
    async def scenario() -> None:
        with pytest.raises(EgressRefused):
            await PinnedBackend(EgressGuard()).connect_unix_socket("/var/run/docker.sock")

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("location", "because"),
    [
        ("http://169.254.169.254/latest/", "metadata"),
        ("http://127.0.0.2:5432/", "loopback"),
        ("http://user:secret@hooks.example.com/", "credentials"),
        ("http://0x7f.1/", "four decimal numbers"),
        ("//metadata.google.internal/", "metadata"),
    ],
)
def test_a_redirect_passes_the_guard_in_any_client(location: str, because: str) -> None:
    async def redirect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n"
        writer.write(head.encode())

    async def scenario() -> None:
        guard = EgressGuard(parse_networks("127.0.0.1"), resolver=answering(["127.0.0.1"]))
        transport = GuardedTransport(guard)
        async with (
            running(redirect) as port,
            httpx.AsyncClient(transport=transport, follow_redirects=True) as client,
        ):
            with pytest.raises(EgressRefused, match=because):
                await client.get(f"http://hooks.example.com:{port}/")

    asyncio.run(scenario())


def test_tls_is_verified_for_the_name_and_not_for_the_address(tmp_path: Path) -> None:
    server_side, client_side = certificate("hooks.example.com", tmp_path)
    names: list[str | None] = []
    server_side.sni_callback = lambda _socket, name, _context: names.append(name)

    async def scenario() -> None:
        guard = EgressGuard(LOOPBACK, resolver=answering(["127.0.0.1"]))
        transport = GuardedTransport(guard, context=client_side)
        greeter = Greeter("secure")
        async with (
            running(greeter, server_side) as port,
            httpx.AsyncClient(transport=transport) as client,
        ):
            answer = await client.get(f"https://hooks.example.com:{port}/")
            assert answer.text == "secure"
            with pytest.raises(httpx.ConnectError, match="certificate"):
                await client.get(f"https://other.example.com:{port}/")
            with pytest.raises(httpx.ConnectError, match="certificate"):
                await client.get(f"https://127.0.0.1:{port}/")
        assert [line for line in greeter.seen if line.startswith("GET")] == ["GET / HTTP/1.1"]
        assert names == ["hooks.example.com", "other.example.com", None]

    asyncio.run(scenario())


@pytest.mark.parametrize("secured", [True, False])
def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next(
    tmp_path: Path, secured: bool
) -> None:
    server_side, client_side = certificate("hooks.example.com", tmp_path)
    unasked = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale"
    answers = iter([b"first", b"right"])

    async def says_more(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + next(answers))
            if secured:
                writer.write(unasked)  # a record of its own in the same packet
            await writer.drain()

    async def scenario() -> None:
        guard = EgressGuard(LOOPBACK, resolver=answering(["127.0.0.1"]))
        transport = GuardedTransport(guard, context=client_side)
        async with (
            running(says_more, server_side if secured else None) as port,
            httpx.AsyncClient(transport=transport) as client,
        ):
            url = f"http{'s' * secured}://hooks.example.com:{port}/"
            assert (await client.get(url)).text == "first"
            if not secured:
                # What the event loop does with a packet that arrives before reading is paused.
                (connection,) = transport._pool.connections
                stream = connection._connection._network_stream._stream
                stream._protocol.data_received(unasked)
            assert (await client.get(url)).text == "right"

    asyncio.run(scenario())
