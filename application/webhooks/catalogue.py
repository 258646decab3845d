"""The catalogue: everything that is ever said in public, and which events say it."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache

from application.compliance import webhooks as compliance
from application.email import webhooks as email
from application.files import webhooks as files
from application.notifications import webhooks as notifications
from application.payments import webhooks as payments
from application.reports import webhooks as reports
from application.social import webhooks as social
from application.support import webhooks as support
from application.webhooks import webhooks as endpoints
from application.webhooks.public import Emission, Emissions, Webhook
from domain.kernel import EVENTS, Retired
from domain.social.networks import Network

CONTEXTS = (social, email, support, payments, notifications, reports, files, endpoints, compliance)

NETWORKS = tuple(network.value for network in Network)
"""What the name of an event may be limited to, behind an `@`."""

WEBHOOKS: Mapping[str, Webhook] = {
    webhook.name: webhook for context in CONTEXTS for webhook in context.WEBHOOKS
}
"""Every public event by name."""

EMISSIONS: Emissions = {
    kind: said for context in CONTEXTS for kind, said in context.EMISSIONS.items()
}
"""What each domain event says in public, or that it is internal."""

BY_TOPIC: Mapping[str, Sequence[Emission]] = {
    kind.TOPIC: said for kind, said in EMISSIONS.items() if isinstance(said, Sequence)
}
"""The public ones, by the name of the event."""


@cache
def said_by(topic: str) -> Sequence[Emission]:
    """What an event says that the log keeps under this name, be it one of earlier releases."""
    kind = EVENTS.get(topic)
    while kind is not None and issubclass(kind, Retired) and kind.superseded_by is not None:
        kind = kind.superseded_by
    return BY_TOPIC.get(kind.TOPIC, ()) if kind is not None else ()


ABOUT_NETWORKS = frozenset(
    emission.webhook.name
    for said in BY_TOPIC.values()
    for emission in said
    if emission.about is not None
)
"""The public events that are about social networks."""

Wanted = Mapping[str, frozenset[str] | None]
"""Public names, each with the networks of which it must be about one; None where that is all the
same."""


def wanted(patterns: Iterable[str]) -> Wanted:
    """What `patterns` stand for. `social.*@twitter` is what matches `social.*` and is about
    Twitter."""
    found: dict[str, frozenset[str] | None] = {}
    for pattern in patterns:
        names, _, network = pattern.partition("@")
        if not network:
            found |= dict.fromkeys(_matching(names))
            continue
        for name in _matching(names) & ABOUT_NETWORKS:
            so_far = found.get(name, frozenset())
            found[name] = None if so_far is None else so_far | {network}
    return found


def as_patterns(wants: Wanted) -> list[str]:
    """Patterns that stand for the same, in alphabetical order."""
    return sorted(
        name if network is None else f"{name}@{network}"
        for name, networks in wants.items()
        for network in ([None] if networks is None else networks)
    )


def both(one: Wanted, other: Wanted) -> Wanted:
    """What one wants as well as the other."""
    found: dict[str, frozenset[str] | None] = {}
    for name in one.keys() & other.keys():
        these, those = one[name], other[name]
        networks = those if these is None else these if those is None else these & those
        if networks != frozenset():
            found[name] = networks
    return found


def matching(patterns: Iterable[str]) -> frozenset[str]:
    """The public names that `patterns` stand for: `*` all, `social.*` all below, else a name."""
    return frozenset(wanted(patterns))


def check_patterns(patterns: Sequence[str], *, of_networks: bool = False) -> Sequence[str]:
    """The same patterns. Raises `ValueError` naming the first that no public event matches.

    Only with `of_networks` may they be limited to a network.
    """
    for pattern in patterns:
        names, limit, network = pattern.partition("@") if of_networks else (pattern, "", "")
        if limit and network not in NETWORKS:
            raise ValueError(f"There is no network {network!r}; known are {', '.join(NETWORKS)}")
        if limit and _matching(names) and not _matching(names) & ABOUT_NETWORKS:
            raise ValueError(f"No event of {names!r} is about a network")
        if not _matching(names):
            near = get_close_matches(names, WEBHOOKS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"There is no event {pattern!r}{hint}")
    return patterns


def _matching(pattern: str) -> set[str]:
    if pattern == "*":
        return set(WEBHOOKS)
    if pattern.endswith(".*"):
        return {name for name in WEBHOOKS if name.startswith(pattern[:-1])}
    return {pattern} & WEBHOOKS.keys()
