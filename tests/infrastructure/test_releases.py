"""Several releases on one database: newer and older versions, and tables of another shape."""

import asyncio

import psycopg
import pytest

from domain.kernel import DomainEvent
from infrastructure import database
from infrastructure.read_models.reading import reading
from infrastructure.read_models.rebuild import (
    RebuildFailed,
    rebuild,
)
from projections.kernel import Query, Rows, Table
from tests.infrastructure.read_side import (
    administering,
    builds,
    caught_up,
    opened,
    projecting,
    status,
    until,
    write,
)
from tests.rooms import (
    ACCOUNTS,
    Account,
    Accounts,
    Deposits,
)


class Wider(Accounts):
    """The next release: another version, another column."""

    version = 2
    tables = (
        Table(
            "accounts",
            of_stream=Account,
            columns={**ACCOUNTS.columns, "shout": str},
            indexes=ACCOUNTS.indexes,
            raw=ACCOUNTS.raw,
        ),
    )

    def project(self, event: DomainEvent, rows: Rows) -> None:
        match event:
            case Account.Opened(owner=owner):
                rows(self.tables[0])[event.originator_id].insert(owner=owner, shout=owner.upper())


class Reshaped(Wider):
    """The same, by somebody who forgot to say that it is another version."""

    version = 1


@pytest.mark.parametrize("release", [Wider(), Reshaped()])
def test_another_version_or_shape_is_built_beside_and_switched_to_by_itself(database_url, release):
    count = Query(Accounts, "SELECT count(*) FROM read.accounts WHERE tenant = %(tenant)s")

    async def deploy():
        async with (
            database.pool(database_url, "api") as pool,
            reading(database_url, pool) as reads,
            projecting(database_url, [Accounts(), Deposits()]),
        ):
            await caught_up(database_url)
            write(database_url, opened(50))
            await caught_up(database_url)
            async with projecting(database_url, [release, Deposits()]):
                # Both releases are up, as while one is rolled out.
                while True:
                    assert (await reads.one("demo", "bob", count))["count"] >= 50
                    write(database_url, opened(1))
                    with administering(database_url) as admin:
                        if _columns(admin) > len(ACCOUNTS.written) + 1:
                            break
                write(database_url, opened(10), caller="ann")
                await caught_up(database_url, [release, Deposits()])
                return await reads.one("demo", "ann", count)

    seen = asyncio.run(deploy())
    with administering(database_url) as admin:
        total = admin.execute("SELECT count(*) FROM read.accounts").fetchone()[0]
        assert seen == {"count": total}
        assert admin.execute("SELECT bool_and(shout = upper(owner)) FROM read.accounts").fetchone()
        assert builds(admin) == []


def _columns(admin: psycopg.Connection) -> int:
    row = admin.execute(
        "SELECT count(*) FROM information_schema.columns"
        " WHERE table_schema = 'read' AND table_name = 'accounts'"
    ).fetchone()
    return row[0]


def test_an_older_release_takes_a_read_model_back_when_nobody_knows_the_newer(
    database_url, monkeypatch
):
    monkeypatch.setattr("infrastructure.read_models.sharing.ABANDONED", 1.5)

    async def go_back():
        async with projecting(database_url, [Wider()]):
            await caught_up(database_url, [Wider()])
            write(database_url, opened(5))
            await caught_up(database_url, [Wider()])
            async with projecting(database_url, [Accounts()]):
                await asyncio.sleep(2)
                assert (await status(database_url))["accounts"].version == 2
        async with projecting(database_url, [Accounts()]):
            return await caught_up(database_url, [Accounts()])

    assert asyncio.run(go_back())["accounts"].version == 1


class Spoilt(Wider):
    version = 3

    def project(self, event: DomainEvent, rows: Rows) -> None:
        match event:
            case Account.Opened(owner="owner 3"):
                raise LookupError(event.owner)
        super().project(event, rows)


def test_a_version_that_cannot_be_built_leaves_the_old_one_in_use_and_says_why(database_url):
    async def deploy():
        async with projecting(database_url, [Accounts()]):
            await caught_up(database_url, [Accounts()])
            write(database_url, opened(5))
            await caught_up(database_url, [Accounts()])
            async with projecting(database_url, [Spoilt()]):
                await until(
                    database_url,
                    lambda now: now["accounts"].build and now["accounts"].build.error,
                )
            with pytest.raises(RebuildFailed, match=r"position 7, topic test\.account\.opened"):
                await rebuild(database_url, Spoilt())
            failed = await status(database_url)
            await rebuild(database_url, Accounts())
            return failed["accounts"], (await status(database_url))["accounts"]

    failed, mended = asyncio.run(deploy())
    assert (failed.version, failed.state, failed.build.phase) == (1, "live", "failed")
    assert failed.build.error["error"] == "LookupError"
    assert "owner 3" not in str(failed.build.error)
    assert (mended.version, mended.build) == (1, None)
    with administering(database_url) as admin:
        assert builds(admin) == []
