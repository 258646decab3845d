"""What attempts mean: the schedule, and what a receiver can ask for by its answer."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from infrastructure.webhooks.lanes import CONCURRENCY, Delivery, Lane, Message
from infrastructure.webhooks.posting import Reply
from infrastructure.webhooks.verdicts import DELAYS, JITTER, State, judge, probe_pause
from tests.webhooks.test_signing import ID

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def seconds(answer: Reply | str, failures: int) -> float:
    verdict = judge(answer, failures, NOW)
    assert verdict.due is not None
    return (verdict.due - NOW).total_seconds()


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_success(status: int) -> None:
    assert judge(Reply(status), 3, NOW).state is State.DELIVERED


@pytest.mark.parametrize("answer", [Reply(s) for s in (301, 302, 400, 404, 500, 503)] + ["No."])
def test_anything_else_is_tried_again(answer: Reply | str) -> None:
    verdict = judge(answer, 0, NOW)
    assert verdict.state is State.PENDING
    assert verdict.error


def test_ten_attempts_over_three_days_and_then_no_more() -> None:
    assert len(DELAYS) + 1 == 10
    assert timedelta(hours=75) < timedelta(seconds=sum(DELAYS)) < timedelta(hours=76)
    assert judge(Reply(500), 9, NOW).state is State.FAILED


@pytest.mark.parametrize("failures", range(9))
def test_delays_vary_a_little_around_the_schedule(failures: int) -> None:
    delay = DELAYS[failures]
    seen = [seconds(Reply(500), failures) for _ in range(50)]
    assert all(delay * (1 - JITTER) <= each <= delay * (1 + JITTER) for each in seen)
    assert len(set(seen)) > 1


def test_chance_can_be_foretold() -> None:
    dice = random.Random(1)
    assert judge("No.", 0, NOW, random.Random(1)).due == judge("No.", 0, NOW, dice).due


@pytest.mark.parametrize("status", [429, 500, 503])
def test_retry_after_is_waited_for(status: int) -> None:
    assert seconds(Reply(status, "7200"), 0) == 7200
    assert seconds(Reply(status, "Tue, 01 Jan 2030 01:00:00 GMT"), 0) == 3600
    assert seconds(Reply(status, "1"), 1) > 60, "never sooner than the schedule"
    assert seconds(Reply(status, "99999999"), 0) == 86400, "and never later than in a day"
    assert seconds(Reply(status, "soon"), 0) < 6


@pytest.mark.parametrize(
    ("status", "retry_after", "pause"),
    [
        (429, None, 1),
        (429, "30", 30),
        (502, None, 1),
        (503, "5", 5),
        (504, None, 1),
        (500, "30", 0),
        (404, None, 0),
        (410, "30", 0),
    ],
)
def test_an_endpoint_with_too_much_to_do_is_left_alone(
    status: int, retry_after: str | None, pause: float
) -> None:
    assert judge(Reply(status, retry_after), 0, NOW).pause == pause


def test_410_ends_it_at_once() -> None:
    assert judge(Reply(410), 0, NOW).state is State.FAILED


def test_the_dead_are_probed_ever_more_rarely() -> None:
    pauses = [probe_pause(n) for n in (1, 4, 5, 6, 7, 10, 11, 30, 10_000)]
    assert pauses == [0, 0, 1, 2, 4, 32, 60, 60, 60]


# A lane's pace -------------------------------------------------------------------------------


def lane(*, rate: float = 0.0, waiting: int = 100) -> Lane:
    lane = Lane(ID)
    message = Message(None, "x")  # type: ignore[arg-type]
    lane.hold([Delivery(ID, 0, message)] * waiting)
    lane._interval = 1 / rate if rate else 0.0
    return lane


def taken(lane: Lane, now: float) -> int:
    """How many may be begun at `now`."""
    n = 0
    while (ready := lane.ready_at(now)) is not None and ready <= now:
        lane.take(now)
        n += 1
    return n


GOOD, BAD = judge(Reply(200), 0, NOW), judge(Reply(500), 0, NOW)


def test_so_many_at_once_and_fewer_after_failures() -> None:
    it = lane()
    assert taken(it, 0.0) == CONCURRENCY
    for _ in range(CONCURRENCY):
        it.note(BAD, 0.0, 1.0)
    assert (it.concurrency, it.failures_in_a_row) == (1, 1), "side by side they count as one"
    for second in range(1, 20):
        now = max(it.paused_until, float(second))
        assert taken(it, now) == 1
        it.note(BAD, now, now)
    assert it.failures_in_a_row == 20
    assert it.paused_until == now + 60
    assert taken(it, now + 60) == 1
    it.note(GOOD, now + 60, now + 60)
    assert it.failures_in_a_row == 0
    assert taken(it, now + 60) == 2


def test_a_rate_is_kept_over_any_second() -> None:
    it, begun = lane(rate=10, waiting=1000), []
    for tick in range(5000):
        now = tick / 1000
        for _ in range(taken(it, now)):
            begun.append(now)
            it.note(GOOD, now, now)
    assert 49 <= len(begun) <= 52
    most = max(sum(start <= each < start + 1 for each in begun) for start in begun)
    assert most <= 11
