"""Endpoints as an aggregate: what may be asked, and what comes of it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from application.webhooks.endpoints import (
    ChangeEndpoint,
    DisableEndpoint,
    EndpointChange,
    EndpointRequest,
    NewSecret,
    RegisterEndpoint,
    RemoveEndpoint,
    ReplayEvents,
    ReplayRequest,
    RetryDelivery,
    RotateSecret,
    TestEndpoint,
)
from domain.kernel import Conflict, Invalid, NotFound
from domain.webhooks.endpoints import MOST_SECRETS, DisabledBecause, WebhookEndpoint
from tests.kernel import NOW, given, said, when

SECRET, OTHER, HEADERS, DELIVERY = (UUID(int=n) for n in range(1, 5))
URL = "https://example.com/hook"
GONE = DisableEndpoint(reason=DisabledBecause.GONE)


def register(**more: Any) -> RegisterEndpoint:
    request = EndpointRequest(**{"url": URL, "events": ["social.*"], **more})
    return RegisterEndpoint(request, NewSecret(SECRET, "whpk_1"), None)


def change(kept: UUID | None = None, /, **changed: Any) -> ChangeEndpoint:
    return ChangeEndpoint(EndpointChange(**changed), kept)


def replay(first: int = 1, last: int = 9, **asked: Any) -> ReplayEvents:
    return ReplayEvents(ReplayRequest(**{"since": NOW - timedelta(days=1), **asked}), first, last)


def test_an_endpoint_names_its_secrets_and_does_not_hold_them() -> None:
    endpoint = given(register())
    assert (endpoint.url, endpoint.events, endpoint.secret) == (URL, ("social.*",), SECRET)


@pytest.mark.parametrize(
    ("command", "event"),
    [
        (
            change(url="https://b.example"),
            said(WebhookEndpoint.UrlChanged, url="https://b.example"),
        ),
        (change(events=["*"]), said(WebhookEndpoint.EventsChanged, events=("*",))),
        (
            change(description=" Shop "),
            said(WebhookEndpoint.DescriptionChanged, description="Shop"),
        ),
        (change(rate_limit=5), said(WebhookEndpoint.RateLimitChanged, rate_limit=5)),
        (change(asymmetric=True), said(WebhookEndpoint.SigningChanged, asymmetric=True)),
        (
            change(HEADERS, headers={"X-Shop": "1"}),
            said(WebhookEndpoint.HeadersChanged, header_names=("X-Shop",), headers=HEADERS),
        ),
        (
            change(status="disabled"),
            said(WebhookEndpoint.Disabled, url=URL, reason=DisabledBecause.ASKED),
        ),
        (GONE, said(WebhookEndpoint.Disabled, url=URL, reason=DisabledBecause.GONE)),
    ],
)
def test_a_change_says_what_changed_and_only_once(command: Any, event: Any) -> None:
    assert when(given(register()), command, command) == [event]


def test_an_endpoint_that_is_enabled_again() -> None:
    endpoint = given(register(), GONE)
    enable = change(status="enabled")
    assert when(endpoint, enable, enable) == [said(WebhookEndpoint.Enabled)]


def test_null_takes_the_rate_limit_away_and_silence_leaves_it() -> None:
    endpoint = given(register(rate_limit=5))
    assert when(endpoint, change(description="")) == []
    assert when(endpoint, change(rate_limit=None)) == [
        said(WebhookEndpoint.RateLimitChanged, rate_limit=None)
    ]


def test_several_changes_at_once_are_several_events() -> None:
    assert [
        each.kind for each in when(given(register()), change(rate_limit=5, asymmetric=True))
    ] == [WebhookEndpoint.RateLimitChanged, WebhookEndpoint.SigningChanged]


def test_a_secret_is_rotated_and_the_old_one_signs_for_a_day() -> None:
    assert when(given(register()), RotateSecret(NewSecret(OTHER, "whpk_2"))) == [
        said(
            WebhookEndpoint.SecretRotated,
            secret=OTHER,
            public_key="whpk_2",
            former_until=NOW + timedelta(hours=24),
        )
    ]


def test_a_handful_of_secrets_sign_at_once_and_no_more() -> None:
    rotate = RotateSecret(NewSecret(OTHER, "whpk_2"))
    endpoint = given(register(), *[rotate] * (MOST_SECRETS - 1))
    with pytest.raises(Conflict, match="5 secrets sign already"):
        when(endpoint, rotate)
    assert len(when(endpoint, rotate, instant=NOW + timedelta(hours=25))) == 1


def test_what_has_to_be_sent_is_refused_while_nothing_is_sent() -> None:
    endpoint = given(register(), GONE)
    for command in (TestEndpoint(), replay(), RetryDelivery(DELIVERY)):
        with pytest.raises(Conflict, match="enable it first"):
            when(endpoint, command)


def test_a_removed_endpoint_is_not_there() -> None:
    endpoint = given(register(), RemoveEndpoint())
    commands = [TestEndpoint(), change(rate_limit=5), replay(), RemoveEndpoint(), GONE]
    for command in [*commands, RotateSecret(NewSecret(OTHER, "whpk_2"))]:
        with pytest.raises(NotFound):
            when(endpoint, command)


def test_a_replay_is_settled_as_names_and_positions() -> None:
    endpoint = given(register(events=["social.post.*", "payment.failed"]))
    (event,) = when(endpoint, replay(events=["social.*"], only_failed=True))
    assert event.says == {
        "events": (
            "social.post.created",
            "social.post.failed",
            "social.post.published",
            "social.post.rescheduled",
            "social.post.withdrawn",
        ),
        "first": 1,
        "last": 9,
        "only_failed": True,
    }


@pytest.mark.parametrize(
    ("command", "field", "reason"),
    [
        (replay(events=["payment.*"]), "events", "gets none of these"),
        (replay(first=10), "since", "Nothing was recorded"),
        (replay(since=NOW + timedelta(seconds=1)), "since", "lies in the future"),
        (replay(since=datetime(9999, 1, 1, tzinfo=UTC)), "since", "lies in the future"),
    ],
)
def test_a_replay_of_nothing_is_refused(command: ReplayEvents, field: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason) as refused:
        when(given(register()), command)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"events": []}, "events"),
        ({"events": ["social.post.create"]}, "did you mean social.post.created"),
        ({"events": ["nothing.*"]}, "There is no event 'nothing.*'"),
        ({"rate_limit": 0}, "rate_limit"),
        ({"rate_limit": 10_001}, "rate_limit"),
        ({"headers": {f"x-{n}": "1" for n in range(21)}}, "headers"),
        ({"headers": {"x": "y" * 4096}}, "At most 4096 characters of headers"),
        ({"headers": {"X-One": "1", "x-one": "2"}}, "A header is named twice"),
        ({"url": ""}, "url"),
        ({"url": "https://example.com/" + "x" * 2048}, "url"),
        ({"description": "x" * 501}, "description"),
        ({"secret": "mine"}, "secret"),
    ],
)
def test_a_bad_request_is_refused_by_its_field(asked: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        register(**asked)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"until": NOW - timedelta(days=2)}, "until must come after since"),
        ({"until": NOW - timedelta(days=1)}, "until must come after since"),
        ({"events": ["nothing"]}, "There is no event 'nothing'"),
    ],
)
def test_an_absurd_replay_is_refused_by_its_field(asked: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        replay(**asked)


def test_a_change_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="Name at least one field"):
        EndpointChange()


def test_patterns_are_kept_once() -> None:
    assert given(register(events=["*", "social.*", "*"])).events == ("*", "social.*")
