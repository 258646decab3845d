"""What goes wrong in the drill."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter as Tally
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from infrastructure.embedded import EmbeddedPostgres
from infrastructure.event_log import codec
from infrastructure.event_log.committer import APPEND
from tests.event_log.rooms import counter

PARTITION = 3000
"""Positions of a partition during the drill, so that new ones are made under load."""

MAINTENANCE = (
    "VACUUM log.events",
    "VACUUM (FREEZE) log.events",
    "ANALYZE log.events",
    "ANALYZE",
    "REINDEX TABLE CONCURRENTLY log.events",
    "VACUUM (ANALYZE) read.drill_counts",
)


class Workers:
    """The processes of the drill, begun again when they are killed."""

    def __init__(self, url: str, folder: Path, nice: int) -> None:
        self.url, self.folder, self.nice = url, folder, nice
        self.running: dict[tuple[str, int], subprocess.Popen[bytes]] = {}

    def start(self, kind: str, number: int) -> None:
        out = self.folder / f"{kind}-{number}.jsonl"
        command = [sys.executable, "-m", "tests.drill.workers", kind, self.url, str(out)]
        command.append(str(number))
        self.running[kind, number] = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / f"{kind}-{number}.log").open("ab"),
            preexec_fn=lambda: os.nice(self.nice) and None,
        )

    def kill(self) -> None:
        """One writer or follower ends between two instructions, and another takes its place."""
        which = random.choice([each for each in self.running if each[0] != "tail"])
        process = self.running[which]
        process.kill()
        process.wait()
        self.start(*which)

    def pause(self) -> None:
        """One stands still for a while, and does not know it."""
        process = random.choice(list(self.running.values()))
        process.send_signal(signal.SIGSTOP)
        time.sleep(random.uniform(0.2, 2))
        process.send_signal(signal.SIGCONT)

    def stop(self, kind: str) -> None:
        processes = [each for (name, _), each in self.running.items() if name == kind]
        for process in processes:
            process.terminate()
        for process in processes:
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def kill_all(self) -> None:
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
                process.wait()


def prepare(url: str) -> None:
    """Small partitions, a place for effects, and a trigger that holds a commit back."""
    with psycopg.connect(url) as admin:
        admin.execute("DROP TABLE log.events_000000")
        admin.execute("DROP TABLE IF EXISTS log.events_000001")
        admin.execute(
            "CREATE OR REPLACE FUNCTION log.partition_size() RETURNS bigint IMMUTABLE"
            f" LANGUAGE sql AS 'SELECT {PARTITION}::bigint'"
        )
        admin.execute("SELECT log.add_partition(0)")
        admin.execute("CREATE SCHEMA drill")
        admin.execute("CREATE TABLE drill.effects (position bigint, process int)")
        admin.execute("GRANT USAGE ON SCHEMA drill TO tidings_app")
        admin.execute("GRANT INSERT ON drill.effects TO tidings_app")
        hold_back_slow_commits(admin)


def hold_back_slow_commits(admin: psycopg.Connection[Any]) -> None:
    """From now on the commit of a row of the tenant `slow` takes a third of a second."""
    admin.execute(
        "CREATE FUNCTION public.hold_back() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_sleep(0.3); RETURN NULL; END $$"
    )
    admin.execute(
        "CREATE CONSTRAINT TRIGGER hold_back AFTER INSERT ON log.events DEFERRABLE INITIALLY"
        " DEFERRED FOR EACH ROW WHEN (NEW.tenant = 'slow') EXECUTE FUNCTION public.hold_back()"
    )


def append_by_hand(connection: psycopg.Connection[Any], tenant: str) -> None:
    """One event by a stranger's connection, whose transaction they end as they like."""
    event: Any
    (event,) = counter("by hand", tenant).collect_events()
    row = ([event.originator_id], [1], [event.TOPIC], [codec.encode(event)], [0])
    connection.execute(APPEND.encode(), (*row, [tenant], [None], [None], [None], [None]))


class Chaos:
    """Faults at random, each in its turn; `done` counts them."""

    def __init__(self, url: str, workers: Workers, server: EmbeddedPostgres | None) -> None:
        self.url, self.workers, self.server = url, workers, server
        self.done: Tally[str] = Tally()
        self.beside: list[threading.Thread] = []

    def once(self) -> None:
        faults: list[Callable[[], None]] = [
            self.kill_backends,
            self.kill_backends,
            self.roll_back,
            self.commit_slowly,
            self.commit_slowly,
            self.hold_a_transaction,
            self.maintain,
            self.workers.kill,
            self.workers.pause,
        ]
        if self.server and random.random() < 0.02:
            faults = [self.crash_the_server]
        fault = random.choice(faults)
        try:
            fault()
            self.done[fault.__name__] += 1
        except psycopg.Error:  # one fault got in the way of another
            self.done[f"{fault.__name__}, which was thwarted"] += 1

    def _admin(self, **options: Any) -> psycopg.Connection[Any]:
        return psycopg.connect(self.url, connect_timeout=10, **options)

    def kill_backends(self) -> None:
        with self._admin() as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE random() < %s"
                " AND application_name LIKE 'tidings-%%' AND datname = current_database()",
                [random.choice([0.1, 1.0])],
            )

    def roll_back(self) -> None:
        with self._admin() as admin:
            append_by_hand(admin, f"rolled back {uuid4()}")
            time.sleep(random.uniform(0, 0.2))
            admin.rollback()

    def commit_slowly(self) -> None:
        with self._admin() as admin:
            append_by_hand(admin, "slow")

    def hold_a_transaction(self) -> None:
        def hold(seconds: float) -> None:
            with contextlib.suppress(psycopg.Error), self._admin() as admin:
                admin.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                admin.execute("SELECT count(*) FROM log.events")
                time.sleep(seconds)

        thread = threading.Thread(target=hold, args=[random.uniform(1, 8)], daemon=True)
        thread.start()
        self.beside.append(thread)

    def maintain(self) -> None:
        with self._admin(autocommit=True) as admin:
            admin.execute("SET lock_timeout = '3s'")
            admin.execute(random.choice(MAINTENANCE).encode())

    def crash_the_server(self) -> None:
        assert self.server
        pid = int((self.server.data / "postmaster.pid").read_text().split("\n")[0])
        os.kill(pid, signal.SIGQUIT)
        self.server.stop()
        self.server.start()

    def rest(self) -> None:
        for thread in self.beside:
            thread.join(20)
