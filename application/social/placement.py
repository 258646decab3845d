"""Where the posts of a schedule go: strategies, time zones, conflicts. Pure."""

from bisect import bisect_left, insort
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from application.social.best_times import AWAKE, PEAK, BestTimes, Score
from domain.kernel import Invalid
from domain.social.networks import Network
from domain.social.schedules import DISTANCE, Frequency, Strategy, Taken

WINDOWS = 1000
"""Hours, days or weeks that are looked at from the start of the range: 50 posts need no more."""

HOUR = timedelta(hours=1)
SPAN = {Frequency.HOURLY: 0, Frequency.DAILY: 1, Frequency.WEEKLY: 7}
"""Local days in a window; an hour is less than one."""


@dataclass(frozen=True)
class Wish:
    """A post that wants a place, or has chosen one (`at`)."""

    networks: tuple[Network, ...]
    at: datetime | None = None


@dataclass(frozen=True)
class Place:
    """The place found, and why it is this one."""

    at: datetime
    reason: str
    score: Score | None = None


@dataclass(frozen=True)
class Frame:
    """What a schedule asks for. Instants are UTC; days and hours are those of `zone`."""

    strategy: Strategy
    frequency: Frequency
    zone: ZoneInfo
    start: datetime
    end: datetime


class Occupied:
    """The instants that are taken, by network."""

    def __init__(self, taken: Iterable[Taken] = ()) -> None:
        self._by_network: dict[Network, list[datetime]] = defaultdict(list)
        self.conflicts = 0
        for each in taken:
            insort(self._by_network[each.network], each.at)

    def free(self, networks: Iterable[Network], at: datetime) -> bool:
        """Whether `at` keeps the distance on all of `networks`."""
        return not any(self._near(network, at) for network in networks)

    def take(self, networks: Iterable[Network], at: datetime) -> None:
        for network in networks:
            insort(self._by_network[network], at)

    def next_free(self, networks: Sequence[Network], at: datetime) -> datetime:
        """The first instant from `at` on that keeps the distance on all of `networks`."""
        while True:
            near = [each for n in networks for each in self._near(n, at)]
            if not near:
                return at
            at = max(near) + DISTANCE

    def copy(self) -> "Occupied":
        other = Occupied()
        other.adopt(self)
        return other

    def adopt(self, other: "Occupied") -> None:
        self.conflicts = other.conflicts
        self._by_network = defaultdict(list, {n: [*at] for n, at in other._by_network.items()})

    def _near(self, network: Network, at: datetime) -> list[datetime]:
        """Those of the two neighbours that are too close."""
        taken = self._by_network[network]
        behind = bisect_left(taken, at)
        return [t for t in taken[max(behind - 1, 0) : behind + 1] if abs(t - at) < DISTANCE]


def place(
    wishes: Sequence[Wish], frame: Frame, now: datetime, occupied: Occupied, times: BestTimes
) -> list[Place]:
    """A place for each wish, in order; chosen places first, the others around them.

    Raises `Invalid` naming the field when a chosen place is missing, outside the range, past or
    too close to another, and when the posts do not fit.
    """
    if frame.end < now:
        raise Invalid("The range has passed.", field="date_range_end", code="in_the_past")
    chosen = {
        n: Place(_chosen(n, wish, frame, now, occupied), "chosen by you")
        for n, wish in enumerate(wishes)
        if wish.at is not None or frame.strategy is Strategy.MANUAL
    }
    rest = [(n, wish) for n, wish in enumerate(wishes) if n not in chosen]
    begin = max(frame.start, _next_minute(now))
    if frame.strategy is Strategy.CONSISTENT:
        moments = ([at] for at in _steps(frame) if at >= begin)
        found = _in_order(rest, moments, occupied, _consistent(frame), 0.0)
    else:
        judge = _judge(frame, times)
        # By the hour, nights are left out as long as the range has room.
        choosy = AWAKE if frame.frequency is Frequency.HOURLY else 0.0
        found = _in_order(rest, _windows(frame, begin), occupied, judge, choosy)
        if len(found) < len(rest) and choosy:
            found = _in_order(rest, _windows(frame, begin), occupied, judge, 0.0)
    if len(found) < len(rest):
        fit = len(found) + len(chosen)
        message = f"{fit} of {len(wishes)} posts fit between the range's start and end."
        raise Invalid(message, field="date_range_end", code="does_not_fit")
    return [(chosen | found)[n] for n in range(len(wishes))]


def _chosen(n: int, wish: Wish, frame: Frame, now: datetime, occupied: Occupied) -> datetime:
    field = f"posts.{n}.scheduled_for"
    if wish.at is None:
        raise Invalid("A manual schedule needs a moment for each post.", field=field)
    if not frame.start <= wish.at <= frame.end:
        raise Invalid("The moment lies outside the range.", field=field, code="outside_range")
    if wish.at < now:
        raise Invalid("The moment has passed.", field=field, code="in_the_past")
    if not occupied.free(wish.networks, wish.at):
        minutes = DISTANCE // timedelta(minutes=1)
        message = f"Another post is less than {minutes} minutes away on the same network."
        raise Invalid(message, field=field, code="too_close")
    occupied.take(wish.networks, wish.at)
    return wish.at


Judge = Callable[[Wish, datetime], Place]


def _in_order(
    wishes: Sequence[tuple[int, Wish]],
    windows: Iterable[Sequence[datetime]],
    occupied: Occupied,
    judge: Judge,
    least: float,
) -> dict[int, Place]:
    """The best free moment of each window for the next post, where it scores `least`; as many as
    can be placed. The places count as taken only when all are found."""
    found: dict[int, Place] = {}
    trial = occupied.copy()
    waiting = deque(wishes)
    for window in windows:
        if not waiting:
            break
        n, wish = waiting[0]
        free = [at for at in window if trial.free(wish.networks, at)]
        trial.conflicts += len(window) - len(free)
        best = max((judge(wish, at) for at in free), key=_worth, default=None)
        if best is not None and _worth(best) >= least:
            found[n] = best
            trial.take(wish.networks, best.at)
            waiting.popleft()
    if not waiting:
        occupied.adopt(trial)
    return found


def _worth(place: Place) -> float:
    return place.score.value if place.score else 0.0


def _consistent(frame: Frame) -> Judge:
    local = frame.start.astimezone(frame.zone)
    each = {
        Frequency.HOURLY: f"every hour at {local:%M} past",
        Frequency.DAILY: f"every day at {local:%H:%M}",
        Frequency.WEEKLY: f"every {local:%A} at {local:%H:%M}",
    }[frame.frequency]
    return lambda _, at: Place(at, each)


def _judge(frame: Frame, times: BestTimes) -> Judge:
    known = times if frame.strategy is Strategy.AI_OPTIMAL else BestTimes({}, frame.start)

    def judge(wish: Wish, at: datetime) -> Place:
        score = known.joint(wish.networks, at, frame.zone)
        return Place(at, _reason(wish, score), score)

    return judge


def _reason(wish: Wish, score: Score) -> str:
    names = ", ".join(wish.networks)
    if score.n:
        return f"learned from {score.n} of your posts at this hour on {names}"
    return f"{'peak hour' if score.value >= PEAK else 'a good hour'} on {names}, as surveyed"


def _steps(frame: Frame) -> Iterator[datetime]:
    """Start, and on by the frequency; days and weeks keep the local hour."""
    local = frame.start.astimezone(frame.zone)
    for n in range(WINDOWS):
        if frame.frequency is Frequency.HOURLY:
            at = frame.start + n * HOUR
        else:
            wall = local.replace(tzinfo=None, fold=0) + timedelta(days=n * SPAN[frame.frequency])
            at = frame.start if n == 0 else _utc(wall, frame.zone)
        if at > frame.end:
            return
        yield at


def _windows(frame: Frame, begin: datetime) -> Iterator[list[datetime]]:
    """The full hours of each hour, day or week, as far as they lie in the range. A range without
    any has its beginning alone."""
    local = begin.astimezone(frame.zone)
    days = SPAN[frame.frequency]
    full = local.replace(minute=0, second=0, microsecond=0).astimezone(UTC)
    if full < begin:
        full += HOUR
    if full > frame.end:
        yield [begin] if begin <= frame.end else []
        return
    for n in range(WINDOWS):
        if days:
            midnight = datetime.combine(local.date() + timedelta(days=n * days), time())
            hours = [_utc(midnight + k * HOUR, frame.zone) for k in range(24 * days)]
        else:
            hours = [full + n * HOUR]
        if hours[0] > frame.end:
            return
        # Two local hours may be one instant, where clocks go forward.
        yield [at for at in dict.fromkeys(hours) if begin <= at <= frame.end]


def _utc(wall: datetime, zone: ZoneInfo) -> datetime:
    """A local time as an instant: the earlier where clocks go back, and as much later as the
    clocks are moved where they go forward (PEP 495, fold=0)."""
    return wall.replace(tzinfo=zone).astimezone(UTC)


def _next_minute(now: datetime) -> datetime:
    full = now.replace(second=0, microsecond=0)
    return full if full == now else full + timedelta(minutes=1)
