"""People of the tests' own: letters they write, a read model of them, and an eraser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import psycopg
from pydantic import BaseModel
from redis.asyncio import Redis

from application.kernel import Desk
from domain.kernel import Aggregate, DomainEvent, event
from domain.personal import Personal
from infrastructure import database
from infrastructure.event_log.committer import Committer
from infrastructure.event_log.log import EventLog
from infrastructure.personal_data import keyring
from infrastructure.personal_data.erasure import Eraser
from infrastructure.personal_data.receipts import ReceiptSigner
from infrastructure.read_models.projector import Projector
from projections.kernel import ReadModel, Rows, Table

SECRET = "a secret of the tests that is long enough"


@dataclass(frozen=True)
class Content:
    """What a letter says; `lines` may be empty, `postscript` missing."""

    title: str
    text: Annotated[str, Personal(of="sender")]
    lines: Annotated[tuple[str, ...], Personal(of="sender")] = ()
    postscript: Annotated[str | None, Personal(of="sender")] = None


class Letter(Aggregate, topic="test.letter"):
    """Written by one person to another."""

    class Written(Aggregate.Created):
        TOPIC = "test.letter.written"
        sender: Annotated[str, Personal(of="sender")]
        recipient: Annotated[str, Personal(of="recipient")]
        content: Content

    class Stamped(Aggregate.Event):
        TOPIC = "test.letter.stamped"
        cents: int

    @event(Written)
    def __init__(self, sender: str, recipient: str, content: Content) -> None:
        self.sender, self.recipient, self.content = sender, recipient, content

    @event(Stamped)
    def stamp(self, cents: int) -> None:
        """Nobody's."""


LETTERS = Table(
    "letters",
    {
        "sender": str,
        "recipient": str,
        "title": str,
        "text": str,
        "lines": list[str],
        "postscript": str | None,
        "cents": int,
        "sent_by": UUID | None,
        "sent_to": UUID | None,
    },
    of_stream=Letter,
    personal={
        "sender": "sent_by",
        "text": "sent_by",
        "lines": "sent_by",
        "postscript": "sent_by",
        "recipient": "sent_to",
    },
    raw={"search": "tsvector GENERATED ALWAYS AS (to_tsvector('simple', text)) STORED"},
)


class Letters(ReadModel):
    name = "letters"
    version = 1
    tables = (LETTERS,)
    events = (Letter.Written, Letter.Stamped)

    def project(self, event: DomainEvent, rows: Rows) -> None:
        row = rows(LETTERS)[event.originator_id]
        match event:
            case Letter.Written(sender=sender, recipient=recipient, content=content):
                row.insert(
                    sender=sender,
                    recipient=recipient,
                    title=content.title,
                    text=content.text,
                    lines=list(content.lines),
                    postscript=content.postscript,
                    sent_by=event.persons.get("sender"),
                    sent_to=event.persons.get("recipient"),
                )
            case Letter.Stamped(cents=cents):
                row.add(cents=cents)


@dataclass
class Write:
    sender: str
    recipient: str
    content: Content

    def handle(self) -> Letter:
        letter = Letter(self.sender, self.recipient, self.content)
        letter.stamp(85)
        return letter


class Written(BaseModel):
    """An answer that says what was written."""

    sender: str
    text: str


def told(letter: Letter) -> Written:
    return Written(sender=letter.sender, text=letter.content.text)


@dataclass
class Post:
    """One process's way into the log, with what erasing takes."""

    log: EventLog
    eraser: Eraser

    def desk(self, tenant: str = "demo", **options: Any) -> Desk:
        return Desk(self.log, tenant, "clerk", "request-1", follows=False, **options)

    async def write(
        self, sender: str, recipient: str, text: str, tenant: str = "demo", **options: Any
    ) -> UUID:
        content = Content("a title", text, (f"1 {text}", f"2 {text}"), f"PS {text}")
        desk = self.desk(tenant, **options)
        answer = await desk.create(Write(sender, recipient, content), told)
        assert answer.id is not None
        return answer.id

    async def read(self, id: UUID) -> Letter:
        letter = await self.log.load(Letter, id)
        assert letter is not None
        return letter


@asynccontextmanager
async def post(url: str, redis_url: str, place: Path, *, projecting: bool = True) -> Any:
    """A process; `projecting` folds read models meanwhile."""
    keyring.use([SECRET])
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(database.pool(url, "test"))
        redis = await stack.enter_async_context(Redis.from_url(redis_url))
        committer = Committer(url)
        await committer.start()
        stack.push_async_callback(committer.close)
        log = EventLog(pool, committer, long=2, cache=100)
        if projecting:
            await stack.enter_async_context(projector(url))
        yield Post(log, Eraser(url, log, redis, place, ReceiptSigner(SECRET), [Letters()]))


@asynccontextmanager
async def projector(url: str) -> AsyncIterator[None]:
    task = asyncio.create_task(Projector(url, [Letters()]).run())
    try:
        yield
    finally:
        while not task.done():  # a lost connection at that very moment can swallow one
            task.cancel()
            await asyncio.wait([task], timeout=1)


async def caught_up(url: str) -> None:
    """Wait until the read model has everything."""
    async with asyncio.timeout(10):
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as admin:
            while True:
                cursor = await admin.execute(
                    "SELECT position = (SELECT max(position) FROM log.events) FROM read.models"
                    " WHERE name = 'letters'"
                )
                row = await cursor.fetchone()
                if row and row[0]:
                    return
                await asyncio.sleep(0.02)


def everything(url: str) -> Iterator[tuple[str, bytes]]:
    """Every table of the database with all that is in it, bytes as themselves."""
    with psycopg.connect(url, autocommit=True) as admin:
        tables = admin.execute(
            "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace NOT IN"
            " ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) ORDER BY 1"
        ).fetchall()
        for (table,) in tables:
            with (
                admin.cursor() as cursor,
                cursor.copy(f"COPY {table} TO STDOUT (FORMAT binary)".encode()) as copy,
            ):
                yield table, b"".join(copy)


def places_of(url: str, *texts: str) -> list[str]:
    """The tables that hold any of these texts."""
    return [
        table for table, content in everything(url) if any(t.encode() in content for t in texts)
    ]
