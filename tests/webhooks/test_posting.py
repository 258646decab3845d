"""Posting over kept connections, to receivers of every kind of manners."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from infrastructure.addresses import parse_networks
from infrastructure.egress import EgressGuard, EgressRefused
from infrastructure.webhooks.posting import KEPT_ANSWER, Poster, Reply, Unanswered
from tests.webhooks.house import Receiver, receiver

LOCAL = EgressGuard(parse_networks("127.0.0.0/8"))
CONTEXT = httpx.create_ssl_context()
HEADERS = b"webhook-id: msg_1"


def poster(url: str, *, seconds: float = 2.0, guard: EgressGuard = LOCAL, **headers: str) -> Poster:
    return Poster(url, headers, guard, CONTEXT, seconds=seconds)


def answered(answer: bytes, times: int = 1) -> tuple[list[Reply | str], Receiver]:
    """What becomes of requests, one after the other, to a receiver that writes this."""

    async def go() -> tuple[list[Reply | str], Receiver]:
        async with receiver(lambda _: answer) as hook:
            it = poster(hook.url, seconds=0.3)
            found = [await reply(it) for _ in range(times)]
            it.close()
            return found, hook

    return asyncio.run(go())


async def reply(it: Poster) -> Reply | str:
    try:
        return await it.post(HEADERS, b"{}")
    except Unanswered as error:
        return error.reason


def test_connections_are_kept_and_as_many_as_are_needed() -> None:
    async def go() -> None:
        async with receiver() as hook:
            it = poster(f"{hook.url}/hook?a=1", authorization="Bearer x")
            for _ in range(20):
                assert (await it.post(HEADERS, b'{"n":1}')).body == b"ok"
            assert hook.connections == 1
            await asyncio.gather(*(it.post(HEADERS, b"{}") for _ in range(5)))
            assert hook.connections <= 5
            first = hook.received[0]
            assert (first.path, first.body) == ("/hook?a=1", b'{"n":1}')
            assert first.headers["authorization"] == "Bearer x"
            assert first.headers["webhook-id"] == "msg_1"
            assert first.headers["host"] == hook.url.removeprefix("http://")
            it.close()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", 200, b"hi"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", 200, b""),
        (b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\n\r\n", 302, b""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf", 200, b"half"),
    ],
)
def test_the_status_decides(answer: bytes, status: int, body: bytes) -> None:
    (found,), hook = answered(answer)
    assert isinstance(found, Reply)
    assert (found.status, found.body) == (status, body)
    assert len(hook.received) == 1


def test_only_the_beginning_of_an_answer_is_kept_and_an_endless_one_is_cut_off() -> None:
    long = b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n" + b"x" * 200_000
    (found,), _ = answered(long)
    assert isinstance(found, Reply)
    assert found.body == b"x" * KEPT_ANSWER


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "No answer came within 0.3 seconds."),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "The answer was not HTTP."),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 40_000, "The head of the answer was too long."),
    ],
)
def test_what_is_no_answer_is_told_as_such(answer: bytes, reason: str) -> None:
    (found,), _ = answered(answer)
    assert found == reason


@pytest.mark.parametrize("gap", [b"", b"\r\n"])
def test_an_answer_that_nobody_asked_for_is_never_taken_for_the_next_one(gap: bytes) -> None:
    one = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    found, hook = answered(one + gap + b"HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno", 3)
    assert [each.status for each in found if isinstance(each, Reply)] == [200, 200, 200]
    assert hook.connections == 3


@pytest.mark.parametrize("answer", [b"connection: close\r\n", b"", b"keep-alive: timeout=0\r\n"])
def test_a_connection_that_the_receiver_closed_is_replaced(answer: bytes) -> None:
    async def go() -> None:
        at: list[asyncio.BaseTransport] = []
        requests = 0

        class Closing(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = transport
                at.append(transport)

            def data_received(self, data: bytes) -> None:
                nonlocal requests
                requests += 1
                self.transport.write(  # type: ignore[attr-defined]
                    b"HTTP/1.1 200 OK\r\n" + answer + b"content-length: 0\r\n\r\n"
                )
                asyncio.get_running_loop().call_later(0.01, self.transport.close)

        server = await asyncio.get_running_loop().create_server(Closing, "127.0.0.1", 0)
        it = poster(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        for n in range(1, 4):
            assert (await it.post(HEADERS, b"{}")).status == 200
            assert requests == n, "a request that was not received is not lost, and not doubled"
            await asyncio.sleep(0.02)
        server.close()

    asyncio.run(go())


def test_a_receiver_that_hangs_up_without_an_answer_is_asked_once() -> None:
    async def go() -> None:
        requests = 0

        class Rude(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = transport

            def data_received(self, data: bytes) -> None:
                nonlocal requests
                requests += 1
                self.transport.close()

        server = await asyncio.get_running_loop().create_server(Rude, "127.0.0.1", 0)
        it = poster(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        assert await reply(it) == "The connection was closed before an answer came."
        assert requests == 1
        server.close()

    asyncio.run(go())


def test_nobody_there() -> None:
    async def go() -> None:
        async with receiver() as hook:
            url = hook.url
        assert await reply(poster(url)) == "The connection failed."

    asyncio.run(go())


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://[::1]:8080/", "http://169.254.169.254/latest", "ftp://x"]
)
def test_a_forbidden_address_is_refused_before_anything_is_opened(url: str) -> None:
    with pytest.raises(EgressRefused):
        poster(url, guard=EgressGuard())


def test_a_name_is_looked_up_and_checked_again_for_every_connection() -> None:
    async def go() -> None:
        addresses = ["127.0.0.1"]

        async def resolve(host: str, port: int) -> list[str]:
            return addresses

        guard = EgressGuard(parse_networks("127.0.0.0/8"), resolver=resolve)
        async with receiver() as hook:
            port = hook.url.rpartition(":")[2]
            it = poster(f"http://receiver.example:{port}/", guard=guard)
            assert (await it.post(HEADERS, b"{}")).status == 200
            assert hook.received[0].headers["host"] == f"receiver.example:{port}"
            it.close()
            addresses[:] = ["169.254.169.254"]
            assert await reply(it) == "The host name leads to a cloud metadata address."
            addresses[:] = []
            assert await reply(it) == "The host name has no address."
            assert len(hook.received) == 1

    asyncio.run(go())


def test_a_connection_that_has_been_idle_is_closed() -> None:
    async def go() -> None:
        async with receiver() as hook:
            it = poster(hook.url)
            await it.post(HEADERS, b"{}")
            now = asyncio.get_running_loop().time()
            it.close_idle(now - 60)
            await it.post(HEADERS, b"{}")
            assert hook.connections == 1
            it.close_idle(now + 60)
            await it.post(HEADERS, b"{}")
            assert hook.connections == 2

    asyncio.run(go())


# TLS -----------------------------------------------------------------------------------------


def certificate(folder: Path, name: str) -> Path:
    """A key and a certificate for `name`, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ip_address(name)) if name[0].isdigit() else x509.DNSName(name)]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


def over_tls(folder: Path, name: str, go: Callable[[str, ssl.SSLContext], Awaitable[None]]) -> None:
    """Run with a server whose certificate is for `name`, and a context that trusts it."""
    chain = certificate(folder, name)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(chain)

    class Answering(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(  # type: ignore[attr-defined]
                b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
            )

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Answering, "127.0.0.1", 0, ssl=served)
        trusting = ssl.create_default_context(cafile=str(chain))
        await go(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", trusting)
        server.close()

    asyncio.run(run())


def test_tls_is_verified(tmp_path: Path) -> None:
    async def go(url: str, trusting: ssl.SSLContext) -> None:
        it = Poster(url, {}, LOCAL, trusting)
        for _ in range(3):
            assert (await it.post(HEADERS, b"{}")).status == 200
        it.close()
        found = await reply(Poster(url, {}, LOCAL, CONTEXT))
        assert isinstance(found, str)
        assert found.startswith("The certificate is not valid: ")

    over_tls(tmp_path, "127.0.0.1", go)


def test_a_certificate_of_somebody_else_is_refused(tmp_path: Path) -> None:
    async def go(url: str, trusting: ssl.SSLContext) -> None:
        found = await reply(Poster(url, {}, LOCAL, trusting))
        assert isinstance(found, str)
        assert found.startswith("The certificate is not valid: ")

    over_tls(tmp_path, "somebody.example", go)
