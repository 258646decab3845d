"""Getting responses out: intention, attempt, outcome.

Each function is a job: it may be carried out more than once, and may die at any line. What it
returns are the jobs to come.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from eventsourcing.persistence import IntegrityError

from application.kernel import ATTEMPTS, NO_ANSWER, Desk, Job, Log, public_id
from application.social.networks import (
    MentionReply,
    OutcomeUnknown,
    RefusedByNetwork,
    SocialNetworks,
)
from application.social.publishing import ASK_AGAIN
from application.social.responses import RecordReply, StartPosting
from domain.kernel import Conflict
from domain.social.mentions import Mention
from domain.social.posts import Outcome, OutcomeStatus
from domain.social.responses import Response

RESPONDER = "tidings:responder"
"""The actor on what the house does to responses."""


@dataclass(frozen=True)
class Responding:
    """What these jobs need."""

    log: Log
    networks: SocialNetworks

    async def post(self, tenant: str, response_id: str, number: int) -> Iterable[Job]:
        """A draft waits to be sent."""
        desk = self._desk(tenant, response_id)
        try:
            response = await desk.carry_out(
                Response, UUID(response_id), StartPosting(number=number)
            )
        except Conflict as no:
            if no.reason == "busy":
                raise
            # Done already, or an earlier run died between intention and outcome: then ask first.
            return await self.settle(tenant, response_id, 0)
        return await self._attempt(desk, response, 0)

    async def settle(self, tenant: str, response_id: str, asked: int) -> Iterable[Job]:
        """Ask the network about a reply that may be out; send it only if it certainly is not."""
        desk = self._desk(tenant, response_id)
        response = await desk.get(Response, UUID(response_id))
        if not response.in_doubt:
            return []
        gateway = await self.networks.of(tenant, response.network)
        try:
            receipt = await gateway.find_reply(reply_of(response))
        except OutcomeUnknown as unknown:
            return await self._left_open(desk, response, gateway.provider, str(unknown), asked)
        if receipt is None and response.erased:
            # Without its words it would not be known among the others: it may be out.
            message = "The person that it speaks to has been erased."
            return await self._left_open(desk, response, gateway.provider, message, len(ASK_AGAIN))
        if receipt is None:
            return await self._attempt(desk, response, asked)
        await self._record(desk, response, receipt.outcome(gateway.provider))
        return []

    async def _attempt(self, desk: Desk, response: Response, asked: int) -> Iterable[Job]:
        gateway = await self.networks.of(response.tenant, response.network)
        provider = gateway.provider
        if response.erased:
            message = "The person that it speaks to has been erased."
            outcome = Outcome(OutcomeStatus.FAILED, provider, code="erased", message=message)
            await self._record(desk, response, outcome)
            return []
        try:
            receipt = await gateway.reply(reply_of(response))
        except RefusedByNetwork as no:
            if no.retry_after is not None and asked < len(ASK_AGAIN):
                return [_settle(response, asked + 1, timedelta(seconds=no.retry_after))]
            outcome = Outcome(OutcomeStatus.FAILED, provider, code=no.code, message=no.message)
        except OutcomeUnknown as unknown:
            return await self._left_open(desk, response, provider, str(unknown), asked)
        else:
            outcome = receipt.outcome(provider)
        await self._record(desk, response, outcome)
        return []

    async def _left_open(
        self, desk: Desk, response: Response, provider: str, message: str, asked: int
    ) -> Iterable[Job]:
        await self._record(
            desk, response, Outcome(OutcomeStatus.UNCONFIRMED, provider, message=message)
        )
        if asked < len(ASK_AGAIN):
            return [_settle(response, asked + 1, timedelta(seconds=ASK_AGAIN[asked]))]
        return []

    async def _record(self, desk: Desk, response: Response, outcome: Outcome) -> None:
        """Commit the outcome, and with it that the mention is answered."""
        number = response.number
        for _ in range(ATTEMPTS):
            response = await desk.get(Response, response.id)
            mention = await desk.get(Mention, response.mention_id)
            outside = public_id("resp", response.id)
            command = RecordReply(response, mention, number, outcome, outside)
            try:
                await desk.create_all(command, lambda _: NO_ANSWER)
                return
            except IntegrityError:
                continue  # one of the two has changed meanwhile
        raise Conflict("The response is being changed too quickly; try again.", code="busy")

    def _desk(self, tenant: str, response_id: str) -> Desk:
        return Desk(self.log, tenant, RESPONDER, correlation_id=response_id, follows=False)


def reply_of(response: Response) -> MentionReply:
    """What the network is to get."""
    return MentionReply(
        response.tenant,
        response.id,
        response.network,
        response.network_mention_id,
        response.draft.text,
    )


def post_draft(event: Response.Drafted | Response.Redrafted) -> Iterable[Job]:
    """What has been decided on is sent at once."""
    number = event.number if isinstance(event, Response.Redrafted) else 1
    yield Job(
        "social.post_response",
        {"tenant": event.tenant, "response_id": event.originator_id.hex, "number": number},
        lock=f"response:{event.originator_id}",
    )


def _settle(response: Response, asked: int, wait: timedelta) -> Job:
    return Job(
        "social.settle_response",
        {"tenant": response.tenant, "response_id": response.id.hex, "asked": asked},
        at=datetime.now(UTC) + wait,
        lock=f"response:{response.id}",
    )
