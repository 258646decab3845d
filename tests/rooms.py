"""An aggregate and read models of the tests' own, so that the engine is tested apart from rooms."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from psycopg import Connection

from domain.kernel import Acting, Aggregate, DomainEvent, acting_as, event
from infrastructure.event_log.codec import encode
from projections.kernel import Query, ReadModel, Rows, Table

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Account(Aggregate, topic="test.account"):
    """Money that somebody keeps with us."""

    class Opened(Aggregate.Created):
        TOPIC = "test.account.opened"
        owner: str
        on: date

    class Deposited(Aggregate.Event):
        TOPIC = "test.account.deposited"
        amount: Decimal
        on: date
        channel: str

    class Renamed(Aggregate.Event):
        TOPIC = "test.account.renamed"
        owner: str

    class Tagged(Aggregate.Event):
        TOPIC = "test.account.tagged"
        tags: list[str]
        facts: dict[str, Any]

    class Looked(Aggregate.Event):
        TOPIC = "test.account.looked"

    class Closed(Aggregate.Event):
        TOPIC = "test.account.closed"

    @event(Opened)
    def __init__(self, owner: str, on: date) -> None:
        self.owner = owner

    @event(Deposited)
    def deposit(self, amount: Decimal, on: date, channel: str) -> None:
        """Put money in."""

    @event(Renamed)
    def rename(self, owner: str) -> None:
        self.owner = owner

    @event(Tagged)
    def tag(self, tags: list[str], facts: dict[str, Any]) -> None:
        """Note something about it."""

    @event(Looked)
    def look(self) -> None:
        """Look at it; only the audit trail cares."""

    @event(Closed)
    def close(self) -> None:
        """Take everything out."""


ACCOUNTS = Table(
    "accounts",
    of_stream=Account,
    columns={
        "owner": str,
        "balance": Decimal,
        "deposits": int,
        "last": date | None,
        "tags": list[str],
        "facts": dict,
        "noted": datetime | None,
    },
    indexes=[("owner", "id"), "USING gin (search)"],
    raw={"search": "tsvector GENERATED ALWAYS AS (to_tsvector('simple', owner)) STORED"},
)
DAYS = Table(
    "deposits_by_day",
    key={"on": date, "channel": str},
    columns={"deposits": int, "amount": Decimal},
)


class Accounts(ReadModel):
    """Every open account, keyed by its stream."""

    name = "accounts"
    version = 1
    tables = (ACCOUNTS,)
    events = (
        Account.Opened,
        Account.Deposited,
        Account.Renamed,
        Account.Tagged,
        Account.Closed,
    )

    def project(self, event: DomainEvent, rows: Rows) -> None:
        account = rows(ACCOUNTS)[event.originator_id]
        match event:
            case Account.Opened(owner=owner):
                account.insert(owner=owner)
            case Account.Deposited(amount=amount, on=on):
                account.add(balance=amount, deposits=1)
                account.update(last=on)
            case Account.Renamed(owner=owner):
                account.update(owner=owner, noted=event.timestamp)
            case Account.Tagged(tags=tags, facts=facts):
                account.append(tags=tags)
                account.merge(facts=facts)
            case Account.Closed():
                account.delete()


class Deposits(ReadModel):
    """What came in, by day and channel."""

    name = "deposits"
    version = 1
    tables = (DAYS,)
    events = (Account.Deposited,)

    def project(self, event: DomainEvent, rows: Rows) -> None:
        match event:
            case Account.Deposited(amount=amount, on=on, channel=channel):
                rows(DAYS)[on, channel].add(deposits=1, amount=amount)


class SlowAccounts(Accounts):
    """The same, at a pace at which it can be interrupted."""

    def project(self, event: DomainEvent, rows: Rows) -> None:
        time.sleep(0.001)
        super().project(event, rows)


MODELS = (Accounts(), Deposits())


def account(account_id: UUID) -> Query[dict[str, Any]]:
    """One account."""
    return Query(
        Accounts,
        "SELECT id, owner, balance, deposits, version FROM read.accounts"
        " WHERE tenant = %(tenant)s AND id = %(id)s",
        {"id": account_id},
    )


@contextmanager
def somebody(tenant: str = "demo", actor: str = "ann", now: datetime = NOW) -> Iterator[None]:
    """Decide as `actor` of `tenant`."""
    with acting_as(Acting(tenant, actor, "request-1", now)):
        yield


def append(
    connection: Connection[Any], events: Iterable[DomainEvent], caller: str | None = None
) -> int:
    """Put events into the log, those of each tenant as one command; returns the last position."""
    batch = list(events)
    tenants = list(dict.fromkeys(each.tenant for each in batch))
    nothing: Sequence[None] = [None] * len(tenants)
    row = connection.execute(
        "SELECT max(at) FROM log.append(%b::uuid[], %b::bigint[], %b::text[], %b::bytea[],"
        " %b::int[], %b::text[], %b::text[], %b::bytea[], %b::bytea[], %b::bytea[])",
        (
            [each.originator_id for each in batch],
            [each.originator_version for each in batch],
            [each.TOPIC for each in batch],
            [encode(each) for each in batch],
            [tenants.index(each.tenant) for each in batch],
            tenants,
            [caller] * len(tenants),
            nothing,
            nothing,
            nothing,
        ),
    ).fetchone()
    assert row is not None
    return int(row[0])
