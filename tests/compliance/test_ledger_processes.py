"""A verification that several processes share leaves none of them, and no verdict without them."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from infrastructure.ledger import sharing, verification
from infrastructure.ledger.pieces import Share
from infrastructure.ledger.sharing import Unfinished, in_turn
from infrastructure.ledger.verification import verify
from tests.bench.ledger import FILL
from tests.compliance.ledger import SECRET, Ledger

PIECE = 32


def test_rows_that_are_added_meanwhile_are_no_fault(database_url, tmp_path):
    ledger = Ledger(database_url, tmp_path)
    ledger.log(300)
    ledger.seal()
    stop = threading.Event()

    def go_on():
        while not stop.is_set():
            ledger.log(3)

    adding = threading.Thread(target=go_on)
    adding.start()
    try:
        for processes in (1, 2, 1, 2):
            verdict = verify(ledger.url, [ledger.signer.public], processes=processes, piece=PIECE)
            assert (verdict.valid, verdict.checked) == (True, 300), verdict
    finally:
        stop.set()
        adding.join()


def others(parent):
    """The processes that `parent` has started to share its work."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [int(each) for each in children]


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture(scope="module")
def long(create_database, template, tmp_path_factory):
    ledger = Ledger(create_database(template), tmp_path_factory.mktemp("ledger"))
    with ledger.intruder() as intruder:
        intruder.execute(FILL, [30_000])
    ledger.seal()
    return ledger


@pytest.fixture
def started(monkeypatch):
    """The processes that a verification in this one has started."""
    processes, start = [], subprocess.Popen

    def kept(*arguments, **options):
        processes.append(start(*arguments, **options))
        return processes[-1]

    monkeypatch.setattr(sharing.subprocess, "Popen", kept)
    return processes


def test_a_process_that_is_killed_leaves_no_verdict(long, started):
    pieces = in_turn(Share(long.url, 30_000, [], 1), 3)
    next(pieces), next(pieces)
    started[1].kill()
    with pytest.raises(Unfinished):
        list(pieces)
    assert [each.returncode for each in started] == [-signal.SIGKILL] * 2


def test_a_process_that_hangs_leaves_no_verdict(long, started, monkeypatch):
    pieces = in_turn(Share(long.url, 30_000, [], 1), 3)
    next(pieces), next(pieces), next(pieces)
    os.kill(started[1].pid, signal.SIGSTOP)
    monkeypatch.setattr(sharing, "SILENCE", 0.5)
    with pytest.raises(Unfinished, match="said nothing"):
        list(pieces)
    assert [each.returncode for each in started] == [-signal.SIGKILL] * 2


def test_a_process_that_cannot_start_leaves_no_verdict(long, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(Unfinished):
        verify(long.url, [long.signer.public], processes=2, piece=64)


def test_a_process_that_loses_its_connection_leaves_no_verdict(long, started):
    pieces = in_turn(Share(long.url, 30_000, [], 1), 2)
    next(pieces), next(pieces)
    with long.intruder() as intruder:
        intruder.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ("
            " SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'tidings-verify-rows' ORDER BY backend_start DESC LIMIT 1)"
        )
    with pytest.raises((Unfinished, psycopg.OperationalError)):
        list(pieces)
    assert all(each.returncode for each in started)


def test_no_process_is_left_when_nobody_asks_further(long, started):
    pieces = in_turn(Share(long.url, 30_000, [], 64), 3)
    next(pieces), next(pieces)
    pieces.close()
    assert [each.returncode for each in started] == [-signal.SIGKILL] * 2


def test_no_process_is_left_after_a_fault(long, started):
    change = "UPDATE log.events SET version = version {} 64 WHERE position = 3"
    with long.intruder() as intruder:
        intruder.execute(change.format("+"))
        verdict = verify(long.url, [long.signer.public], processes=3, piece=2)
        intruder.execute(change.format("-"))
    assert verdict.first_bad_position == 3
    assert len(started) == 2
    assert None not in [each.returncode for each in started]


def test_a_short_log_is_not_worth_a_process(long, started):
    assert long.verify().valid
    assert started == []


@pytest.mark.parametrize(("processors", "helpers"), [(None, 0), (1, 0), (2, 1), (64, 3)])
def test_a_long_log_is_shared_by_as_many_as_there_are_processors(
    long, started, monkeypatch, processors, helpers
):
    monkeypatch.setattr(verification, "WORTH_PROCESSES", 30_000)
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    assert long.verify().valid
    assert len(started) == helpers


@contextlib.contextmanager
def verifying(ledger):
    """A verification in a process of its own, at work for as long as anybody watches."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )
    try:
        process.stdin.write(ledger.url)
        process.stdin.close()
        process.stdin = None
        until(lambda: len(others(process.pid)) == 2)
        yield process, others(process.pid)
    finally:
        process.kill()
        process.wait()


def test_when_it_is_killed_the_others_go_too(long):
    with verifying(long) as (process, children):
        time.sleep(0.5)
        process.kill()
        process.wait()
        until(lambda: all(map(gone, children)))


def test_an_interrupt_ends_all_of_them_with_one_account(long):
    with verifying(long) as (process, children):
        time.sleep(0.5)
        os.killpg(process.pid, signal.SIGINT)  # as the terminal does
        _, said = process.communicate(timeout=10)
        assert said.count("KeyboardInterrupt") == 1
        assert all(map(gone, children))


def _main():
    url = sys.stdin.read()
    while True:
        verify(url, [Ledger(url, Path(), SECRET).signer.public], processes=3, piece=1)


if __name__ == "__main__":
    _main()
