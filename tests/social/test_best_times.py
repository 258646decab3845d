"""What is learned of an account's hours, without any server."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from application.social.best_times import (
    CELLS,
    HALF_LIFE,
    PEAK,
    SHRINKAGE,
    BestTimes,
    Cell,
    cell_of,
    named,
    prior,
    weight,
)
from domain.social.networks import Network

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
X = Network.TWITTER
THURSDAY_NIGHT = datetime(2030, 1, 3, 3, tzinfo=UTC)


def cells(*posts: tuple[datetime, float]) -> dict[int, Cell]:
    """Cells as the read model adds them up: posts by instant, with their engagement."""
    found: dict[int, Cell] = {}
    for at, engagement in posts:
        counts = float(weight(at))
        old = found.get(cell_of(at), Cell(0, 0.0, 0.0))
        found[cell_of(at)] = Cell(
            old.posts + 1, old.weight + counts, old.engagement + counts * engagement
        )
    return found


def weekly(at: datetime, weeks: int, engagement: float) -> list[tuple[datetime, float]]:
    return [(at - timedelta(weeks=n), engagement) for n in range(weeks)]


def test_nothing_learned_is_the_survey():
    times = BestTimes({}, NOW)
    score = times.score(X, datetime(2030, 1, 1, 10, tzinfo=UTC), UTC)
    assert (score.value, score.n, score.confidence) == (PEAK, 0, 0.0)
    assert [(b.weekday, b.hour) for b in times.best(X, NOW, UTC, 3)] == [(1, 9), (1, 10), (1, 11)]


@pytest.mark.parametrize("network", list(Network))
def test_every_network_has_peaks_above_its_nights(network):
    levels = [prior(network, day, hour) for day in range(7) for hour in range(24)]
    assert max(levels) == PEAK
    assert prior(network, 6, 3) == min(levels) < 1


def test_the_survey_speaks_of_the_readers_own_hours():
    times = BestTimes({}, NOW)
    ten_in_berlin = datetime(2030, 1, 1, 9, tzinfo=UTC)
    assert times.score(X, ten_in_berlin, BERLIN).value == PEAK
    twelve_in_berlin = datetime(2030, 1, 1, 11, tzinfo=UTC)
    assert times.score(X, twelve_in_berlin, BERLIN).value < PEAK


def test_one_lucky_post_does_not_beat_the_survey_but_many_do():
    usual = weekly(NOW - timedelta(days=1), 20, 100.0)
    once = BestTimes({X: cells(*usual, (THURSDAY_NIGHT - timedelta(weeks=1), 300.0))}, NOW)
    lucky = once.score(X, THURSDAY_NIGHT, UTC)
    assert lucky.n == 1 and lucky.value < PEAK
    often = BestTimes({X: cells(*usual, *weekly(THURSDAY_NIGHT, 20, 1000.0))}, NOW)
    best = often.best(X, NOW, UTC, 1)[0]
    assert (best.weekday, best.hour, best.score.n) == (3, 3, 20)
    assert best.score.value > PEAK
    assert best.score.confidence > 0.5


def test_confidence_is_the_share_of_the_cell_in_its_score():
    at = NOW - timedelta(hours=1)
    score = BestTimes({X: cells(*[(at, 10.0)] * 5)}, NOW).score(X, at, UTC)
    present = 5 * 2 ** -(timedelta(hours=1) / HALF_LIFE)
    assert score.confidence == pytest.approx(present / (present + SHRINKAGE), abs=1e-4)
    expected = prior(X, at.weekday(), at.hour)
    assert score.value == pytest.approx(
        (1 - score.confidence) * expected + score.confidence, abs=1e-3
    )


def test_posts_lose_half_their_weight_in_sixty_days():
    assert float(weight(NOW + HALF_LIFE) / weight(NOW)) == pytest.approx(2.0)
    at = NOW - timedelta(hours=1)
    cell = {X: cells(*[(at, 10.0)] * 5)}
    fresh = BestTimes(cell, NOW).score(X, at, UTC).confidence
    old = BestTimes(cell, NOW + HALF_LIFE).score(X, at, UTC).confidence
    assert old / (1 - old) == pytest.approx(fresh / (1 - fresh) / 2, rel=1e-3)


def test_a_local_hour_meets_another_cell_in_summer():
    winter, summer = datetime(2030, 1, 7, tzinfo=UTC), datetime(2030, 7, 1, tzinfo=UTC)
    busy = {X: cells(*weekly(THURSDAY_NIGHT, 30, 500.0), *weekly(NOW, 30, 10.0))}
    times = BestTimes(busy, NOW)
    assert times.best(X, winter, BERLIN, 1)[0].hour == 4
    assert times.best(X, summer, BERLIN, 1)[0].hour == 5


def test_accounts_that_only_lost_engagement_are_not_learned_from():
    times = BestTimes({X: {cell_of(NOW): Cell(3, 3.0, -12.0)}}, NOW)
    score = times.score(X, NOW, UTC)
    assert (score.n, score.confidence) == (3, 0.0)


def test_posts_on_several_networks_take_the_mean():
    times = BestTimes({}, NOW)
    at = datetime(2030, 1, 1, 10, tzinfo=UTC)  # a Tuesday, a peak of both
    assert times.joint([X, Network.LINKEDIN], at, UTC).value == PEAK
    later = at + timedelta(hours=4)
    parts = [times.score(n, later, UTC).value for n in (X, Network.TIKTOK)]
    assert times.joint([X, Network.TIKTOK], later, UTC).value == pytest.approx(sum(parts) / 2)


def test_a_week_has_168_cells_and_names_people_can_read():
    start = datetime(2030, 1, 7, tzinfo=UTC)
    assert [cell_of(start + timedelta(hours=n)) for n in range(CELLS)] == list(range(CELLS))
    best = BestTimes({X: cells(*[(THURSDAY_NIGHT, 9.0)] * 30)}, NOW).best(X, NOW, UTC, 200)
    text = next(named(each, "UTC") for each in best if each.score.n)
    assert text.startswith("Thursday 03:00 UTC (30 posts, confidence 0.")


@pytest.mark.parametrize("year", [1000, 1800, 2200, 9000])
def test_any_century_may_be_asked_about(year: int):
    """Weights double every two months: further on, floats end."""
    seen = cells(*weekly(THURSDAY_NIGHT, 4, 0.2), *weekly(NOW, 4, 0.1))
    at = datetime(year, 1, 3, 3, tzinfo=UTC)
    scores = [each.score for each in BestTimes({X: seen}, at).best(X, at, UTC, CELLS)]
    assert all(0 <= each.value < 100 and 0 <= each.confidence <= 1 for each in scores)
    assert sum(each.n for each in scores) == 8
