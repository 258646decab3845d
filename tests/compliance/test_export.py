"""The audit trail of all time, as it leaves."""

from datetime import date

import psycopg
import pytest

from infrastructure.audit.export import entries
from tests.rooms import Account, append, somebody


@pytest.mark.parametrize("text", ["a\0b", "\\u0000", "\\\0", "\0\0", "\\\\u0000\0"])
def test_no_text_of_an_event_ends_the_export(database_url, text):
    with somebody(), psycopg.connect(database_url, autocommit=True) as connection:
        for owner in ("ann", text, "bob"):
            append(connection, Account(owner, date(2030, 1, 1)).collect_events())
    told = [(each.number, each.actor, each.request_id) for each in entries(database_url)]
    assert told == [(n, "ann", "request-1") for n in (1, 2, 3)]
