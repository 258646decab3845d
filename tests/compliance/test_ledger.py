"""Whatever is changed behind the application's back is found, and where."""

import asyncio
import random
import struct
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from infrastructure import database
from infrastructure.ledger import proofs, sealing
from infrastructure.ledger.aside import verify_aside
from infrastructure.ledger.checkpoints import Keys, NotTrusted, Signer
from infrastructure.ledger.sealing import LedgerBroken, Sealer, kept_file
from infrastructure.ledger.verification import verify
from tests.bench.ledger import FILL
from tests.compliance import rfc6962
from tests.compliance.ledger import SECRET, Ledger

SIZE = 210
COLUMNS = ("position", "stream_id", "version", "tenant", "topic", "state", "recorded_at")
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def shared(create_database, template, tmp_path_factory):
    """A sealed ledger of three seals, for tests that put back what they change."""
    ledger = Ledger(create_database(template), tmp_path_factory.mktemp("ledger"))
    for _ in range(3):
        ledger.log(SIZE // 3)
        ledger.seal()
    return ledger


@pytest.fixture
def ledger(database_url, tmp_path):
    ledger = Ledger(database_url, tmp_path)
    ledger.log(90)
    ledger.seal()
    return ledger


def fault(ledger, *kept):
    """Where verification says the fault begins and ends at most."""
    verdict = ledger.verify(*kept)
    assert not verdict.valid and verdict.reason
    return verdict.first_bad_position, verdict.upto


def test_the_tree_is_the_one_that_the_definition_gives(shared):
    entries = shared.entries()
    verdict = shared.verify()
    assert (verdict.valid, verdict.checked, verdict.first_bad_position) == (True, SIZE, None)
    head = shared.seal()
    assert (head.size, head.root) == (SIZE, rfc6962.MTH(entries))
    key = Keys(head.origin, [shared.signer.public]).written()[0]
    assert rfc6962.open_note(head.note(), key) == (head.origin, SIZE, head.root)
    assert kept_file(shared.place, head.origin).read_text() == head.note()


def test_proofs_come_from_what_is_kept(shared):
    async def check():
        async with await database.connect(shared.url, "test") as connection:
            for size in (SIZE, SIZE // 3):
                for index in (0, 1, 66, size - 1):
                    path = await proofs.inclusion(connection, index, size)
                    assert path == rfc6962.PATH(index, entries[:size])
                    root = rfc6962.root_of_path(entries[index], index, size, path)
                    assert root == rfc6962.MTH(entries[:size])
            for earlier in (1, 69, 70, 128, 209, SIZE):
                proof = await proofs.consistency(connection, earlier, SIZE)
                before, after = rfc6962.MTH(entries[:earlier]), rfc6962.MTH(entries)
                assert rfc6962.consistent(earlier, SIZE, before, after, proof)
                assert not rfc6962.consistent(earlier, SIZE, bytes(32), after, proof)

    entries = shared.entries()
    asyncio.run(check())


def flipped(value, bit):
    """The value with one bit of its stored form changed; None where it is no such value then."""
    match value:
        case int():
            (other,) = struct.unpack(">q", flip(struct.pack(">q", value), bit))
            return other
        case UUID():
            return UUID(bytes=flip(value.bytes, bit))
        case datetime():
            micros = (value - EPOCH) // timedelta(microseconds=1)
            return EPOCH + timedelta(microseconds=flipped(micros, bit))
        case str():
            try:
                other = flip(value.encode(), bit).decode()
            except UnicodeDecodeError:
                return None
            return None if "\0" in other else other
        case _:
            return flip(bytes(value), bit)


def flip(raw, bit):
    changed = bytearray(raw)
    changed[-1 - bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def bits(column, value):
    """Some of the bits whose change leaves a possible value."""
    match column:
        case "position":
            return range(8, 23)  # lower ones are taken, higher ones have no partition
        case "recorded_at":
            return range(0, 56, 4)  # beyond lie years that there are not
        case "version":
            return range(2, 64, 4)  # lower ones are taken
        case "stream_id":
            return range(0, 128, 8)
        case _:
            return random.Random(column).sample(range(len(value) * 8), 20)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_changed_bit_is_found_at_its_position(shared, column):
    tried = 0
    with shared.intruder() as intruder:
        at = SIZE if column == "position" else 73
        (old,) = intruder.execute(
            f"SELECT {column} FROM log.events WHERE position = %s", [at]
        ).fetchone()
        change = f"UPDATE log.events SET {column} = %s WHERE position = %s"
        for bit in bits(column, old):
            new = flipped(old, bit)
            if new is None:
                continue
            intruder.execute(change, [new, at])
            assert fault(shared) == (at, None), bit
            intruder.execute(change, [old, new if column == "position" else at])
            tried += 1
    assert tried > 10
    assert shared.verify().valid


@pytest.mark.parametrize("position", [1, 70, 71, 140, SIZE])
def test_a_deletion_is_found_at_its_position(shared, position):
    with shared.intruder() as intruder:
        intruder.execute("CREATE TEMPORARY TABLE kept AS SELECT * FROM log.events WHERE false")
        intruder.execute(
            "WITH gone AS (DELETE FROM log.events WHERE position = %s RETURNING *)"
            " INSERT INTO kept SELECT * FROM gone",
            [position],
        )
        first, upto = fault(shared)
        assert first == position
        assert upto in (None, SIZE)
        intruder.execute("INSERT INTO log.events SELECT * FROM kept")
    assert shared.verify().valid


def test_an_insertion_is_found_at_its_position(ledger):
    with ledger.intruder() as intruder:
        for step in ("+ 1000", "- 999"):
            intruder.execute(
                f"UPDATE log.events SET position = position {step} WHERE position > 40"
            )
        intruder.execute(
            "INSERT INTO log.events SELECT 41, gen_random_uuid(), 1, tenant, topic, state,"
            " recorded_at FROM log.events WHERE position = 40"
        )
    assert fault(ledger) == (41, None)


def test_an_exchange_is_found_at_the_earlier_position(ledger):
    with ledger.intruder() as intruder:
        for old, new in ((20, 1020), (60, 20), (1020, 60)):
            intruder.execute("UPDATE log.events SET position = %s WHERE position = %s", [new, old])
    assert fault(ledger) == (20, None)


def test_an_end_cut_off_is_found_where_the_log_ends(ledger):
    with ledger.intruder() as intruder:
        intruder.execute("DELETE FROM log.events WHERE position > 80")
    assert fault(ledger) == (81, 90)


def test_an_end_cut_off_with_its_seals_is_found_by_what_was_kept(ledger):
    kept = kept_file(ledger.place, ledger.seal().origin)
    ledger.log(9)
    early = kept.read_text()
    ledger.seal()
    with ledger.intruder() as intruder:
        intruder.execute("DELETE FROM log.events WHERE position > 90")
        intruder.execute("DELETE FROM ledger.seals WHERE size > 90")
    assert ledger.verify().valid  # an earlier state is a good one, as far as the database knows
    assert ledger.verify(early).valid
    assert fault(ledger, kept.read_text()) == (91, 99)


def test_everything_written_anew_without_the_key_is_found(ledger, tmp_path):
    with ledger.intruder() as intruder:
        intruder.execute("UPDATE log.events SET tenant = 'acme'")
        intruder.execute("DELETE FROM ledger.seals")
    Ledger(ledger.url, tmp_path / "elsewhere", "the secret of an intruder").seal()
    assert fault(ledger) == (1, 90)
    assert "not known here" in ledger.verify().reason


def test_everything_written_anew_with_the_key_is_found_between_what_was_kept(ledger, tmp_path):
    notes = [ledger.seal().note()]
    for _ in range(2):
        ledger.log(30)
        notes.append(ledger.seal().note())
    with ledger.intruder() as intruder:
        intruder.execute("UPDATE log.events SET tenant = 'acme' WHERE position >= 100")
        intruder.execute("DELETE FROM ledger.seals")
    Ledger(ledger.url, tmp_path / "elsewhere").seal()
    assert ledger.verify().valid
    assert ledger.verify(notes[0]).valid
    assert fault(ledger, "\n".join(notes)) == (91, 120)
    assert fault(ledger, notes[2]) == (1, 150)


def test_a_row_changed_together_with_its_leaf_is_found_within_its_seal(shared):
    with shared.intruder() as intruder:
        (old,) = intruder.execute("SELECT leaves FROM ledger.seals WHERE size = 140").fetchone()
        intruder.execute("UPDATE log.events SET version = version + 64 WHERE position = 100")
        leaf = rfc6962.MTH([shared.entries()[99]])
        change = "UPDATE ledger.seals SET leaves = %b WHERE size = 140"
        intruder.execute(change, [old[: 29 * 32] + leaf + old[30 * 32 :]])
        assert fault(shared) == (71, 140)
        intruder.execute(change, [old])
        assert fault(shared) == (100, None)
        intruder.execute("UPDATE log.events SET version = version - 64 WHERE position = 100")
    assert shared.verify().valid


@pytest.mark.parametrize("column", ["root", "signature", "leaves"])
def test_a_changed_seal_is_found(shared, column):
    with shared.intruder() as intruder:
        old = intruder.execute(f"SELECT {column} FROM ledger.seals WHERE size = 210").fetchone()[0]
        change = f"UPDATE ledger.seals SET {column} = %b WHERE size = 210"
        for bit in (0, 100, len(old) * 8 - 1):
            intruder.execute(change, [flip(old, bit)])
            leaf = 210 - bit // 256
            assert fault(shared) == ((leaf, None) if column == "leaves" else (141, 210))
        intruder.execute(change, [old])
    assert shared.verify().valid


def test_a_missing_seal_is_found(shared):
    with shared.intruder() as intruder:
        intruder.execute(
            "CREATE TEMPORARY TABLE kept AS SELECT * FROM ledger.seals WHERE size = 140"
        )
        intruder.execute("DELETE FROM ledger.seals WHERE size = 140")
        assert fault(shared) == (71, 140)
        intruder.execute("INSERT INTO ledger.seals SELECT * FROM kept")
    assert shared.verify().valid


def test_a_hole_behind_the_last_seal_is_found(ledger):
    ledger.log(30)
    assert ledger.verify().unsealed == 30
    with ledger.intruder() as intruder:
        intruder.execute("DELETE FROM log.events WHERE position = 95")
    assert fault(ledger) == (95, None)


def test_a_long_log_is_verified_and_a_fault_found_far_in(database_url, tmp_path):
    ledger = Ledger(database_url, tmp_path)
    with ledger.intruder() as intruder:
        intruder.execute(FILL, [66_000])
    ledger.seal()
    assert asyncio.run(verify_aside(ledger.url, [ledger.signer.public])).checked == 66_000
    with ledger.intruder() as intruder:
        levels = intruder.execute(
            "SELECT level, count(*) FROM ledger.subtrees GROUP BY 1 ORDER BY 1"
        )
        assert levels.fetchall() == [(1, 257), (2, 1)]
        intruder.execute(
            "UPDATE log.events SET topic = topic || 'x' WHERE position IN (65537, 65999)"
        )
    assert fault(ledger) == (65537, None)


def test_a_checkpoint_of_somebody_else_is_refused(ledger):
    note = Signer("somebody else's").sign(ledger.seal().origin, 3, bytes(32)).note()
    with pytest.raises(NotTrusted, match="size 3"):
        ledger.verify(note)
    with pytest.raises(NotTrusted):
        asyncio.run(verify_aside(ledger.url, [ledger.signer.public], [note]))


def test_seals_of_a_former_key_still_count(ledger, tmp_path):
    later = Signer("the secret of the next year")
    ledger.log(9)
    with pytest.raises(LedgerBroken, match="not known here"):
        asyncio.run(sealing.seal_now(Sealer(ledger.url, later, tmp_path / "new")))
    sealer = Sealer(ledger.url, later, ledger.place, (ledger.signer.public,))
    assert asyncio.run(sealing.seal_now(sealer)).size == 99
    assert verify(ledger.url, [later.public, ledger.signer.public]).valid


@pytest.mark.parametrize(
    "crime",
    [
        "DELETE FROM ledger.seals",
        "DELETE FROM ledger.seals WHERE size > 90",
        "UPDATE ledger.seals SET root = sha256(root) WHERE size > 90",
        "UPDATE ledger.seals SET leaves = sha256('') || substr(leaves, 33)",
        "DELETE FROM log.events WHERE position = 125",
    ],
)
def test_nothing_is_signed_that_does_not_continue_what_was_signed(ledger, crime):
    ledger.log(30)
    ledger.seal()
    ledger.log(30)
    with ledger.intruder() as intruder:
        intruder.execute(crime)
    with pytest.raises(LedgerBroken):
        ledger.seal()


def test_the_application_adds_seals_and_changes_none(ledger):
    with database.connect_sync(ledger.url, "test") as connection:
        for statement in (
            "UPDATE ledger.seals SET root = root",
            "DELETE FROM ledger.seals",
            "UPDATE ledger.subtrees SET root = root",
            "TRUNCATE ledger.seals",
            "UPDATE ledger.identity SET origin = 'other'",
            "UPDATE audit.refusals SET status = 200",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_several_sealers_make_one_tree(ledger):
    async def together():
        sealers = [asyncio.create_task(ledger.sealer.run()) for _ in range(3)]
        for _ in range(5):
            await asyncio.to_thread(ledger.log, 30)
            await asyncio.to_thread(ledger.seal)
        async with asyncio.timeout(5):
            while await asyncio.to_thread(lambda: ledger.verify().unsealed):
                await asyncio.sleep(0.05)
        for each in sealers:
            each.cancel()
        await asyncio.gather(*sealers, return_exceptions=True)

    asyncio.run(together())
    verdict = ledger.verify()
    assert (verdict.valid, verdict.checked, verdict.unsealed) == (True, 240, 0)


def test_a_seal_that_is_made_while_another_one_begins_is_no_fault(ledger, monkeypatch):
    """What has been sealed is looked up in two places, and another process may be in between."""
    looked = []

    def meanwhile(look):
        def first_look_then_a_seal(*arguments):
            found = look(*arguments)
            looked.append(look)
            if len(looked) == 1:
                ledger.log(3)
                with ThreadPoolExecutor() as elsewhere:
                    elsewhere.submit(ledger.seal).result()
            return found

        return first_look_then_a_seal

    async def head(*arguments):
        return meanwhile(lambda: found)() if (found := await read_head(*arguments)) else None

    read_head = proofs.head
    monkeypatch.setattr(proofs, "head", head)
    monkeypatch.setattr(sealing, "_read", meanwhile(sealing._read))
    assert ledger.seal().size == ledger.verify().checked == 93
    assert len(looked) > 2


def test_events_are_sealed_within_a_second_also_after_the_connection_is_lost(ledger):
    async def scene():
        sealing_ = asyncio.create_task(ledger.sealer.run())
        try:
            for _ in range(3):
                await asyncio.to_thread(ledger.log, 3)
                logged = asyncio.get_running_loop().time()
                while await asyncio.to_thread(lambda: ledger.verify().unsealed):
                    await asyncio.sleep(0.02)
                waits.append(asyncio.get_running_loop().time() - logged)
            with ledger.intruder() as intruder:
                intruder.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'tidings-ledger' AND datname = current_database()"
                )
            await asyncio.to_thread(ledger.log, 3)
            async with asyncio.timeout(5):
                while await asyncio.to_thread(lambda: ledger.verify().unsealed):
                    await asyncio.sleep(0.02)
        finally:
            sealing_.cancel()
            await asyncio.gather(sealing_, return_exceptions=True)

    waits: list[float] = []
    asyncio.run(scene())
    assert min(waits) < 1.0  # the others may have met a busy machine
    assert SECRET not in repr(ledger.sealer.signer)
