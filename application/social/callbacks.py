"""Calling the addresses that accounts were connected with (`webhook_url`).

Each address is an endpoint of webhooks like any other, limited to its network. A connection that
brings an address makes the endpoint, under an id of its own, so that repeats make no second one;
a later connection with the same address leaves it as it is, secret and all, and one that replaces
the address has the endpoint moved. Jobs may be carried out more than once, and may die at any line.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid5

from application.kernel import NO_ANSWER, Command, Desk, Job, Log
from application.social.connections import ACTOR
from application.webhooks.catalogue import as_patterns, wanted
from application.webhooks.endpoints import (
    ChangeEndpoint,
    EndpointChange,
    EndpointRequest,
    NewSecret,
    RegisterEndpoint,
    RemoveEndpoint,
)
from domain.kernel import NotFound
from domain.social.connections import Connection, DisconnectedBecause
from domain.social.networks import Network
from domain.webhooks.endpoints import UNTIL_NOW, EndpointStatus, WebhookEndpoint

LOOK_AGAIN = (1, 2, 5, 20, 60, 180, 330)
"""Seconds between looks whether an endpoint that is told nothing new has got all that waits for
it; after these, ten minutes, what still waits is given up."""


class Endpoints(Protocol):
    """The port to what endpoints need beside the log."""

    async def keep_secret(self, tenant: str) -> NewSecret:
        """A new signing secret, put away."""
        ...

    async def position_of(self, stream_id: UUID, version: int) -> int:
        """Where an event stands in the log."""
        ...

    async def at_rest(self, endpoint_id: UUID) -> bool:
        """Whether nothing waits for an endpoint any more."""
        ...


@dataclass(frozen=True)
class MakeCallback:
    """An endpoint that is told of a network, beginning with the connection at position `since`."""

    network: Network
    id: UUID
    url: str
    secret: NewSecret
    since: int

    def handle(self) -> WebhookEndpoint:
        events = [f"social.*@{self.network}"]
        description = f"The webhook_url that {self.network} was connected with."
        request = EndpointRequest(url=self.url, events=events, description=description)
        endpoint = RegisterEndpoint(request, self.secret, id=self.id).handle()
        endpoint.replay(as_patterns(wanted(events)), self.since, UNTIL_NOW, only_failed=False)
        return endpoint


class TellNothingNew(Command):
    """What waits is still sent."""

    def handle(self, endpoint: WebhookEndpoint) -> None:
        endpoint.change_events(())


@dataclass(frozen=True)
class Callbacks:
    """The addresses of a network, and the endpoints that were made for them, as they are met by
    the job of the connection `id`. Each connection has a job, which may be late: what the others
    are about to do is left to them."""

    connection: Connection
    made: Sequence[WebhookEndpoint]
    id: UUID

    @property
    def wanted(self) -> str | None:
        """The address that this connection has brought and that nothing is sent to yet."""
        account = self.connection.accounts.get(self.id)
        url = account.link.webhook_url if account else None
        return None if url in {each.url for each in self._serving} else url

    @property
    def spare(self) -> list[WebhookEndpoint]:
        """Endpoints that are of no use to any account, unless it be for the wanted address.

        Kept are as many as there are other addresses without one: an administrator has changed
        the address of their endpoint, or their connection is about to take over a former one.
        """
        brought = set(self.connection.brought.values())
        former = [each for each in self._serving if each.url not in self.connection.callbacks]
        former.sort(key=lambda each: each.url not in brought)
        served = {each.url for each in self._serving}
        removed = {each.url for each in self.made if each.removed and each.events}
        kept = self.connection.callbacks - served - removed - {self.wanted}
        return former[: max(len(former) - len(kept), 0)]

    @property
    def ending(self) -> list[WebhookEndpoint]:
        """Endpoints that are told nothing new already."""
        return [each for each in self.made if not each.removed and not each.events]

    @property
    def _serving(self) -> list[WebhookEndpoint]:
        return [each for each in self.made if not each.removed and each.events]


@dataclass(frozen=True)
class CallingBack:
    """What these jobs need."""

    log: Log
    endpoints: Endpoints

    async def follow(
        self, tenant: str, network: str, connection_id: str, version: int
    ) -> Iterable[Job]:
        """A connection was made or cut: have those addresses called that accounts of the network
        are connected with, and no other (a job). `version` is that of the event."""
        on, id = Network(network), UUID(connection_id)
        stream = Connection.create_id(on, tenant)
        connection = await self.log.load(Connection, stream)
        if connection is None:
            return []
        made = [await self._endpoint(each) for each in connection.brought]
        callbacks = Callbacks(connection, [each for each in made if each is not None], id)
        spare, url = callbacks.spare, callbacks.wanted
        if url is not None and spare:
            await self._move(tenant, spare.pop(0).id, url)
        elif url is not None and await self._endpoint(id) is None:
            since = await self.endpoints.position_of(stream, version)
            secret = await self.endpoints.keep_secret(tenant)
            command = MakeCallback(on, endpoint_id(id), url, secret, since)
            await self._desk(tenant, stream).create(command, lambda _: NO_ANSWER)
        over = [*spare, *callbacks.ending]
        for each in over:
            await self._desk(tenant, each.id).carry_out(WebhookEndpoint, each.id, TellNothingNew())
        return [removal(tenant, each.id, 0) for each in over]

    async def remove(self, tenant: str, endpoint_id: str, looked: int) -> Iterable[Job]:
        """Remove an endpoint once it has got what waits for it, or has had its time (a job)."""
        id = UUID(endpoint_id)
        if looked < len(LOOK_AGAIN) and not await self.endpoints.at_rest(id):
            return [removal(tenant, id, looked + 1)]
        with suppress(NotFound):  # somebody was quicker
            await self._desk(tenant, id).carry_out(WebhookEndpoint, id, RemoveEndpoint())
        return []

    async def _endpoint(self, connection_id: UUID) -> WebhookEndpoint | None:
        return await self.log.load(WebhookEndpoint, endpoint_id(connection_id))

    async def _move(self, tenant: str, id: UUID, url: str) -> None:
        """Whatever it was disabled for at the former address, the new one has its own chance."""
        change = EndpointChange(url=url, status=EndpointStatus.ENABLED)
        await self._desk(tenant, id).carry_out(WebhookEndpoint, id, ChangeEndpoint(change, None))

    def _desk(self, tenant: str, correlation: UUID) -> Desk:
        return Desk(self.log, tenant, ACTOR, correlation_id=correlation.hex, follows=False)


def endpoint_id(connection_id: UUID) -> UUID:
    """The endpoint that a connection may make."""
    return uuid5(connection_id, "callback")


def follow_callbacks(event: Connection.Connected | Connection.Disconnected) -> Iterable[Job]:
    """Addresses come with connections and go with them; what is cut to be replaced is followed by
    its successor at once."""
    match event:
        case Connection.Connected(link=link):
            id = link.connection_id
        case Connection.Disconnected(because=DisconnectedBecause.REPLACED):
            return
        case Connection.Disconnected(connection_id=id):
            pass
    yield Job(
        "social.follow_callbacks",
        {
            "tenant": event.tenant,
            "network": event.network.value,
            "connection_id": id.hex,
            "version": event.originator_version,
        },
        lock=f"callbacks:{event.originator_id}",
    )


def removal(tenant: str, endpoint_id: UUID, looked: int) -> Job:
    """A look at an endpoint that is told nothing new, after so many others."""
    later = timedelta(seconds=LOOK_AGAIN[looked - 1] if looked else 0)
    return Job(
        "social.remove_callback",
        {"tenant": tenant, "endpoint_id": endpoint_id.hex, "looked": looked},
        at=datetime.now(UTC) + later,
    )
