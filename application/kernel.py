"""What may be asked, and the desk where it is carried out.

A command is the body of a request: frozen, and without room for anything unknown. Its `handle`
decides, purely and synchronously. The desk does everything around it, once for all rooms.
"""

from asyncio import to_thread
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from eventsourcing.persistence import IntegrityError
from pydantic import BaseModel, ConfigDict

from domain.kernel import (
    Acting,
    Aggregate,
    Conflict,
    DomainEvent,
    NotFound,
    PreconditionFailed,
    Refusal,
    acting_as,
)

A = TypeVar("A", bound=Aggregate)
A_contra = TypeVar("A_contra", bound=Aggregate, contravariant=True)
R_co = TypeVar("R_co", covariant=True)
M = TypeVar("M", bound=BaseModel)
M_co = TypeVar("M_co", bound=BaseModel, covariant=True)

ATTEMPTS = 20
"""How often a command is decided again when other processes keep changing its aggregate."""


class Command(BaseModel):
    """A frozen request that forbids unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Creates(Protocol[R_co]):
    """A command that begins one aggregate, or several that belong together."""

    def handle(self) -> R_co: ...


class Changes(Protocol[A_contra]):
    """A command to an aggregate that exists."""

    def handle(self, aggregate: A_contra, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Decision:
    """What one command adds to the log, all or nothing.

    `caller` follows their own writes (None for the house's own commands); `key` and `request`
    are digests of the idempotency key and of what was asked; `answer` is kept with the key.
    """

    tenant: str
    events: Sequence[DomainEvent]
    caller: str | None = None
    key: bytes | None = None
    request: bytes | None = None
    answer: bytes | None = None


@dataclass(frozen=True, slots=True)
class Appended:
    """Where the log stands after a decision; `answer` is the earlier one when it was a repeat."""

    position: int
    answer: bytes | None = None


class Log(Protocol):
    """The port to the event log."""

    def alone(self, what: object) -> AbstractAsyncContextManager[None]: ...
    async def load(self, kind: type[A], stream_id: UUID) -> A | None: ...
    async def append(self, decision: Decision) -> Appended: ...
    async def answered(self, tenant: str, key: bytes, request: bytes) -> Appended | None: ...


@dataclass(frozen=True, slots=True)
class Job:
    """Work that follows an event, now or `at` an instant; carried out at least once.

    `arguments` are JSON. Jobs with the same `lock` are carried out one after the other.
    `reminder` names what a job only sees to that it is so: where many events ask for the same,
    one job in some seconds is enough, and the others may be left out.
    """

    name: str
    arguments: Mapping[str, str | int]
    at: datetime | None = None
    lock: str | None = None
    reminder: str | None = None


Policy = Callable[[Any], Iterable[Job]]
"""What follows from an event. Pure: the same event always yields the same jobs."""


@dataclass(frozen=True, slots=True)
class Idempotency:
    """Digests of (caller, endpoint, Idempotency-Key) and of the request that came with it."""

    key: bytes
    request: bytes

    @classmethod
    def of(cls, caller: str, endpoint: str, key: str, request: bytes) -> "Idempotency":
        return cls(
            sha256("\0".join((caller, endpoint, key)).encode()).digest(),
            sha256(endpoint.encode() + b"\0" + request).digest(),
        )


@dataclass(frozen=True, slots=True)
class Answer(Generic[M_co]):
    """What goes back to the caller: the JSON of an `M`, the log's position, the version.

    `id` is the aggregate that was decided on, None when the answer is that of an earlier time.
    """

    body: bytes
    position: int | None
    version: int
    id: UUID | None = None

    @property
    def replayed(self) -> bool:
        return self.id is None


class NoAnswer(BaseModel):
    """For commands of the house itself, which nobody waits for."""


NO_ANSWER = NoAnswer()


@dataclass(frozen=True, slots=True)
class Desk:
    """One caller's way to change things. Every write of every room passes here.

    `follows` is True for callers who will want to read what they wrote, False for the house.
    `at` is the instant of the decision, for what is brought in from elsewhere; else it is now.
    """

    log: Log
    tenant: str
    actor: str
    correlation_id: str
    causation_id: str | None = None
    follows: bool = True
    idempotency: Idempotency | None = None
    if_match: int | None = None
    at: datetime | None = None

    async def create(self, command: Creates[A], answer: Callable[[A], M]) -> Answer[M]:
        """Begin an aggregate and answer from it."""
        return await self._once(lambda: self._create(command, answer))

    async def create_all(
        self,
        command: Creates[Sequence[A]],
        answer: Callable[[Sequence[A]], M],
        changing: Aggregate | None = None,
    ) -> Answer[M]:
        """Decide on several aggregates together, all or nothing; versions are of the first.

        `changing` is the one that the caller means, when it exists already: raises
        `PreconditionFailed` when If-Match is stale.
        """
        return await self._once(lambda: self._create_all(command, answer, changing))

    async def change(
        self, kind: type[A], id: UUID, command: Changes[A], answer: Callable[[A], M]
    ) -> Answer[M]:
        """Decide on an aggregate that exists and answer from it.

        Raises `NotFound` (also for another tenant's), `PreconditionFailed` when If-Match is
        stale, and whatever the aggregate refuses. When another process was quicker, the command
        is decided again on the newer state.
        """
        return await self._once(lambda: self._change(kind, id, command, answer))

    async def carry_out(self, kind: type[A], id: UUID, command: Changes[A]) -> A:
        """`change` for the house's own commands: the aggregate itself comes back."""
        changed: list[A] = []

        def keep(aggregate: A) -> NoAnswer:
            changed[:] = [aggregate]
            return NO_ANSWER

        await self.change(kind, id, command, keep)
        return changed[0]

    async def get(self, kind: type[A], id: UUID) -> A:
        """The aggregate as it is, for a decision that needs to look at a neighbour."""
        aggregate = await self.log.load(kind, id)
        if aggregate is None or aggregate.tenant != self.tenant:
            raise NotFound(f"There is no such {name_of(kind)}.")
        return aggregate

    async def _create(self, command: Creates[A], answer: Callable[[A], M]) -> Answer[M]:
        with acting_as(self._acting()):
            aggregate = command.handle()
        return await self._append([aggregate], _render(answer(aggregate)))

    async def _create_all(
        self,
        command: Creates[Sequence[A]],
        answer: Callable[[Sequence[A]], M],
        changing: Aggregate | None,
    ) -> Answer[M]:
        if changing is not None:
            self._check_version(changing)
        with acting_as(self._acting()):
            # Several may be hundreds: decided in a thread, they let the others' requests go on.
            aggregates = await to_thread(command.handle)
        return await self._append(aggregates, _render(answer(aggregates)))

    async def _change(
        self, kind: type[A], id: UUID, command: Changes[A], answer: Callable[[A], M]
    ) -> Answer[M]:
        async with self.log.alone(id):
            for _ in range(ATTEMPTS):
                aggregate = await self.get(kind, id)
                self._check_version(aggregate)
                with acting_as(self._acting()):
                    command.handle(aggregate)
                try:
                    return await self._append([aggregate], _render(answer(aggregate)))
                except IntegrityError:
                    continue
        raise Conflict(f"The {name_of(kind)} is being changed too quickly; try again.", code="busy")

    def _check_version(self, aggregate: Aggregate) -> None:
        if self.if_match is not None and self.if_match != aggregate.version:
            message = f"The {name_of(type(aggregate))} is at version {aggregate.version}."
            raise PreconditionFailed(message, version=aggregate.version)

    async def _once(self, carry_out: Callable[[], Awaitable[Answer[M]]]) -> Answer[M]:
        """Carry out once per idempotency key; repeats that come meanwhile wait for the first."""
        if self.idempotency is None:
            return await carry_out()
        key, request = self.idempotency.key, self.idempotency.request
        async with self.log.alone((self.tenant, key)):
            earlier = await self.log.answered(self.tenant, key, request)
            if earlier is not None and earlier.answer is not None:
                return _replay(earlier)
            try:
                return await carry_out()
            except Refusal:
                # The same request may have been carried out by another process just now, and be
                # what stands in the way.
                earlier = await self.log.answered(self.tenant, key, request)
                if earlier is not None and earlier.answer is not None:
                    return _replay(earlier)
                raise

    async def _append(self, aggregates: Iterable[Aggregate], body: bytes) -> Answer[Any]:
        first, *others = aggregates
        id, version = first.id, first.version
        events: list[DomainEvent] = [*first.collect_events()]  # type: ignore[list-item]
        for other in others:
            events += other.collect_events()  # type: ignore[arg-type]
        caller = self.actor if self.follows else None
        if self.idempotency is not None:
            key, request = self.idempotency.key, self.idempotency.request
            kept = b"%d\n%b" % (version, body)
            decision = Decision(self.tenant, events, caller, key, request, kept)
        elif events:
            decision = Decision(self.tenant, events, caller)
        else:
            return Answer(body, None, version, id)
        appended = await self.log.append(decision)
        if appended.answer is not None:
            return _replay(appended)
        return Answer(body, appended.position, version, id)

    def _acting(self) -> Acting:
        instant = self.at or datetime.now(UTC)
        return Acting(self.tenant, self.actor, self.correlation_id, instant, self.causation_id)


def _render(answer: BaseModel) -> bytes:
    return answer.__pydantic_serializer__.to_json(answer)


def _replay(earlier: Appended) -> Answer[Any]:
    assert earlier.answer is not None
    version, body = earlier.answer.split(b"\n", 1)
    return Answer(body, earlier.position, int(version))


def public_id(prefix: str, id: UUID) -> str:
    """The outside form of an id: `post_` and 32 hexadecimal digits."""
    return f"{prefix}_{id.hex}"


def name_of(kind: type[Aggregate]) -> str:
    """What a person calls it: `social.post` is a post."""
    return kind.TOPIC.rsplit(".", 1)[-1].replace("_", " ")
