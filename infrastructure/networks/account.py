"""A connected account as the application sees it: what is common to all networks.

Each sending is noted before it leaves, so that whatever happens then, it is known whether it may
be out, since when, and by which account. Only what was certainly not received is sent again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

import psycopg
import structlog
from psycopg_pool import PoolTimeout

from application.social.networks import (
    Heard,
    MentionReply,
    OutcomeUnknown,
    Outgoing,
    Overheard,
    Publication,
    Receipt,
    RefusedByNetwork,
    Watch,
)
from domain.social.engagement import Comment, Figures
from domain.social.trends import Rising
from infrastructure.gateway_outcomes import GatewayError, GatewayOutcomeUnknown, GatewayUnreachable
from infrastructure.networks.api import Api, Notes, Sending
from infrastructure.networks.line import Fault, NetworkSaysNo, NetworkUnclear
from infrastructure.networks.store import Store

T = TypeVar("T")

log = structlog.get_logger()

CERTAIN_AFTER = timedelta(minutes=10)
"""An account shows its posts with a delay, and a request that timed out may still be at work: only
after so long does "not there" mean "never arrived"."""

Renew = Callable[[Api], Awaitable[Api | None]]
"""New tokens for an account whose tokens were refused; None when there are none to be had."""

GiveUp = Callable[[str], Awaitable[None]]
"""Note that an account is of no use any more, and why."""


@dataclass
class _Notes:
    """The notes of one sending (`api.Notes`)."""

    store: Store
    outgoing: Outgoing
    connection_id: UUID
    begun: bool = field(default=False)

    async def about_to_send(self, reference: str | None = None) -> None:
        await self.store.begin(self.outgoing, self.connection_id, reference)
        self.begun = True

    async def others(self, found: Sequence[str]) -> frozenset[str]:
        return await self.store.others(self.outgoing, found)


@dataclass
class ConnectedAccount:
    """One account on a real network; implements `application.social.networks.SocialNetwork`."""

    api: Api
    store: Store
    connection_id: UUID
    renew: Renew
    give_up: GiveUp
    certain_after: timedelta = CERTAIN_AFTER

    @property
    def provider(self) -> str:
        """The network's own name."""
        return self.api.network.value

    @property
    def _scopes(self) -> tuple[str, str]:
        return f"app:{self.api.network}", f"account:{self.connection_id}"

    async def publish(self, publication: Publication) -> Receipt:
        """As the port says."""
        return await self._send(publication, lambda api, notes: api.publish(publication, notes))

    async def find(self, publication: Publication) -> Receipt | None:
        """As the port says."""
        return await self._find(
            publication, lambda api, sending, notes: api.find(publication, sending, notes)
        )

    async def reply(self, reply: MentionReply) -> Receipt:
        """As the port says."""
        return await self._send(reply, lambda api, notes: api.reply(reply, notes))

    async def find_reply(self, reply: MentionReply) -> Receipt | None:
        """As the port says."""
        return await self._find(
            reply, lambda api, sending, notes: api.find_reply(reply, sending, notes)
        )

    async def _send(
        self, outgoing: Outgoing, send: Callable[[Api, Notes], Awaitable[Receipt]]
    ) -> Receipt:
        async with _database_may_fail():
            await self._wait_asked_for()
            earlier = await self.store.sent(outgoing)
            if earlier is not None and earlier.receipt is not None:
                return earlier.receipt
            notes = _Notes(self.store, outgoing, self.connection_id)
            try:
                receipt = await self._with_fresh_tokens(lambda api: send(api, notes))
            except NetworkSaysNo as no:
                await self._nothing_sent(notes)
                raise await self._refused(no) from None
            except GatewayUnreachable as error:
                await self._nothing_sent(notes)
                raise RefusedByNetwork("unreachable", error.reason) from None
            except (GatewayOutcomeUnknown, NetworkUnclear) as error:
                if notes.begun:
                    raise OutcomeUnknown(_reason(error)) from None
                message = f"Nothing was sent: a step before it failed. {_reason(error)}"
                raise RefusedByNetwork("no_answer", message) from None
            await self.store.found(outgoing, receipt)
            return receipt

    async def _find(
        self, outgoing: Outgoing, look: Callable[[Api, Sending, Notes], Awaitable[Receipt | None]]
    ) -> Receipt | None:
        async with _database_may_fail():
            sent = await self.store.sent(outgoing)
            if sent is None:
                return None
            if sent.receipt is not None:
                return sent.receipt
            if sent.connection_id != self.connection_id:
                raise OutcomeUnknown("It was sent through another account, which is not asked.")
            notes = _Notes(self.store, outgoing, self.connection_id)
            receipt = await self._look(lambda api: look(api, sent.sending, notes))
            if receipt is not None:
                await self.store.found(outgoing, receipt)
            elif datetime.now(UTC) - sent.sending.sent_at < self.certain_after:
                raise OutcomeUnknown("The network does not show it, or not yet.")
            else:
                await self.store.undo(outgoing)
            return receipt

    async def engagement(
        self, publication: Publication, network_post_id: str
    ) -> tuple[Figures, Sequence[Comment]]:
        """As the port says."""
        async with _database_may_fail():
            sent = await self.store.sent(publication)
            if sent is None or sent.connection_id != self.connection_id:
                raise OutcomeUnknown("It was published through another account.")
            return await self._look(lambda api: api.engagement(network_post_id))

    async def mentions(self, watch: Watch) -> Heard:
        """As the port says."""
        async with _database_may_fail():
            return await self._look(lambda api: api.mentions(watch))

    async def subscribe(self) -> bool:
        """As the port says."""
        with self._logging("account.not_subscribed"):
            async with _database_may_fail():
                return await self._look(lambda api: api.subscribe())

    async def mention(self, mention_id: str) -> Overheard | None:
        """As the port says."""
        with self._logging("mention.not_shown"):
            async with _database_may_fail():
                return await self._look(lambda api: api.mention(mention_id))

    async def rising(self, place: str) -> Sequence[Rising] | None:
        """As the port says."""
        async with _database_may_fail():
            return await self._look(lambda api: api.rising(place))

    async def _look(self, ask: Callable[[Api], Awaitable[T]]) -> T:
        """A question without consequences: whatever stands in its way, the answer is unknown."""
        if await self.store.paused(self._scopes):
            raise OutcomeUnknown("The network has asked for a pause.")
        try:
            return await self._with_fresh_tokens(ask)
        except NetworkSaysNo as no:
            refused = await self._refused(no)
            raise OutcomeUnknown(refused.message) from None
        except (GatewayError, NetworkUnclear) as error:
            raise OutcomeUnknown(_reason(error)) from None

    @contextmanager
    def _logging(self, event: str) -> Iterator[None]:
        """Say why, where nobody else will: a permission may be missing."""
        try:
            yield
        except OutcomeUnknown as unknown:
            log.warning(event, network=self.provider, reason=str(unknown)[:200])
            raise

    async def _with_fresh_tokens(self, do: Callable[[Api], Awaitable[T]]) -> T:
        """Again with new tokens when these are refused: what was refused was not carried out."""
        try:
            return await do(self.api)
        except NetworkSaysNo as no:
            if no.fault is not Fault.TOKEN:
                raise
            renewed = await self.renew(self.api)
            if renewed is None:
                raise
            self.api = renewed
            return await do(renewed)

    async def _nothing_sent(self, notes: _Notes) -> None:
        if notes.begun:
            await self.store.undo(notes.outgoing)

    async def _wait_asked_for(self) -> None:
        seconds = await self.store.paused(self._scopes)
        if seconds:
            message = "The network has asked for a pause."
            raise RefusedByNetwork("rate_limited", message, retry_after=seconds)

    async def _refused(self, no: NetworkSaysNo) -> RefusedByNetwork:
        match no.fault:
            case Fault.LATER:
                app, account = self._scopes
                seconds = no.retry_after or 60.0
                if no.code == "rate_limited":
                    await self.store.pause(app if no.whole_app else account, seconds)
                return RefusedByNetwork(no.code, no.message, retry_after=seconds)
            case Fault.TOKEN | Fault.ACCOUNT:
                await self.give_up(no.message)
            case Fault.POST:
                pass
        return RefusedByNetwork(no.code, no.message)


def _reason(error: GatewayError | NetworkUnclear) -> str:
    return error.reason if isinstance(error, GatewayError) else str(error)


@asynccontextmanager
async def _database_may_fail() -> AsyncIterator[None]:
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
        raise OutcomeUnknown(f"The database did not answer ({type(error).__name__}).") from error


@dataclass(frozen=True)
class UnusableAccount:
    """An account that cannot be used: nothing is sent, and nobody can be asked."""

    store: Store
    provider: str
    code: str
    message: str

    async def publish(self, publication: Publication) -> Receipt:
        """Refuse, saying why."""
        raise RefusedByNetwork(self.code, self.message)

    async def find(self, publication: Publication) -> Receipt | None:
        """What is known without asking."""
        return await self._known(publication)

    async def reply(self, reply: MentionReply) -> Receipt:
        """Refuse, saying why."""
        raise RefusedByNetwork(self.code, self.message)

    async def find_reply(self, reply: MentionReply) -> Receipt | None:
        """What is known without asking."""
        return await self._known(reply)

    async def _known(self, outgoing: Outgoing) -> Receipt | None:
        async with _database_may_fail():
            sent = await self.store.sent(outgoing)
            if sent is None or sent.receipt is not None:
                return None if sent is None else sent.receipt
        raise OutcomeUnknown(self.message)

    async def engagement(
        self, publication: Publication, network_post_id: str
    ) -> tuple[Figures, Sequence[Comment]]:
        """Nobody can be asked."""
        raise OutcomeUnknown(self.message)

    async def mentions(self, watch: Watch) -> Heard:
        """Nobody can be asked."""
        raise OutcomeUnknown(self.message)

    async def subscribe(self) -> bool:
        """Nobody can be asked."""
        raise OutcomeUnknown(self.message)

    async def mention(self, mention_id: str) -> Overheard | None:
        """Nobody can be asked."""
        raise OutcomeUnknown(self.message)

    async def rising(self, place: str) -> Sequence[Rising] | None:
        """Nobody can be asked."""
        raise OutcomeUnknown(self.message)
