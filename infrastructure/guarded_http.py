"""HTTP connections that go where the egress guard lets them."""

import asyncio
import ssl
from collections.abc import Iterable

import httpcore
import httpx
from anyio.streams.tls import TLSStream

from infrastructure.egress import EgressGuard, EgressRefused, NameNotResolved


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Resolves, checks and connects in one step: the address that was checked is the one used."""

    def __init__(self, guard: EgressGuard) -> None:
        self._guard = guard
        self._sockets = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (the library's interface)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A stream to the first address that answers; `timeout` (seconds) covers the look-up too.

        Raises `EgressRefused`, `httpcore.ConnectError`, `httpcore.ConnectTimeout`.
        """
        options = list(socket_options or ())
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._guard.resolve(host, port)
                # An address that never answers must leave time for the ones behind it.
                share = timeout / len(addresses) if timeout is not None else None
                for address in addresses[:-1]:
                    try:
                        return await self._sockets.connect_tcp(
                            str(address), port, share, local_address, options
                        )
                    except (httpcore.ConnectError, httpcore.ConnectTimeout):
                        continue
                return await self._sockets.connect_tcp(
                    str(addresses[-1]), port, timeout, local_address, options
                )
        except NameNotResolved as exc:
            raise httpcore.ConnectError(str(exc)) from exc
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout("The connection was not made in time.") from exc

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 (the library's interface)
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Always raises `EgressRefused`: whatever leaves goes over the network."""
        raise EgressRefused("Outgoing requests do not go to local sockets.")

    async def sleep(self, seconds: float) -> None:
        """Part of the backend's interface."""
        await asyncio.sleep(seconds)


class _Connection(httpcore.AsyncHTTPConnection):
    """A connection that is not used again once the server has said more than it was asked.

    Without this a second answer to one request, already received, would be taken for the answer to
    the next request (RFC 9112, section 9.2, has the client close such a connection).
    """

    def has_expired(self) -> bool:
        """Whether the pool must close this connection; asked before each use."""
        return super().has_expired() or (self.is_idle() and self._has_unread_bytes())

    def _has_unread_bytes(self) -> bool:
        protocol = self._connection
        return isinstance(protocol, httpcore.AsyncHTTP11Connection) and (
            bool(protocol._h11_state.trailing_data[0])
            or _has_received(getattr(protocol._network_stream, "_stream", None))
        )


def _has_received(stream: object) -> bool:
    """Whether bytes have left the socket that nobody has read: the library looks at the socket
    alone."""
    if isinstance(stream, TLSStream):
        waiting = stream._read_bio.pending or stream._ssl_object.pending()
        return bool(waiting) or _has_received(stream.transport_stream)
    return bool(getattr(getattr(stream, "_protocol", None), "read_queue", None))


class _Pool(httpcore.AsyncConnectionPool):
    """Guarded, HTTP/1.1 only: there, what was sent before a failure is known for certain."""

    def __init__(self, guard: EgressGuard, context: ssl.SSLContext, limits: httpx.Limits) -> None:
        super().__init__(
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
        )
        self._backend, self._context = PinnedBackend(guard), context
        self._idle_seconds = limits.keepalive_expiry

    def create_connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        """Called by the pool for every new connection."""
        return _Connection(
            origin,
            ssl_context=self._context,
            keepalive_expiry=self._idle_seconds,
            network_backend=self._backend,
        )


class GuardedTransport(httpx.AsyncHTTPTransport):
    """The one way out: an httpx transport in which every request, redirects included, passes the
    guard's text check and every connection is opened by `PinnedBackend`.

    Proxies of the environment are not used. `context` replaces the default trust store.
    """

    def __init__(
        self,
        guard: EgressGuard,
        *,
        limits: httpx.Limits = httpx.Limits(),
        context: ssl.SSLContext | None = None,
    ) -> None:
        context = context or httpx.create_ssl_context()
        super().__init__(verify=context)
        self._guard = guard
        self._pool = _Pool(guard, context, limits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request; raises `EgressRefused` and httpx's transport errors."""
        # A redirect may carry a fragment; it is never sent, hence no reason to refuse.
        request.url = self._guard.check_url(str(request.url.copy_with(fragment=None)))
        return await super().handle_async_request(request)
