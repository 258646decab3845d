"""Where schedules put their posts, what becomes of late ones: without any server."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given as suppose
from hypothesis import settings
from hypothesis import strategies as st
from pydantic import ValidationError

from application.social.best_times import BestTimes, Cell, cell_of, weight
from application.social.lateness import LATE, TOO_LATE, CatchUp, LatePost, new_places
from application.social.placement import Frame, Occupied, Wish, place
from application.social.posts import CreatePost, SchedulePost, WithdrawPost
from application.social.schedules import (
    CancelRequest,
    CancelSchedule,
    CreateSchedule,
    MoveRequest,
    MoveSchedule,
    ScheduleRequest,
    Surroundings,
)
from domain.kernel import Conflict, Invalid
from domain.social.networks import Network
from domain.social.posts import Post, PostStatus
from domain.social.schedules import (
    DISTANCE,
    Calendar,
    Frequency,
    Schedule,
    Strategy,
    Taken,
)
from tests.kernel import NOW, at, given, heard, said, when

X, FACEBOOK, LINKEDIN = Network.TWITTER, Network.FACEBOOK, Network.LINKEDIN
BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
NOTHING = BestTimes({}, NOW)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def placed(
    n=3,
    strategy=Strategy.CONSISTENT,
    frequency=Frequency.DAILY,
    zone=BERLIN,
    start=NOW + DAY,
    end=None,
    taken=(),
    times=NOTHING,
    networks=(X,),
    now=NOW,
):
    frame = Frame(strategy, frequency, zone, start, end or start + 30 * DAY)
    wishes = [Wish(networks)] * n
    return [each.at for each in place(wishes, frame, now, Occupied(taken), times)]


def local(instants, zone):
    return [f"{each.astimezone(zone):%d %H:%M}" for each in instants]


def test_consistent_keeps_the_local_hour_when_clocks_go_forward():
    start = datetime(2030, 3, 30, 8, tzinfo=UTC)  # 9:00 in Berlin, the day before
    found = placed(start=start)
    assert local(found, BERLIN) == ["30 09:00", "31 09:00", "01 09:00"]
    assert [b - a for a, b in pairwise(found)] == [23 * HOUR, 24 * HOUR]


def test_consistent_keeps_the_local_hour_when_clocks_go_back():
    start = datetime(2030, 11, 2, 13, tzinfo=UTC)  # 9:00 in New York
    found = placed(start=start, zone=NEW_YORK)
    assert local(found, NEW_YORK) == ["02 09:00", "03 09:00", "04 09:00"]
    assert [b - a for a, b in pairwise(found)] == [25 * HOUR, 24 * HOUR]


def test_an_hour_that_clocks_leave_out_is_as_much_later():
    start = datetime(2030, 3, 30, 1, 30, tzinfo=UTC)  # 2:30 in Berlin; there is none the next day
    assert local(placed(start=start), BERLIN) == ["30 02:30", "31 03:30", "01 02:30"]


def test_an_hour_that_comes_twice_is_taken_once():
    start = datetime(2030, 10, 26, 0, 30, tzinfo=UTC)  # 2:30 in Berlin
    found = placed(start=start)
    assert found[1] == datetime(2030, 10, 27, 0, 30, tzinfo=UTC)
    assert local(found, BERLIN) == ["26 02:30", "27 02:30", "28 02:30"]


def test_weekly_and_hourly_steps():
    assert local(placed(frequency=Frequency.WEEKLY), BERLIN) == ["02 13:00", "09 13:00", "16 13:00"]
    found = placed(frequency=Frequency.HOURLY, start=datetime(2030, 3, 31, 0, tzinfo=UTC))
    assert local(found, BERLIN) == ["31 01:00", "31 03:00", "31 04:00"]


def test_steps_that_have_passed_are_left_out_and_the_rhythm_stays():
    found = placed(start=NOW - 30 * HOUR)
    assert found[0] == NOW - 30 * HOUR + 2 * DAY


def test_peak_hours_are_those_of_the_zone():
    found = placed(strategy=Strategy.PEAK_HOURS, networks=(LINKEDIN,), zone=NEW_YORK)
    tuesday = [each for each in found if each.astimezone(NEW_YORK).weekday() == 2]
    assert [each.astimezone(NEW_YORK).hour for each in tuesday] == [10]
    assert len({each.astimezone(NEW_YORK).date() for each in found}) == 3


def test_peak_hours_by_the_week_take_the_best_hour_of_each():
    found = placed(
        strategy=Strategy.PEAK_HOURS,
        frequency=Frequency.WEEKLY,
        networks=(Network.TIKTOK,),
        start=datetime(2030, 1, 7, tzinfo=UTC),
        zone=ZoneInfo("UTC"),
    )
    assert local(found, UTC) == ["08 14:00", "15 14:00", "22 14:00"]


def test_by_the_hour_nights_are_left_out_while_there_is_room():
    start = datetime(2030, 1, 8, 20, tzinfo=UTC)
    utc = ZoneInfo("UTC")
    roomy = placed(4, Strategy.PEAK_HOURS, Frequency.HOURLY, utc, start)
    assert local(roomy, UTC) == ["08 20:00", "08 21:00", "09 07:00", "09 08:00"]
    tight = placed(4, Strategy.PEAK_HOURS, Frequency.HOURLY, utc, start, start + 3 * HOUR)
    assert local(tight, UTC) == ["08 20:00", "08 21:00", "08 22:00", "08 23:00"]


def test_what_was_learned_moves_the_posts():
    evening = datetime(2029, 12, 27, 20, tzinfo=UTC)
    counts = float(weight(evening))
    cells = {
        cell_of(evening + n * DAY): Cell(40, 40 * counts, 40 * counts * 300) for n in range(7)
    } | {
        cell_of(evening - 10 * HOUR + n * DAY): Cell(40, 40 * counts, 40 * counts * 50)
        for n in range(7)
    }
    times = BestTimes({X: cells}, NOW)
    found = placed(strategy=Strategy.AI_OPTIMAL, times=times, zone=ZoneInfo("UTC"))
    assert {each.hour for each in found} == {20}
    assert {e.hour for e in placed(strategy=Strategy.PEAK_HOURS, times=times, zone=ZoneInfo("UTC"))
            } != {20}  # fmt: skip


def test_posts_keep_their_distance_from_what_is_planned():
    start = NOW + DAY
    near = Taken(X, start + DISTANCE - timedelta(seconds=1))
    assert placed(2, taken=[near]) == [start + DAY, start + 2 * DAY]
    assert placed(2, taken=[Taken(FACEBOOK, start)])[0] == start
    assert placed(2, taken=[Taken(X, start + DISTANCE)])[0] == start


def test_an_optimal_hour_that_is_taken_gives_way_to_the_next_best():
    start = datetime(2030, 1, 8, tzinfo=UTC)  # a Tuesday
    options = {"strategy": Strategy.PEAK_HOURS, "zone": ZoneInfo("UTC"), "start": start, "n": 1}
    assert local(placed(**options), UTC) == ["08 09:00"]
    nine = Taken(X, start + 9 * HOUR)
    assert local(placed(**options, taken=[nine]), UTC) == ["08 10:00"]


@settings(max_examples=60, deadline=None)
@suppose(
    strategy=st.sampled_from([Strategy.AI_OPTIMAL, Strategy.PEAK_HOURS, Strategy.CONSISTENT]),
    frequency=st.sampled_from(list(Frequency)),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"]),
    minutes=st.integers(-3000, 400_000),
    length=st.integers(0, 60 * 24 * 40),
    taken=st.lists(st.integers(0, 5000), max_size=20),
    n=st.integers(1, 12),
)
def test_places_are_in_the_range_in_order_and_apart(
    strategy, frequency, zone, minutes, length, taken, n
):
    start = NOW + timedelta(minutes=minutes)
    end = start + timedelta(minutes=length)
    others = [Taken(X, start + timedelta(minutes=each)) for each in taken]
    try:
        found = placed(n, strategy, frequency, ZoneInfo(zone), start, end, others)
    except Invalid as refusal:
        assert refusal.field == "date_range_end"
        return
    assert len(found) == n
    assert all(max(start, NOW) <= each <= end for each in found)
    together = sorted([*found, *(each.at for each in others)])
    assert found == sorted(found)
    for each in found:
        near = [t for t in together if abs(t - each) < DISTANCE]
        assert near == [each]


def request(n=3, **changes):
    body = {
        "posts": [{"content": f"Post {k}", "platforms": ["twitter"]} for k in range(n)],
        "date_range_start": (NOW + DAY).isoformat(),
        "date_range_end": (NOW + 60 * DAY).isoformat(),
    }
    return ScheduleRequest.model_validate(body | changes)


def created(asked, taken=(), calendar=None):
    around = Surroundings(list(taken), NOTHING, calendar)
    with at():
        return CreateSchedule(asked, around).handle()


def refused(asked, taken=()):
    with pytest.raises(Invalid) as refusal:
        created(asked, taken)
    return refusal.value.field, refusal.value.reason


def manual(*moments, **changes):
    posts = [
        {"content": "Hello", "platforms": ["twitter"]}
        | ({"scheduled_for": moment.isoformat()} if moment else {})
        for moment in moments
    ]
    return request(posts=posts, optimization_strategy="manual", **changes)


def test_fifty_posts_are_one_decision():
    schedule, *posts, calendar = created(request(50))
    assert {type(each) for each in posts} == {Post} and len(posts) == 50
    assert [post.status for post in posts] == [PostStatus.SCHEDULED] * 50
    assert [slot.post_id for slot in schedule.slots.values()] == [post.id for post in posts]
    assert [slot.at for slot in schedule.slots.values()] == [post.scheduled_for for post in posts]
    assert len(calendar.plans) == 1 and len(calendar.plans[0]) == 50


def test_posts_that_do_not_fit_are_all_refused():
    end = (NOW + 2 * DAY).isoformat()
    assert refused(request(3, date_range_end=end)) == ("date_range_end", "does_not_fit")


def test_a_manual_schedule_needs_every_moment():
    asked = manual(NOW + 2 * DAY, None)
    assert refused(asked)[0] == "posts.1.scheduled_for"


@pytest.mark.parametrize(
    ("moment", "reason"),
    [
        (NOW + HOUR, "outside_range"),
        (NOW + 61 * DAY, "outside_range"),
        (NOW + 2 * DAY + 5 * timedelta(minutes=1), "too_close"),
    ],
)
def test_a_manual_moment_must_be_free_and_in_the_range(moment, reason):
    assert refused(manual(NOW + 2 * DAY, moment)) == ("posts.1.scheduled_for", reason)


def test_a_manual_moment_of_the_past_is_refused():
    asked = manual(NOW - HOUR, date_range_start=(NOW - DAY).isoformat())
    assert refused(asked) == ("posts.0.scheduled_for", "in_the_past")


def test_a_range_that_has_passed_is_refused():
    past = {"date_range_start": "2024-02-01T00:00:00Z", "date_range_end": "2024-03-01T00:00:00Z"}
    assert refused(request(1, **past)) == ("date_range_end", "in_the_past")


def test_a_moment_of_its_own_is_kept_whatever_the_strategy():
    mine = NOW + DAY + timedelta(minutes=7)
    posts = [
        {"content": "Mine", "platforms": ["twitter"], "scheduled_for": mine.isoformat()},
        {"content": "Yours", "platforms": ["twitter"]},
    ]
    _, first, second, _ = created(request(posts=posts, optimization_strategy="consistent"))
    assert first.scheduled_for == mine
    assert second.scheduled_for == NOW + 2 * DAY  # the first step is too close to mine


def test_a_post_that_no_network_allows_is_reported_and_not_planned():
    posts = [
        {"content": "Hello", "platforms": ["instagram"]},
        {"content": "Hello", "platforms": ["twitter"]},
    ]
    schedule, failed, fine, _ = created(request(posts=posts))
    assert failed.status is PostStatus.FAILED and "instagram" in failed.error
    assert list(schedule.slots) == [fine.id]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"posts": []}, "posts"),
        ({"posts": [{"content": "x", "platforms": ["twitter"]}] * 51}, "posts"),
        ({"posts": [{"content": "x", "platforms": ["myspace"]}]}, "posts.0.platforms.0"),
        ({"posts": [{"content": "", "platforms": ["twitter"]}]}, "posts.0.content"),
        ({"posts": [{"content": "x", "platforms": []}]}, "posts.0.platforms"),
        ({"posts": [{"content": "x", "platforms": ["twitter"], "scheduled_for": "soon"}]},
         "posts.0.scheduled_for"),
        ({"posts": [{"content": "x", "platforms": ["twitter"],
                     "scheduled_for": "0001-01-01T00:00:00+10:00"}]}, "posts.0.scheduled_for"),
        ({"posts": [{"content": "<script>x</script>", "platforms": ["twitter"]}]},
         "posts.0.content"),
        ({"optimization_strategy": "lucky"}, "optimization_strategy"),
        ({"frequency": "monthly"}, "frequency"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"timezone": "Europe"}, "timezone"),
        ({"timezone": "../etc/passwd"}, "timezone"),
        ({"date_range_start": "whenever"}, "date_range_start"),
        ({"date_range_start": "9999-12-31T23:00:00-10:00"}, "date_range_start"),
        ({"date_range_start": "0001-01-01T00:00:00+10:00"}, "date_range_start"),
        ({"date_range_end": "2029-01-01T00:00:00Z"}, "date_range_end"),
        ({"surprise": 1}, "surprise"),
    ],
)  # fmt: skip
def test_bad_input_names_its_field(changes, field):
    with pytest.raises(ValidationError) as refusal:
        request(**changes)
    faults = [".".join(map(str, fault["loc"])) for fault in refusal.value.errors()]
    assert faults == [field]


def test_naive_times_mean_utc_and_letters_of_networks_do_not_matter():
    asked = request(
        1,
        posts=[{"content": "x", "platforms": ["TWITTER"]}],
        date_range_start="2031-01-01T09:00:00",
        date_range_end="2031-01-01T09:00:00",
        timezone="Asia/Tokyo",
        optimization_strategy="consistent",
    )
    _, post, _ = created(asked)
    assert post.scheduled_for == datetime(2031, 1, 1, 9, tzinfo=UTC)
    assert post.networks == (X,)


def _with_posts(asked=None):
    schedule, *posts, calendar = created(asked or request(optimization_strategy="consistent"))
    for each in (schedule, *posts, calendar):
        each.collect_events()
    return schedule, posts, calendar


def move(schedule, posts, calendar, start, taken=()):
    around = Surroundings(list(taken), NOTHING, calendar)
    with at():
        return MoveSchedule(MoveRequest(date_range_start=start), schedule, posts, around).handle()


def test_a_moved_schedule_keeps_local_hours():
    berlin = request(
        2,
        timezone="Europe/Berlin",
        optimization_strategy="consistent",
        date_range_start="2030-03-28T09:00:00+01:00",
        date_range_end="2030-04-20T00:00:00Z",
    )
    schedule, posts, calendar = _with_posts(berlin)
    move(schedule, posts, calendar, datetime(2030, 4, 4, 7, tzinfo=UTC))
    assert local([post.scheduled_for for post in posts], BERLIN) == ["04 09:00", "05 09:00"]
    assert [slot.at for slot in schedule.slots.values()] == [p.scheduled_for for p in posts]


def test_moving_leaves_alone_what_has_gone_and_moving_to_the_same_place_changes_nothing():
    schedule, posts, calendar = _with_posts()
    when(posts[0], WithdrawPost(reason="Not this one"))
    changed = move(schedule, posts, calendar, schedule.starts_at + DAY)
    assert posts[0] not in changed and posts[1] in changed
    for each in changed:
        each.collect_events()
    assert move(schedule, posts, calendar, schedule.starts_at) == [schedule]
    assert heard(schedule) == []


def test_a_move_into_the_past_or_onto_others_is_refused():
    schedule, posts, calendar = _with_posts()
    with pytest.raises(Invalid, match="past"):
        move(schedule, posts, calendar, NOW - DAY)
    with pytest.raises(Invalid, match="close"):
        taken = [Taken(X, posts[1].scheduled_for + HOUR)]
        move(schedule, posts, calendar, schedule.starts_at + HOUR, taken)


def cancel(schedule, posts, reason="Storm"):
    with at():
        return CancelSchedule(CancelRequest(reason=reason), schedule, posts).handle()


def test_a_cancelled_schedule_takes_back_what_has_not_gone_out_and_stays_cancelled():
    schedule, posts, calendar = _with_posts()
    with at():
        posts[0].start_publication(posts[0].scheduled_for)
    posts[0].collect_events()
    assert cancel(schedule, posts) == [schedule, *posts[1:]]
    assert heard(schedule) == [
        said(Schedule.Cancelled, reason="Storm", withdrawn=(posts[1].id, posts[2].id))
    ]
    assert heard(posts[1]) == [said(Post.Withdrawn, reason="Storm", of_campaign=False)]
    assert cancel(schedule, posts) == [schedule] and heard(schedule) == []
    with pytest.raises(Conflict):
        move(schedule, posts, calendar, NOW + 3 * DAY)


def test_a_calendar_tells_the_plans_that_a_view_has_not_seen():
    with at():
        calendar = Calendar()
        first, second = [Taken(X, NOW)], [Taken(FACEBOOK, NOW)]
        calendar.fill(first)
        calendar.fill(second)
        assert calendar.id == Calendar.create_id("demo") != Calendar.create_id("acme")
    assert calendar.since(0) == first + second
    assert calendar.since(1) == first + second
    assert calendar.since(2) == second
    assert calendar.since(3) == []


def late(*ago, networks=(X,)):
    return [LatePost(uuid4(), list(networks), NOW - each) for each in ago]


def test_late_posts_go_out_in_order_and_apart():
    posts = late(3 * HOUR, 2 * HOUR, HOUR)
    assert new_places(posts, [], NOW) == [
        (post, NOW + n * DISTANCE) for n, post in enumerate(posts)
    ]


def test_late_posts_make_room_for_what_is_planned():
    planned = [Taken(X, NOW - timedelta(minutes=1)), Taken(X, NOW + timedelta(minutes=15))]
    first, second = (at for _, at in new_places(late(2 * HOUR, HOUR), planned, NOW))
    assert first == NOW + timedelta(minutes=25)
    assert second == first + DISTANCE


def test_networks_do_not_wait_for_each_other():
    posts = late(2 * HOUR) + late(HOUR, networks=(FACEBOOK,))
    assert [at for _, at in new_places(posts, [], NOW)] == [NOW, NOW]


def test_what_is_more_than_a_day_late_is_left_to_a_person():
    old, recent = late(TOO_LATE + LATE, TOO_LATE - LATE)
    assert [at for _, at in new_places([old, recent], [], NOW)] == [None, NOW]
    post = given(CreatePost(content="Hello", platforms=["twitter"], scheduled_for=NOW + HOUR))
    missed = CatchUp(due=NOW + HOUR, at=None)
    events = when(post, missed)
    assert [event.kind for event in events] == [Post.Failed]
    assert post.status is PostStatus.FAILED and post.error.startswith("Missed")
    assert when(post, missed) == []
    again = NOW + 3 * DAY
    assert when(post, SchedulePost(scheduled_for=again)) == [said(Post.Scheduled, at=again)]
    assert post.error is None


def test_catching_up_leaves_alone_what_was_moved_meanwhile():
    post = given(CreatePost(content="Hello", platforms=["twitter"], scheduled_for=NOW + HOUR))
    assert when(post, CatchUp(due=NOW, at=NOW + 2 * HOUR)) == []
    moved = CatchUp(due=NOW + HOUR, at=NOW + 2 * HOUR)
    assert when(post, moved) == [said(Post.Rescheduled, at=NOW + 2 * HOUR)]
    assert when(post, moved) == []
