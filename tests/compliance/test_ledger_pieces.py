"""A verification by pieces, in one process or several, finds the same faults at the same place."""

import contextlib
import random

import pytest

from infrastructure.ledger.verification import verify
from tests.compliance import rfc6962
from tests.compliance.ledger import Ledger

PIECE = 32
SEALED, UNSEALED = 210, 50
"""Six pieces are whole and sealed; the seventh is sealed in part, the ninth is not whole."""

STEP = (60, 140, SEALED)

FORGED = (
    "INSERT INTO ledger.seals (since, size, leaves, root, signature)"
    " SELECT {0}, {1}, decode(repeat('00', 32 * ({1} - {0})), 'hex'), root, signature"
    " FROM ledger.seals WHERE size = 210"
)


@pytest.fixture(scope="module")
def shared(create_database, template, tmp_path_factory):
    """A ledger of three seals, and events that are not sealed."""
    ledger = Ledger(create_database(template), tmp_path_factory.mktemp("ledger"))
    ledger.notes = []
    for before, size in zip((0, *STEP), STEP, strict=False):
        ledger.log(size - before)
        ledger.notes.append(ledger.seal().note())
    ledger.origin = ledger.notes[0].partition("\n")[0]
    ledger.log(UNSEALED)
    return ledger


@contextlib.contextmanager
def after(ledger, *crimes):
    """The log and its seals after `crimes`; they are put back."""
    with ledger.intruder() as intruder:
        for name in ("log.events", "ledger.seals"):
            kept = name.replace(".", "_")
            intruder.execute(f"CREATE TEMPORARY TABLE {kept} AS SELECT * FROM {name}")
        try:
            for crime in crimes:
                intruder.execute(crime)
            yield
        finally:
            for name in ("log.events", "ledger.seals"):
                kept = name.replace(".", "_")
                intruder.execute(f"DELETE FROM {name}; INSERT INTO {name} SELECT * FROM {kept}")


def found(ledger, *kept, **how):
    verdict = verify(ledger.url, [ledger.signer.public], kept, **how)
    return verdict.valid, verdict.first_bad_position, verdict.upto, verdict.reason


def test_several_processes_find_that_a_ledger_holds(shared):
    for processes in (2, 3):
        verdict = verify(
            shared.url, [shared.signer.public], shared.notes, processes=processes, piece=PIECE
        )
        assert verdict.valid
        assert (verdict.checked, verdict.unsealed) == (SEALED, UNSEALED)


@pytest.mark.parametrize("piece", [1, 2, 4, 16, 64, 128, 256, 512])
def test_a_ledger_holds_in_pieces_of_any_size(shared, piece):
    verdict = verify(shared.url, [shared.signer.public], shared.notes, piece=piece)
    assert (verdict.valid, verdict.checked, verdict.unsealed) == (True, SEALED, UNSEALED)


@pytest.mark.parametrize(
    ("crime", "first", "upto"),
    [
        ("UPDATE log.events SET topic = topic || 'x' WHERE position = 97", 97, None),
        ("UPDATE log.events SET position = position + 1000 WHERE position = 260", 260, None),
        ("UPDATE log.events SET version = version + 64 WHERE position IN (64, 200)", 64, None),
        ("DELETE FROM log.events WHERE position = 1", 1, None),
        ("DELETE FROM log.events WHERE position = 96", 96, None),
        ("DELETE FROM log.events WHERE position = 97", 97, None),
        ("DELETE FROM log.events WHERE position BETWEEN 65 AND 128", 65, None),
        ("DELETE FROM log.events WHERE position BETWEEN 225 AND 257", 225, None),
        ("DELETE FROM log.events WHERE position > 100", 101, SEALED),
        ("DELETE FROM log.events WHERE position > 96", 97, SEALED),
        ("DELETE FROM log.events", 1, SEALED),
        ("DELETE FROM ledger.seals WHERE size = 60", 1, 60),
        ("DELETE FROM ledger.seals WHERE size = 140", 61, 140),
        ("DELETE FROM ledger.seals WHERE size = 210", None, None),
        (FORGED.format(150, 180), 151, 210),
        (FORGED.format(-9, 3), 1, 0),
        ("UPDATE ledger.seals SET root = sha256('') WHERE size = 210", 141, 210),
        ("UPDATE ledger.seals SET leaves = sha256('') || substr(leaves, 33)", 1, None),
    ],
)
def test_several_processes_find_a_fault_where_one_does(shared, crime, first, upto):
    with after(shared, crime):
        several = found(shared, processes=2, piece=PIECE)
        assert several[:3] == (first is None, first, upto)
        assert several == found(shared, piece=PIECE) == found(shared)


def test_an_empty_log_holds(database_url, tmp_path):
    ledger = Ledger(database_url, tmp_path)
    for how in ({"processes": 2}, {}):
        assert found(ledger, **how) == (True, None, None, None)


def test_rows_below_the_first_position_are_found(database_url, tmp_path):
    ledger = Ledger(database_url, tmp_path)
    ledger.log(99)
    ledger.seal()
    with ledger.intruder() as intruder:
        intruder.execute(
            "CREATE TABLE log.below PARTITION OF log.events FOR VALUES FROM (-100) TO (1)"
        )
        intruder.execute("UPDATE log.events SET position = -9 WHERE position = 98")
    for how in ({"processes": 2}, {}):
        assert found(ledger, piece=PIECE, **how)[1] == -9


def test_an_exchange_and_an_insertion_are_found_across_pieces(shared):
    moves = ((20, 1020), (160, 20), (1020, 160))
    exchange = [f"UPDATE log.events SET position = {to} WHERE position = {of}" for of, to in moves]
    insertion = [
        "UPDATE log.events SET position = position + 1000 WHERE position > 64",
        "UPDATE log.events SET position = position - 999 WHERE position > 64",
        "INSERT INTO log.events SELECT 65, gen_random_uuid(), 1, tenant, topic, state, recorded_at"
        " FROM log.events WHERE position = 64",
    ]
    for crimes, first in ((exchange, 20), (insertion, 65)):
        with after(shared, *crimes):
            assert found(shared, processes=2, piece=PIECE)[1] == first


def test_a_rewrite_by_the_holder_of_the_key_is_found_between_what_was_kept(shared, tmp_path):
    with after(
        shared,
        "UPDATE log.events SET tenant = 'acme' WHERE position >= 100",
        "DELETE FROM ledger.seals",
    ):
        Ledger(shared.url, tmp_path).seal()
        assert found(shared, processes=2, piece=PIECE)[0]
        notes = "\n".join(shared.notes)
        assert found(shared, notes, processes=2, piece=PIECE)[1:3] == (61, 140)
        assert found(shared, shared.notes[2], processes=2, piece=PIECE)[1:3] == (1, 210)


@pytest.mark.parametrize("size", [1, 31, 32, 33, 96, 209])
def test_a_kept_checkpoint_of_any_size_is_compared(shared, size):
    good = shared.signer.sign(shared.origin, size, rfc6962.MTH(shared.entries()[:size])).note()
    bad = shared.signer.sign(shared.origin, size, bytes(32)).note()
    assert found(shared, good, processes=2, piece=PIECE)[0]
    assert found(shared, bad, processes=2, piece=PIECE)[1:3] == (1, size)


def faults(dice):
    """Some crimes at random places."""
    for _ in range(dice.randint(1, 2)):
        at = dice.randint(1, SEALED + UNSEALED)
        to = at + dice.choice((0, 0, 1, PIECE - 1, PIECE, 3 * PIECE, 300))
        span = f"position BETWEEN {at} AND {to}"
        yield dice.choice(
            (
                f"UPDATE log.events SET version = version + 64 WHERE {span}",
                f"DELETE FROM log.events WHERE {span}",
                f"UPDATE log.events SET position = position + 2000 WHERE {span}",
                f"DELETE FROM ledger.seals WHERE size = {dice.choice(STEP)}",
                f"UPDATE ledger.seals SET root = sha256(root) WHERE size >= {dice.choice(STEP)}",
                "UPDATE ledger.seals SET leaves = set_byte(leaves,"
                f" {dice.randrange(32 * 60)}, 7) WHERE size = {dice.choice(STEP)}",
            )
        )


@pytest.mark.parametrize("seed", range(24))
def test_a_random_fault_is_found_alike_in_whatever_pieces(shared, seed):
    dice = random.Random(seed)
    crimes = list(faults(dice))
    kept = dice.sample(shared.notes, dice.randint(0, 3))
    with after(shared, *crimes):
        whole = found(shared, *kept)
        assert found(shared, *kept, piece=2 ** dice.randint(0, 8)) == whole, crimes
        if seed % 4 == 0:
            processes = dice.randint(2, 3)
            assert found(shared, *kept, processes=processes, piece=PIECE) == whole, crimes
