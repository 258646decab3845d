"""What a schedule's author should know about its moments, computed from what was learned."""

from statistics import fmean
from typing import Any
from zoneinfo import ZoneInfo

from application.social.best_times import WEEKDAYS, BestTimes
from domain.social.networks import Network
from domain.social.schedules import DISTANCE, Schedule, Strategy

FEW = 20
"""Posts of an account below which its own figures say little against the survey's."""

BEST = 3


def insights(schedule: Schedule, times: BestTimes) -> dict[str, Any]:
    """Where the moments come from, what to expect of them, and what could be done better."""
    zone = ZoneInfo(schedule.timezone)
    slots = list(schedule.slots.values())
    networks = sorted({network for slot in slots for network in slot.networks})
    expected = [
        slot.score if slot.score is not None else times.joint(slot.networks, slot.at, zone).value
        for slot in slots
    ]
    best = {
        network.value: [
            {
                "weekday": WEEKDAYS[each.weekday],
                "hour": each.hour,
                "expected": round(each.score.value, 4),
                "n": each.score.n,
                "confidence": each.score.confidence,
            }
            for each in times.best(network, schedule.starts_at, zone, BEST)
        ]
        for network in networks
    }
    learned = {network.value: times.learned(network) for network in networks}
    return {
        "strategy": schedule.strategy,
        "timezone": schedule.timezone,
        "basis": _basis(schedule.strategy, sum(learned.values())),
        "posts_learned_from": learned,
        "expected_engagement": round(fmean(expected), 4) if expected else None,
        "confidence": round(fmean(slot.confidence for slot in slots), 4) if slots else 0.0,
        "best_times": best,
        "conflicts_avoided": schedule.conflicts,
        "minimum_distance_minutes": int(DISTANCE.total_seconds() // 60),
        "utc_offsets": sorted({f"{slot.at.astimezone(zone):%z}" for slot in slots}),
        "recommendations": _recommendations(schedule.strategy, expected, networks, times),
    }


def _basis(strategy: Strategy, learned: int) -> str:
    match strategy:
        case Strategy.AI_OPTIMAL:
            return "own engagement and survey" if learned else "survey"
        case Strategy.PEAK_HOURS:
            return "survey"
        case Strategy.CONSISTENT | Strategy.MANUAL:
            return "as asked"


def _recommendations(
    strategy: Strategy, expected: list[float], networks: list[Network], times: BestTimes
) -> list[str]:
    found = []
    less = round((1 - fmean(expected)) * 100) if expected else 0
    if less > 0 and strategy in (Strategy.MANUAL, Strategy.CONSISTENT):
        found.append(
            f"These moments promise {less} % less engagement than usual; ai_optimal would choose"
            " others."
        )
    for network in networks:
        n = times.learned(network)
        if n < FEW:
            found.append(
                f"Only {n} posts on {network} have been measured; its moments follow the survey"
                " until there are more."
            )
    return found
