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

CONTEXTS = (social, email, support, payments, notifications, reports, files, endpoints, compliance)

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


def matching(patterns: Iterable[str]) -> frozenset[str]:
    """The public names that `patterns` stand for: `*` all, `social.*` all below, else a name."""
    names: set[str] = set()
    for pattern in patterns:
        names |= _matching(pattern)
    return frozenset(names)


def check_patterns(patterns: Sequence[str]) -> Sequence[str]:
    """The same patterns. Raises `ValueError` naming the first that no public event matches."""
    for pattern in patterns:
        if not _matching(pattern):
            near = get_close_matches(pattern, WEBHOOKS, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"There is no event {pattern!r}{hint}")
    return patterns


def _matching(pattern: str) -> set[str]:
    if pattern == "*":
        return set(WEBHOOKS)
    if pattern.endswith(".*"):
        return {name for name in WEBHOOKS if name.startswith(pattern[:-1])}
    return {pattern} & WEBHOOKS.keys()
