"""The rules that can be tried on the past; a new one is a class here and a line in `RULES`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar

from application.compliance.dry_run import Change, Past, Rule
from domain.kernel import DomainEvent
from domain.screens import ScreenRefused, screen_text
from domain.social.networks import preflight
from domain.social.posts import Post

Screened = Mapping[type[DomainEvent], Mapping[str, Callable[[str], str]]]

SCREENED: Screened = {
    Post.Drafted: {"content": screen_text, "location": screen_text},
    Post.Withdrawn: {"reason": screen_text},
}
"""Which fields of which events came through which screen."""


class Screens(Rule):
    """The text screens: accepted then, as it is in the log; refused now?"""

    name = "screens"
    events: ClassVar[tuple[type[DomainEvent], ...]] = tuple(SCREENED)

    def __init__(self, screened: Screened = SCREENED) -> None:
        self._screened = screened

    def changes(self, past: Past) -> Iterable[Change]:
        for name, screen in self._screened[type(past.event)].items():
            text = getattr(past.event, name)
            if not text:
                continue
            try:
                screen(text)
            except ScreenRefused as refused:
                yield Change(name, "accepted", f"refused ({refused.code}): {refused.message}")


class Networks(Rule):
    """What each network takes: the problems that were found then, and those found now."""

    name = "networks"
    events: ClassVar[tuple[type[DomainEvent], ...]] = (Post.Drafted,)

    def changes(self, past: Past) -> Iterable[Change]:
        post = past.event
        assert isinstance(post, Post.Drafted)
        for network in post.networks:
            before = sorted({problem.code for problem in post.problems.get(network, ())})
            found = preflight(
                network, post.texts[network], post.media_urls, post.hashtags, post.mentions
            )
            after = sorted({problem.code for problem in found})
            if before != after:
                yield Change(network, _told(before), _told(after))


def _told(codes: Iterable[str]) -> str:
    return ", ".join(codes) or "accepted"


@dataclass
class _Window:
    ends: datetime
    used: int = 1


LIMITED: Mapping[type[DomainEvent], str] = {Post.Drafted: "social.posts.create"}
"""The endpoint that events of a kind came from, where one event is one request."""


@dataclass
class Limits(Rule):
    """Rate limits: `limits` are (requests, seconds) by endpoint, for every caller alike.

    Windows are fixed and begin with a caller's first request, as they do in service; a request
    that would be refused is not counted. Only requests that passed then are in the log, so this
    tells what a lower limit would refuse, not what a higher one would let through.
    """

    limits: Mapping[str, tuple[int, int]]
    _windows: dict[tuple[str, str, str], _Window] = field(default_factory=dict)

    name: ClassVar[str] = "limits"
    events: ClassVar[tuple[type[DomainEvent], ...]] = tuple(LIMITED)

    def changes(self, past: Past) -> Iterable[Change]:
        endpoint = LIMITED[type(past.event)]
        if endpoint not in self.limits:
            return
        count, seconds = self.limits[endpoint]
        key = past.event.tenant, past.event.actor, endpoint
        window = self._windows.get(key)
        if window is None or past.at >= window.ends:
            self._windows[key] = _Window(past.at + timedelta(seconds=seconds))
        elif window.used < count:
            window.used += 1
        else:
            yield Change(endpoint, "accepted", f"refused: more than {count} in {seconds} s")


RULES: Mapping[str, Callable[[], Rule]] = {Screens.name: Screens, Networks.name: Networks}
"""Rules that need to be told nothing; `Limits` takes the limits to try."""
