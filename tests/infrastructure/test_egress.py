"""The egress guard: what may be registered, what may be connected to."""

import asyncio
import datetime
import ipaddress
import json
import random
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import httpcore
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from infrastructure.addresses import address_class, parse_networks
from infrastructure.egress import EgressGuard, EgressRefused, NameNotResolved
from infrastructure.guarded_http import GuardedTransport, PinnedBackend

CORPUS = json.loads((Path(__file__).parent / "corpora" / "egress.json").read_text("utf-8"))
REFUSED = [(url, because) for because, urls in CORPUS["refused"].items() for url in urls]
PUBLIC = "93.184.216.34"
LOOPBACK = parse_networks("127.0.0.0/8")


def answering(*answers: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A resolver that gives these answers one after the other, and the last one from then on."""
    left = list(answers)

    async def resolver(host: str, port: int) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return resolver


def refusal(guard: EgressGuard, url: str) -> str:
    with pytest.raises(EgressRefused) as refused:
        guard.check_url(url)
    return refused.value.reason


# --- The text of a URL -----------------------------------------------------------------------


def test_the_corpus_is_large_enough() -> None:
    assert len(REFUSED) >= 120
    assert len({url for url, _ in REFUSED}) == len(REFUSED)
    assert len(CORPUS["accepted"]) >= 25


@pytest.mark.parametrize(("url", "because"), REFUSED, ids=lambda value: ascii(value)[:60])
def test_refused_with_the_reason(url: str, because: str) -> None:
    assert because in refusal(EgressGuard(), url)


@pytest.mark.parametrize("url", CORPUS["accepted"], ids=lambda url: ascii(url)[:60])
def test_accepted_and_stable(url: str) -> None:
    checked = EgressGuard().check_url(url)
    assert EgressGuard().check_url(str(checked)) == checked


def test_a_url_has_a_greatest_length() -> None:
    start = "https://example.com/"
    assert EgressGuard().check_url(start + "a" * (2048 - len(start)))
    assert "longer than 2048" in refusal(EgressGuard(), start + "a" * (2049 - len(start)))


def test_the_reason_shows_nothing_of_the_url() -> None:
    reason = refusal(EgressGuard(), "https://user:hunter2@10.1.2.3/path-secret?token=t0ken")
    assert not any(part in reason for part in ("hunter2", "10.1.2.3", "path-secret", "t0ken"))


def test_two_readings_of_one_url_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the library that connects ever read another host than the one that was checked."""
    other = httpx.URL("http://127.0.0.1/")
    monkeypatch.setattr("infrastructure.egress.httpx.URL", lambda _: other)
    assert "more than one way" in refusal(EgressGuard(), "http://example.com/")


@given(st.text(max_size=80) | st.from_regex(r"https?://[^\s]{1,60}", fullmatch=True))
@example("http://[::1%0]/")
@example("http://\ud800/")
@example("http://xn--zz/")
def test_any_text_is_refused_or_a_public_target(text: str) -> None:
    try:
        checked = EgressGuard().check_url(text)
    except EgressRefused:
        return
    host = checked.raw_host.decode("ascii")
    try:
        address = ip_address(host)
    except ValueError:
        assert "." in host
    else:
        assert address_class(address) is None


# --- Addresses in every notation -------------------------------------------------------------

# Written down a second time, independently of the table in the code.
NOT_PUBLIC_IPV4 = re.findall(
    r"\S+",
    """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
    192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24
    224.0.0.0/4 240.0.0.0/4 168.63.129.16/32
    """,
)


@st.composite
def not_public(draw: st.DrawFn) -> IPv4Address:
    network = ipaddress.IPv4Network(draw(st.sampled_from(NOT_PUBLIC_IPV4)))
    return network[draw(st.integers(0, network.num_addresses - 1))]


def number(value: int, base: str) -> str:
    return {"decimal": f"{value}", "octal": f"0{value:o}", "hex": f"{value:#x}"}[base]


@st.composite
def ipv4_notation(draw: st.DrawFn, address: IPv4Address) -> str:
    """One of the forms that inet_aton reads: one to four parts, each in any base."""
    count = draw(st.integers(1, 4))
    octets = list(address.packed)
    head, tail = octets[: count - 1], octets[count - 1 :]
    bases = st.sampled_from(["decimal", "octal", "hex"])
    parts = [number(part, draw(bases)) for part in [*head, int.from_bytes(tail, "big")]]
    text = ".".join(parts)
    return text.upper() if draw(st.booleans()) else text


def ipv6_notations(address: IPv4Address) -> list[str]:
    high, low = divmod(int(address), 1 << 16)
    words = f"{high:x}:{low:x}"
    flipped = f"{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}"
    return [
        f"[::ffff:{address}]",
        f"[::ffff:{words}]",
        f"[0:0:0:0:0:ffff:{words}]",
        f"[::{words}]",
        f"[::ffff:0:{words}]",
        f"[64:ff9b::{words}]",
        f"[64:ff9b:1::{words}]",
        f"[2002:{words}::1]",
        f"[2001:0:{words}::1]",
        f"[2001:0:808:808:0:0:{flipped}]",
        f"[2600:1f18::5efe:{words}]",
    ]


@given(st.data(), not_public(), st.sampled_from(["http", "https"]))
def test_no_notation_of_a_non_public_ipv4_address_passes(
    data: st.DataObject, address: IPv4Address, scheme: str
) -> None:
    guard = EgressGuard()
    notations = [str(address), data.draw(ipv4_notation(address)), *ipv6_notations(address)]
    for host in notations:
        assert refusal(guard, f"{scheme}://{host}/")
        assert refusal(guard, f"{scheme}://{host}:8080/")


@given(not_public())
def test_no_name_may_lead_to_a_non_public_ipv4_address(address: IPv4Address) -> None:
    embedded = [text.strip("[]") for text in ipv6_notations(address)]
    for answer in [str(address), *embedded]:
        guard = EgressGuard(resolver=answering([PUBLIC, answer]))
        with pytest.raises(EgressRefused, match="The host name leads to"):
            asyncio.run(guard.resolve("hooks.example.com", 443))


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_only_global_unicast_ipv6_is_public(address: IPv6Address) -> None:
    outside = address not in ipaddress.IPv6Network("2000::/3")
    assert not (outside and address_class(address) is None)


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_the_rest_of_ipv4_is_public(address: IPv4Address) -> None:
    listed = any(address in ipaddress.IPv4Network(network) for network in NOT_PUBLIC_IPV4)
    assert (address_class(address) is not None) == listed


def test_odd_notations_are_caught_by_the_resolver_too() -> None:
    """The system's resolver reads them as addresses; what it makes of them is checked."""
    guard = EgressGuard()
    for host in ("2130706433", "0x7f.1", "0177.0.0.1", "127.1"):
        with pytest.raises(EgressRefused, match="a loopback address"):
            asyncio.run(guard.resolve(host, 80))


# --- ALLOW_PRIVATE_NETWORKS ------------------------------------------------------------------


def test_networks_are_read() -> None:
    assert parse_networks("") == parse_networks("  ") == ()
    assert list(map(str, parse_networks("10.0.0.0/8, fd00::/8 ,192.168.7.9"))) == [
        "10.0.0.0/8",
        "fd00::/8",
        "192.168.7.9/32",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.0.0.0/8,office", "ALLOW_PRIVATE_NETWORKS: 'office' is not a network"),
        ("10.0.0.0/33", "ALLOW_PRIVATE_NETWORKS: '10.0.0.0/33' is not a network"),
        ("10.0.0.0/8,,fd00::/8", "ALLOW_PRIVATE_NETWORKS: '' is not a network"),
        ("fe80::1%eth0/64", "ALLOW_PRIVATE_NETWORKS: 'fe80::1%eth0/64' is not a network"),
        ("10.1.2.3/8", "'10.1.2.3/8' has bits set beyond its prefix; the network is 10.0.0.0/8"),
    ],
)
def test_a_wrong_network_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_networks(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_only_what_is_named_is_opened() -> None:
    guard = EgressGuard(parse_networks("10.1.0.0/16,fd00:1::/32"))
    assert guard.check_url("http://10.1.2.3:5432/")
    assert guard.check_url("http://[fd00:1::7]:6379/")
    assert "private" in refusal(guard, "http://10.2.0.1/")
    assert "private" in refusal(guard, "http://[fd00:2::7]/")
    assert "loopback" in refusal(guard, "http://127.0.0.1/")
    assert "metadata" in refusal(guard, "http://169.254.169.254/")
    assert "Port 5432" in refusal(guard, "http://8.8.8.8:5432/")
    assert "four decimal numbers" in refusal(guard, "http://10.1.515/")


def test_names_of_private_networks_pass_when_any_is_open_and_known_ones_only_with_theirs() -> None:
    guard = EgressGuard(parse_networks("10.0.0.0/8"))
    assert guard.check_url("http://billing:9000/")
    assert guard.check_url("http://billing.internal:5432/")
    assert "loopback" in refusal(guard, "http://localhost/")
    assert "loopback" in refusal(guard, "http://app.localhost/")
    assert "metadata" in refusal(guard, "http://metadata.google.internal/")
    assert EgressGuard(LOOPBACK).check_url("http://localhost:8000/")
    assert EgressGuard(parse_networks("::1")).check_url("http://app.localhost:8000/")


def test_an_address_that_carries_another_needs_both_open() -> None:
    nat64 = EgressGuard(parse_networks("64:ff9b::/96"))
    assert nat64.check_url("http://[64:ff9b::808:808]/")
    assert "private" in refusal(nat64, "http://[64:ff9b::10.0.0.1]/")
    everything_ipv6 = EgressGuard(parse_networks("::/0"))
    assert "metadata" in refusal(everything_ipv6, "http://[::ffff:169.254.169.254]/")
    assert "loopback" in refusal(everything_ipv6, "http://[2002:7f00:1::]/")
    both = EgressGuard(parse_networks("64:ff9b::/96,10.0.0.0/8"))
    assert both.check_url("http://[64:ff9b::10.0.0.1]/")


def test_a_private_name_may_use_any_port_but_not_one_that_leads_out() -> None:
    networks = parse_networks("10.0.0.0/8")
    inside = EgressGuard(networks, resolver=answering(["10.0.0.5"]))
    outside = EgressGuard(networks, resolver=answering([PUBLIC]))
    assert inside.check_url("http://db.example.com:5432/")
    assert asyncio.run(inside.resolve("db.example.com", 5432)) == [IPv4Address("10.0.0.5")]
    with pytest.raises(EgressRefused, match="Port 5432"):
        asyncio.run(outside.resolve("db.example.com", 5432))


def test_ports_can_be_named() -> None:
    guard = EgressGuard(ports=frozenset({443}))
    assert guard.check_url("https://example.com/")
    assert "Port 80 " in refusal(guard, "http://example.com/")
    assert "Port 8443 " in refusal(guard, "https://example.com:8443/")


def test_plain_http_can_be_kept_to_private_networks() -> None:
    guard = EgressGuard(parse_networks("10.0.0.0/8"), require_https=True)
    assert guard.check_url("https://example.com/")
    assert guard.check_url("http://10.0.0.1/")
    assert guard.check_url("http://billing/")
    for url in ("http://example.com/", "http://8.8.8.8/"):
        assert "https://" in refusal(guard, url)


# --- Names and their addresses ---------------------------------------------------------------


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


# --- Connections -----------------------------------------------------------------------------


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def running(
    handler: Handler, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[int]:
    """A TCP server with this handler; yields its port and leaves no connection behind."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)
        except (asyncio.CancelledError, asyncio.IncompleteReadError, OSError):
            writer.transport.abort()
        finally:
            writer.close()

    server = await asyncio.start_server(handle, host, port, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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


@contextmanager
def never_accepting() -> Iterator[int]:
    """A port of 127.0.0.1 whose queue is full, so that further connections hang."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            caller = stack.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


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


def certificate(name: str, directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS contexts of a server with a certificate for `name` and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain = directory / f"{random.getrandbits(64):x}.pem"
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain.write_bytes(private + signed.public_bytes(pem))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain)
    return server, ssl.create_default_context(cadata=signed.public_bytes(pem).decode())


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
