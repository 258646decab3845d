"""What rises on the sandbox network: the same for everybody who asks for a place and an hour.

Every name has a tide of its own in each place, of half a day to four days, with a short high water
and a long low one; the list holds those that stand highest. So lists change from hour to hour, and
from place to place, and can be foretold.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cache
from hashlib import sha256
from math import pi, sin

from application.social.industries import INDUSTRIES
from domain.social.networks import Network
from domain.social.trends import WORLD, Rising

LISTED = 25
"""Names in a list."""

LOW = 0.1
"""The share of its highest volume that a name has at low water."""


def listed(network: Network, place: str, at: datetime) -> Sequence[Rising]:
    """The names with the highest volumes of the 24 hours before `at`, the first one first."""
    hour = int(at.timestamp() // 3600)
    largest = 100 if place == WORLD else 1
    volumes = (Rising(name, _volume(network, place, name, hour) * largest) for name in names())
    return sorted(volumes, key=lambda each: (-(each.volume or 0), each.name))[:LISTED]


@cache
def names() -> Sequence[str]:
    """Hashtags of every industry's words, and pairs of its words."""
    return tuple(sorted(set(_names())))


def _names() -> Iterator[str]:
    for words in INDUSTRIES.values():
        known = sorted(words)
        yield from (f"#{word}" for word in known)
        yield from (f"{a} {b}" for a, b in zip(known[::3], known[1::3], strict=False))


def _volume(network: Network, place: str, name: str, hour: int) -> int:
    digest = sha256(f"{network}\0{place}\0{name}".encode()).digest()
    highest = 50 * 2 ** (digest[0] / 32)
    period, phase = 12 + digest[1] % 85, digest[2] / 256
    tide = max(sin(2 * pi * (hour / period + phase)), 0.0) ** 3
    return int(highest * (LOW + (1 - LOW) * tide))
