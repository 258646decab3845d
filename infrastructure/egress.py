"""The egress guard: where an outgoing request may go, decided when an address is registered and
again in the very step that opens the connection (`infrastructure.guarded_http`).

URLs of tenants (webhooks, media, callbacks) must not reach what only this machine can reach. A URL
passes three gates: its text (`EgressGuard.check_url`), every address its host name leads to
(`EgressGuard.resolve`), and the connection itself, which `PinnedBackend` opens to an address that
it has just checked. No second look-up stands between check and use, so rebinding has no moment to
act in; TLS still verifies the host name.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import (
    AddressValueError,
    IPv4Address,
    IPv6Address,
    ip_address,
)

import httpx
import idna

from infrastructure.addresses import Address, Network, address_class, embedded_ipv4

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

MAX_URL_LENGTH = 2048

# A name below one of these, or of one label, is never public (RFC 6761, 6762, 8375; ICANN keeps
# `internal` for private use; the others are what private networks commonly use).
_PRIVATE_SUFFIXES = tuple(re.findall(r"\.[a-z.]+", """
    .corp .home .home.arpa .internal .intranet .lan .local .localdomain .localhost .private
"""))  # fmt: skip
# Names whose address is known without asking, hence refused unless that address is opened.
_KNOWN_NAMES: dict[str, tuple[Address, ...]] = {
    name: tuple(map(ip_address, addresses))
    for name, *addresses in (
        ("localhost", "127.0.0.1", "::1"),
        ("localdomain", "127.0.0.1", "::1"),
        ("metadata", "169.254.169.254"),
        ("metadata.goog", "169.254.169.254"),
        ("metadata.google.internal", "169.254.169.254"),
        ("instance-data", "169.254.169.254"),
        ("instance-data.ec2.internal", "169.254.169.254"),
    )
}

# Below 1024 only the two ports of HTTP. Above, what is left of the Fetch standard's bad ports
# (https://fetch.spec.whatwg.org/#port-blocking) and the usual ports of databases, brokers, remote
# desktops and cluster control: nobody receives a webhook there, and an HTTP request can be a
# command to some of them.
_WEB_PORTS = frozenset({80, 443})
_BAD_PORTS = frozenset(map(int, re.findall("[0-9]+", """
    1719 1720 1723 2049 3659 4045 4190 5060 5061 6000 6566 6665 6666 6667 6668 6669 6679 6697 10080
    1433 1434 1521 1883 2181 2375 2376 2377 2379 2380 3260 3306 3389 4222 4369 5432 5433 5555 5671
    5672 5900 5901 5938 5984 5985 5986 6379 6380 6432 6443 7000 7001 7199 7687 8883 9042 9092 9160
    9200 9300 10250 10255 11211 15672 16379 25672 26379 27017 27018 27019 28015 33060 50070 61616
""")))  # fmt: skip

_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)(#.*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([1-9][0-9]{0,4}))?")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


class EgressRefused(Exception):
    """An outgoing request may not go there. `reason` is one sentence for whoever asked for it; it
    names the kind of address, and never the address, credentials, path or query."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NameNotResolved(Exception):
    """The host name has no address now, or the resolver did not answer in time. Not a refusal."""


def parse_url(url: str) -> tuple[str, Address | str, int, httpx.URL]:
    """Scheme, host (an address, or a lower-case ASCII name), port, and the URL to be used.

    The grammar is narrower than any standard, so that no two readers can take the text for
    different hosts; the URL library's reading must agree with ours. Raises `EgressRefused`.
    """
    if len(url) > MAX_URL_LENGTH:
        raise EgressRefused(f"The URL is longer than {MAX_URL_LENGTH} characters.")
    if any(char.isspace() or not char.isprintable() for char in url):
        raise EgressRefused("The URL contains a space, a control or an invisible character.")
    if "\\" in url:
        raise EgressRefused("The URL contains a backslash.")
    match = _URL.fullmatch(url)
    if match is None:
        raise EgressRefused("The URL must begin with http:// or https://.")
    scheme, authority, _, fragment = match.groups()
    if fragment is not None:
        raise EgressRefused("The URL must not have a fragment.")
    if "@" in authority:
        raise EgressRefused("The URL must not contain credentials.")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise EgressRefused("The host or the port of the URL is malformed.")
    scheme, host = scheme.lower(), _parse_host(parts[1])
    port = int(parts[2] or (443 if scheme == "https" else 80))
    if port > 65535:
        raise EgressRefused("The port must lie between 1 and 65535.")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise EgressRefused("The URL is malformed.") from None
    if parsed.scheme != scheme or parsed.userinfo or not _same_host(parsed, host):
        raise EgressRefused("The host of the URL can be read in more than one way.")
    return scheme, host, port, parsed.copy_with(host=str(host))


def _same_host(parsed: httpx.URL, host: Address | str) -> bool:
    text = parsed.raw_host.decode("ascii")
    return text == host if isinstance(host, str) else ip_address(text) == host


def _parse_host(text: str) -> Address | str:
    if not text:
        raise EgressRefused("The URL has no host.")
    if text.startswith("["):
        if "%" in text:
            raise EgressRefused("An IPv6 address must not have a zone identifier.")
        try:
            return IPv6Address(text[1:-1])
        except AddressValueError:
            raise EgressRefused("The IPv6 address of the URL is malformed.") from None
    name = _to_ascii(text)
    if name.endswith("."):
        raise EgressRefused("The host name must not end in a dot.")
    # The rule of the URL standard ("ends in a number"): such a host can only be an IPv4 address,
    # and resolvers read many more notations of it than RFC 3986 allows.
    if _NUMBER.fullmatch(name.rpartition(".")[2]):
        try:
            return IPv4Address(name)
        except AddressValueError:
            raise EgressRefused(
                "An IPv4 address must be written as four decimal numbers without leading zeros."
            ) from None
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        raise EgressRefused("The host name is malformed.")
    return name


def _to_ascii(host: str) -> str:
    """The name in lower-case ASCII, by IDNA 2008 without mapping (RFC 5891): digits, letters and
    dots that only look like those of ASCII are refused, not repaired."""
    return ".".join(map(_label_to_ascii, host.split(".")))


def _label_to_ascii(label: str) -> str:
    lower = label.lower()
    if label.isascii() and not lower.startswith("xn--"):
        return lower
    try:
        encoded = idna.alabel(lower).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        encoded = ""
    if not encoded.startswith("xn--"):
        raise EgressRefused("The international host name is malformed.")
    return encoded


class EgressGuard:
    """Decides where an outgoing request may go.

    `allowed` opens what it names and nothing else: an address within those networks passes, on any
    port. An IPv6 address that carries an IPv4 address passes only if both are open or public.
    `ports`, when given, are the only ports of public hosts; by default these are 80, 443 and every
    unprivileged port that no other well-known service owns. `require_https` keeps plain HTTP to
    addresses in `allowed` and to names that only a private network can have.
    `resolver` answers the textual addresses of (host, port), by default the system's.
    """

    def __init__(
        self,
        allowed: Sequence[Network] = (),
        *,
        ports: frozenset[int] | None = None,
        require_https: bool = False,
        resolver: Resolver | None = None,
        resolve_timeout: float = 5.0,
    ) -> None:
        self._allowed = tuple(allowed)
        self._ports = ports
        self._require_https = require_https
        self._resolver = resolver or _SystemResolver()
        self._resolve_timeout = resolve_timeout

    def check_url(self, url: str) -> httpx.URL:
        """The normalised URL, if its text breaks no rule; looks nothing up and does no I/O.

        Raises `EgressRefused`. A name that passes here can still lead to a refused address.
        """
        scheme, host, port, parsed = parse_url(url)
        if isinstance(host, str):
            private = self._check_name(host)
            # Where it leads is not known yet, so a private network's right to any port stands.
            if not self._allowed:
                self._check_port(port)
        else:
            self.check_address(host, port)
            private = self._opens(host)
        if self._require_https and scheme == "http" and not private:
            raise EgressRefused("The URL must begin with https://.")
        return parsed

    async def check_target(self, url: str) -> httpx.URL:
        """`check_url`, and then where the name leads now: what registering an address asks.

        Raises `EgressRefused`, `NameNotResolved`.
        """
        parsed = self.check_url(url)
        port = parsed.port or (443 if parsed.scheme == "https" else 80)
        await self.resolve(parsed.raw_host.decode("ascii"), port)
        return parsed

    def check_address(self, address: Address, port: int, subject: str = "The host is") -> None:
        """Raises `EgressRefused`, its reason beginning with `subject`, unless a connection to this
        address and port is allowed."""
        if refusal := self._refusal(address):
            raise EgressRefused(f"{subject} {refusal}.")
        if not self._opens(address):
            self._check_port(port)

    async def resolve(self, host: str, port: int) -> list[Address]:
        """Every address of the host, in the resolver's order, all of them allowed.

        One refused address refuses the host: a name that leads both out and in is an attack or a
        mistake. Raises `EgressRefused`, `NameNotResolved`.
        """
        try:
            literal = ip_address(host)
        except ValueError:
            addresses = await self._look_up(host, port)
            subject = "The host name leads to"
        else:
            addresses, subject = [literal], "The host is"
        for address in addresses:
            self.check_address(address, port, subject)
        return addresses

    async def _look_up(self, host: str, port: int) -> list[Address]:
        try:
            async with asyncio.timeout(self._resolve_timeout):
                found = await self._resolver(host, port)
        except TimeoutError:
            raise NameNotResolved("The host name was not resolved in time.") from None
        except (OSError, UnicodeError):
            raise NameNotResolved("The host name could not be resolved.") from None
        if not found:
            raise NameNotResolved("The host name has no address.")
        return [ip_address(text) for text in dict.fromkeys(found)]

    def _check_name(self, name: str) -> bool:
        """Whether only a private network can have this name."""
        known = _KNOWN_NAMES.get(name) or _KNOWN_NAMES.get(name.rpartition(".")[2], ())
        if known and not any(map(self._opens, known)):
            raise EgressRefused(f"The host name stands for {address_class(known[0])}.")
        private = "." not in name or name.endswith(_PRIVATE_SUFFIXES)
        if private and not self._allowed:
            raise EgressRefused("The host is a name of a private network.")
        return private

    def _check_port(self, port: int) -> None:
        if self._ports is not None:
            fit = port in self._ports
        else:
            fit = port in _WEB_PORTS or (port >= 1024 and port not in _BAD_PORTS)
        if not fit:
            raise EgressRefused(f"Port {port} is not open to outgoing requests.")

    def _opens(self, address: Address) -> bool:
        return any(address in network for network in self._allowed)

    def _refusal(self, address: Address) -> str | None:
        if not self._opens(address):
            return address_class(address)
        return next(filter(None, map(self._refusal, embedded_ipv4(address))), None)


class _SystemResolver:
    """`getaddrinfo` on threads of its own, so that names whose servers never answer cannot use up
    the threads that the rest of the process works with."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=16, thread_name_prefix="resolver")

    async def __call__(self, host: str, port: int) -> list[str]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        )
        return [str(entry[4][0]) for entry in found]
