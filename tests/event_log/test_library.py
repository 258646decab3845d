"""The eventsourcing library's own cases, with our log behind them."""

from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import psycopg
import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import IntegrityError, OperationalError, StoredEvent
from eventsourcing.postgres import (
    PostgresAggregateRecorder,
    PostgresDatastore,
    PostgresTrackingRecorder,
)
from eventsourcing.tests import application as application_cases
from eventsourcing.tests import persistence as persistence_cases
from eventsourcing.utils import Environment

from infrastructure.event_log.library import Factory, LogRecorder


def parameters(url: str) -> dict[str, str]:
    """The library's settings for the database at `url`."""
    at, query = urlsplit(url), parse_qs(urlsplit(url).query)
    return {
        "PERSISTENCE_MODULE": "infrastructure.event_log.library",
        "POSTGRES_DBNAME": at.path.removeprefix("/"),
        "POSTGRES_HOST": at.hostname or query["host"][0],
        "POSTGRES_PORT": str(at.port or query.get("port", ["5432"])[0]),
        "POSTGRES_USER": at.username or "",
        "POSTGRES_PASSWORD": at.password or "unused",
        "POSTGRES_POOL_SIZE": "2",
        "POSTGRES_MAX_OVERFLOW": "20",
    }


def datastore(url: str) -> PostgresDatastore:
    given = parameters(url)
    names = ("DBNAME", "HOST", "PORT", "USER", "PASSWORD")
    return PostgresDatastore(
        *(given[f"POSTGRES_{name}"] for name in names), pool_size=2, max_overflow=20
    )


class OnOurLog:
    """Gives a case of the library a database of its own, and a recorder on our log."""

    @pytest.fixture(autouse=True)
    def _database(self, database_url, monkeypatch):
        self.url = database_url
        for name, value in parameters(database_url).items():
            monkeypatch.setenv(name, value)
        self.env = Environment("TestCase", parameters(database_url))

    def create_recorder(self):
        self.datastore = datastore(self.url)
        self.addCleanup(self.datastore.close)
        return LogRecorder(self.datastore)


class TestRecorder(OnOurLog, persistence_cases.ApplicationRecorderTestCase):
    def test_insert_subscribe(self):
        self.optional_test_insert_subscribe()


class TestNonInterleaving(OnOurLog, persistence_cases.NonInterleavingNotificationIDsBaseCase):
    pass


class Tracking(PostgresTrackingRecorder):
    pass


class TestFactory(OnOurLog, persistence_cases.InfrastructureFactoryTestCase):
    def expected_factory_class(self):
        return Factory

    def expected_aggregate_recorder_class(self):
        return PostgresAggregateRecorder

    def expected_application_recorder_class(self):
        return LogRecorder

    def expected_tracking_recorder_class(self):
        return PostgresTrackingRecorder

    def tracking_recorder_subclass(self):
        return Tracking

    def expected_process_recorder_class(self):
        raise NotImplementedError

    def test_create_process_recorder(self):
        with pytest.raises(NotImplementedError, match="their own positions"):
            self.factory.process_recorder()


class TestApplication(OnOurLog, application_cases.ApplicationTestCase):
    # About the library's cache of aggregates, and at its leisure: it may take ten seconds.
    test_check_aggregate_fastforwarding_nonblocking = None


class TestExampleApplication(OnOurLog, application_cases.ExampleApplicationTestCase):
    expected_factory_topic = "infrastructure.event_log.library:Factory"


def event(version=1, stream=None):
    return StoredEvent(stream or uuid4(), version, "test.topic", b"{}")


def test_a_lost_answer_is_found_out(database_url, monkeypatch):
    """The connection dies after the commit: the same events are recognised, and not doubled."""
    with datastore(database_url) as store:
        recorder, append = LogRecorder(store), LogRecorder._append
        faults = iter([OperationalError("lost")])

        def lossy(self, events, ours):
            result = append(self, events, ours)
            for fault in faults:
                raise fault
            return result

        monkeypatch.setattr(LogRecorder, "_append", lossy)
        assert list(recorder.insert_events([event(), event()])) == [1, 2]
        again = event()
        assert list(recorder.insert_events([again])) == [3]
        with pytest.raises(IntegrityError):
            recorder.insert_events([again])
        with pytest.raises(IntegrityError, match="twice"):
            recorder.insert_events([again, again])


def test_its_events_belong_to_a_tenant_of_their_own(database_url, monkeypatch):
    for name, value in parameters(database_url).items():
        monkeypatch.setenv(name, value)
    with Application() as app:
        app.recorder.insert_events([event()])
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT tenant FROM log.events").fetchall() == [("library",)]
