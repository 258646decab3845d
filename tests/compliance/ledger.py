"""A log with a ledger, and somebody who can change both behind the application's back."""

import asyncio
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path

import psycopg

from infrastructure.ledger.checkpoints import Signer
from infrastructure.ledger.sealing import Sealer, seal_now
from infrastructure.ledger.verification import verify
from tests.compliance import rfc6962
from tests.rooms import Account, append, somebody

SECRET = "a secret of the tests that is long enough"


class Ledger:
    """`place` is the directory of the heads that were signed here."""

    def __init__(self, url: str, place: Path, secret: str = SECRET) -> None:
        self.url, self.place = url, place
        self.signer = Signer(secret)

    def log(self, events: int, tenant: str = "demo") -> None:
        """Put so many events into the log, three to a stream."""
        with psycopg.connect(self.url, autocommit=True) as connection, somebody(tenant):
            for first in range(0, events, 3000):
                batch = []
                for n in range(first, min(first + 3000, events), 3):
                    account = Account(owner=f"owner {n}", on=date(2030, 1, 1))
                    account.deposit(Decimal(n), date(2030, 1, 2), "web")
                    account.rename(f"somebody else {n}")
                    batch += account.collect_events()
                append(connection, batch[: min(3000, events - first)])

    def seal(self):
        return asyncio.run(seal_now(self.sealer))

    @property
    def sealer(self) -> Sealer:
        return Sealer(self.url, self.signer, self.place)

    def verify(self, *kept: str):
        return verify(self.url, [self.signer.public], kept)

    @contextmanager
    def intruder(self):
        """Somebody with all rights in the database."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            yield connection

    def entries(self) -> list[bytes]:
        """The rows as the second implementation writes them."""
        with psycopg.connect(self.url) as connection:
            return [
                rfc6962.entry_of(*row)
                for row in connection.execute(
                    "SELECT position, stream_id, version, tenant, topic, state, recorded_at"
                    " FROM log.events ORDER BY position"
                )
            ]
