"""`tidings replay` and `tidings state` on a log that does not fit into memory."""

import json
import os
import subprocess

import pytest

from tests.commands import TIDINGS, tidings
from tests.event_log.house import administering

FILL = """
INSERT INTO log.events (position, stream_id, version, tenant, topic, state, recorded_at)
SELECT n, md5((n / 10)::text)::uuid, n %% 10 + 1, 'demo', 'log_test.counter.increased',
       convert_to('{"by":' || n || ',"note":"' || repeat('x', 200) || '"}', 'UTF8'),
       timestamptz '2030-01-01' + n * interval '1 second'
FROM generate_series(%s::bigint, %s::bigint) AS n
"""


def filled(url, first, last):
    with administering(url) as admin:
        admin.execute(FILL, [first, last])


@pytest.fixture
def replay(database_url, redis_url, tmp_path):
    """Runs the command; returns its lines and the memory that it took at most, in MiB."""
    environment = os.environ | {"DATABASE_URL": database_url, "REDIS_URL": redis_url}

    def run(*options):
        out = tmp_path / "out"
        with out.open("wb") as file, (tmp_path / "err").open("wb") as errors:
            process = subprocess.Popen(
                [TIDINGS, "--data-dir", tmp_path / "data", "replay", *options],
                env=environment,
                stdout=file,
                stderr=errors,
            )
            _, status, usage = os.wait4(process.pid, 0)
        assert (status, (tmp_path / "err").read_bytes()) == (0, b"")
        return out, usage.ru_maxrss / 1024

    return run


@pytest.mark.slow
def test_memory_does_not_grow_with_the_log(database_url, replay):
    filled(database_url, 1, 2000)
    out, small = replay()
    filled(database_url, 2001, 60_000)
    out, large = replay()
    with out.open() as lines:
        positions = [json.loads(line)["position"] for line in lines]
    assert positions == list(range(1, 60_001))
    assert large - small < 8, "MiB more for thirty times as many events"


def test_parts_of_the_log(database_url, redis_url, tmp_path):
    filled(database_url, 1, 500)

    def lines(*options):
        servers = {"DATABASE_URL": database_url, "REDIS_URL": redis_url}
        done = tidings("--data-dir", tmp_path, "replay", *options, **servers)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    def positions(*options):
        return [json.loads(line)["position"] for line in lines(*options)]

    assert positions("--from", "490", "--to", "492") == [490, 491, 492]
    assert positions("--from", "498", "--at", "2030-01-01T00:08:19Z", "--tenant", "demo") == [
        498,
        499,
    ]
    heading, line = lines("--format", "table", "--from", "500", "--topic", "log_test.")
    assert heading.split()[0] == "position"
    assert line.split()[0] == "500"


def test_a_reader_that_has_seen_enough_ends_it_quietly(database_url, redis_url, tmp_path):
    filled(database_url, 1, 20_000)
    command = f"'{TIDINGS}' --data-dir '{tmp_path}/data' replay | head -n 1"
    done = subprocess.run(
        command,
        shell=True,
        env=os.environ | {"DATABASE_URL": database_url, "REDIS_URL": redis_url},
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout)["position"] == 1
    assert done.stderr == b""
