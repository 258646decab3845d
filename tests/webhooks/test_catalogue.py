"""The catalogue: complete, honest about what is not said yet, and never broken."""

import copy
import importlib
import json
import pkgutil
import re
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import yaml

import domain
from application.social.posts import CreatePost, RetryPost, SchedulePost, WithdrawPost
from application.webhooks.catalogue import (
    ABOUT_NETWORKS,
    BY_TOPIC,
    CONTEXTS,
    EMISSIONS,
    WEBHOOKS,
    as_patterns,
    both,
    check_patterns,
    matching,
    wanted,
)
from application.webhooks.public import AS_BEGUN, INTERNAL, Payload, like
from domain.kernel import EVENTS, Aggregate, Retired, events_of
from domain.social.networks import Network
from domain.social.posts import Outcome, OutcomeStatus, Post
from infrastructure.event_log.codec import decode
from tests.golden import golden
from tests.kernel import NOW, at, given
from tests.webhooks.compatibility import SNAPSHOT, breaks, published, stored

CONTRACT = yaml.load(
    (Path(__file__).parents[1] / "contract/engagement.yaml").read_text(), yaml.CSafeLoader
)
PAYLOADS = {
    each["name"]: each.get("payload")
    if "proposed_payload" not in each
    else each["proposed_payload"]
    for part in ("catalogue", "endpoint_lines_only")
    for each in CONTRACT["meta"]["webhooks"][part]
}
JSON_TYPES = {
    "string": {"type": "string"},
    "datetime": {"type": "string", "format": "date-time"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "list[string]": {"type": "array", "items": {"type": "string"}},
}

NOT_EMITTED_YET = {
    "analytics.report.generated",
    "email.automation.created",
    "email.automation.triggered",
    "email.bounced",
    "email.campaign.created",
    "email.campaign.sent",
    "email.deliverability.alert",
    "email.delivered",
    "email.list.created",
    "email.sent",
    "email.subscriber.added",
    "email.subscriber.confirmed",
    "email.template.created",
    "export.ready",
    "file.uploaded",
    "notification.delivered",
    "notification.sent",
    "payment.failed",
    "payment.processed",
    "support.chat.agent_joined",
    "support.chat.started",
    "support.kb.article_created",
    "support.kb.article_published",
    "support.ticket.assigned",
    "support.ticket.created",
    "support.ticket.resolved",
    "support.ticket.response_added",
    "support.ticket.status_changed",
    "support.ticket.updated",
}
"""Their domain events come with rooms that are still to be built; empty in the end."""


def rooms_events() -> dict[str, type]:
    """Every event class of every room, not of the tests' own."""
    for module in pkgutil.walk_packages(domain.__path__, "domain."):
        importlib.import_module(module.name)
    return {
        topic: kind
        for topic, kind in EVENTS.items()
        if kind.__module__.startswith("domain.")
        and not (issubclass(kind, Retired) and kind.superseded_by)
    }


def test_every_domain_event_is_public_or_internal_on_purpose() -> None:
    assert {kind.TOPIC for kind in EMISSIONS} == rooms_events().keys()


def test_what_is_said_is_in_the_catalogue() -> None:
    for said in EMISSIONS.values():
        if said is not INTERNAL:
            assert said, "an event that says nothing is internal"
            assert all(WEBHOOKS[each.webhook.name] is each.webhook for each in said)


def test_the_list_of_what_is_not_emitted_yet_is_kept() -> None:
    emitted = {each.webhook.name for said in BY_TOPIC.values() for each in said}
    assert WEBHOOKS.keys() - emitted == NOT_EMITTED_YET


def test_all_forty_names_of_the_contract_are_published() -> None:
    assert len(PAYLOADS) == 40
    assert PAYLOADS.keys() <= WEBHOOKS.keys()


def test_no_name_is_defined_twice() -> None:
    names = [webhook.name for context in CONTEXTS for webhook in context.WEBHOOKS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", sorted(PAYLOADS))
def test_a_payload_has_the_fields_of_the_contract(name: str) -> None:
    schema = WEBHOOKS[name].payload.model_json_schema(mode="serialization")
    for field in PAYLOADS[name]:
        shown = schema["properties"][field["name"]]
        shown = next((each for each in shown.get("anyOf", []) if each != {"type": "null"}), shown)
        if field["type"] == "object":
            assert "$ref" in shown
            continue
        wanted = JSON_TYPES[field["type"]]
        assert {key: shown.get(key) for key in wanted} == wanted, field["name"]


@pytest.mark.parametrize("name", sorted(WEBHOOKS))
def test_an_entry_is_complete(name: str) -> None:
    webhook = WEBHOOKS[name]
    assert re.fullmatch(r"[a-z_]+(\.[a-z_]+)+", name)
    assert webhook.version >= 1
    assert webhook.description.endswith(".")
    assert type(webhook.payload.example()) is webhook.payload


def test_a_field_without_an_example_is_named() -> None:
    class Half(Payload):
        one: int
        other: str = "x"

    with pytest.raises(KeyError, match=r"Half\.one has no example"):
        Half.example()


def test_patterns() -> None:
    assert matching(["*"]) == WEBHOOKS.keys()
    assert matching(["social.post.created", "payment.*"]) == {
        "social.post.created",
        "payment.processed",
        "payment.failed",
    }
    assert "support.ticket.created" in matching(["support.*"])
    assert matching(["support.kb.*"]) == {
        "support.kb.article_created",
        "support.kb.article_published",
    }


@pytest.mark.parametrize(
    "pattern",
    ["social.post.create", "", "**", "social*", "*.created", "Social.*", "social.post.created.*"],
)
def test_a_pattern_that_matches_nothing_is_refused_by_name(pattern: str) -> None:
    with pytest.raises(ValueError, match=re.escape(repr(pattern))):
        check_patterns(["payment.failed", pattern])


def test_patterns_of_networks() -> None:
    assert wanted(["social.post.created@twitter", "social.post.created@facebook"]) == {
        "social.post.created": {"twitter", "facebook"}
    }
    assert wanted(["social.post.*", "social.*@twitter"])["social.post.created"] is None
    assert wanted(["social.*@twitter", "social.post.*"])["social.post.created"] is None
    assert wanted(["*@twitter"]) == {name: {"twitter"} for name in ABOUT_NETWORKS}
    assert wanted(["social.*@twitter"]) == wanted(as_patterns(wanted(["social.*@twitter"])))
    limited = ["social.*@twitter", "social.*@facebook"]
    assert both(wanted(limited), wanted(["social.post.created@twitter", "payment.failed"])) == {
        "social.post.created": {"twitter"}
    }
    assert both(wanted(limited), wanted(["social.*@tiktok"])) == {}
    assert both(wanted(limited), wanted(["*"])) == wanted(limited)


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("social.*@myspace", "no network 'myspace'"),
        ("social.*@", "no network ''"),
        ("payment.*@twitter", "No event of 'payment.*' is about a network"),
        ("social.post.create@twitter", "did you mean social.post.created?"),
    ],
)
def test_a_limit_that_makes_no_sense_is_refused(pattern: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        check_patterns([pattern], of_networks=True)
    with pytest.raises(ValueError, match="There is no event"):
        check_patterns([pattern])


# Which networks an event is about -------------------------------------------------------------

PUBLIC = [(kind, each) for kind, said in EMISSIONS.items() if said is not INTERNAL for each in said]


def test_every_public_event_of_the_social_context_is_about_networks_and_no_other() -> None:
    for kind, emission in PUBLIC:
        social = kind.TOPIC.startswith("social.")
        assert social == (emission.about is not None), kind.TOPIC
    for name, webhook in WEBHOOKS.items():
        if {"platform", "platforms"} & webhook.payload.model_fields.keys():
            assert name in ABOUT_NETWORKS


def test_an_event_is_about_the_networks_that_its_message_shows() -> None:
    entries, compared = golden(), set()
    for kind, emission in PUBLIC:
        shown = {"platform", "platforms"} & emission.webhook.payload.model_fields.keys()
        if not callable(emission.about) or not shown:
            continue
        sample = json.dumps(entries[kind.TOPIC][str(kind.class_version)]["sample"]).encode()
        event = decode(kind.TOPIC, UUID(int=1), 1, "demo", sample)
        (value,) = (getattr(emission.payload(event), name) for name in shown)
        assert set(emission.about(event)) == ({value} if isinstance(value, str) else set(value))
        compared.add(emission.webhook.name)
    assert len(compared) == 8


def test_what_names_no_networks_is_of_a_stream_whose_beginning_does() -> None:
    begun = {kind for kind, each in PUBLIC if each.about is AS_BEGUN}
    assert begun
    for kind in begun:
        firsts = [
            first for first in events_of(kind.aggregate) if issubclass(first, Aggregate.Created)
        ]
        assert firsts
        for first in firsts:
            assert any(callable(each.about) for each in BY_TOPIC[first.TOPIC]), first.TOPIC


def test_a_misspelt_name_is_answered_with_the_right_one() -> None:
    with pytest.raises(ValueError, match=r"did you mean social\.post\.created\?"):
        check_patterns(["social.post.create"])


# What a post says -----------------------------------------------------------------------------


def said_by(post: Post) -> list[tuple[str, dict[str, Any]]]:
    """The public events of what a post has just decided."""
    return [
        (each.webhook.name, each.payload(event).model_dump())
        for event in post.collect_events()
        for each in BY_TOPIC.get(event.TOPIC, ())
        if each.when(event)
    ]


def made(command: CreatePost) -> Post:
    with at():
        return command.handle()


@pytest.mark.parametrize(
    ("content", "platforms", "status"),
    [
        ("Hello", ["twitter", "facebook"], "scheduled"),
        ("Hello", ["instagram"], "failed"),
        ("Hello", ["instagram", "twitter"], "scheduled"),
        ("x" * 300, ["twitter"], "failed"),
    ],
)
def test_every_accepted_post_says_once_that_it_was_created_and_how_it_stands(
    content: str, platforms: list[str], status: str
) -> None:
    command = CreatePost(content=content, platforms=platforms, ai_optimize=False)
    post = made(command)
    assert post.status == status
    ((name, data),) = said_by(post)
    assert name == "social.post.created"
    assert data == {
        "post_id": f"post_{post.id.hex}",
        "platforms": platforms,
        "status": status,
        "created_at": NOW,
    }


def test_a_post_says_when_it_is_moved_and_taken_back() -> None:
    post = given(CreatePost(content="Hello", platforms=["twitter"]))
    later = NOW + timedelta(days=1)
    with at():
        SchedulePost(scheduled_for=later).handle(post)
        SchedulePost(scheduled_for=later).handle(post)
        WithdrawPost(reason="Sold out").handle(post)
        WithdrawPost().handle(post)
    assert [name for name, _ in said_by(post)] == [
        "social.post.rescheduled",
        "social.post.withdrawn",
    ]


def test_a_post_that_was_missed_says_so_and_that_it_is_scheduled_again() -> None:
    post = given(CreatePost(content="Hello", platforms=["twitter"]))
    later = NOW + timedelta(days=1)
    with at():
        post.miss(post.scheduled_for, "It came too late.")
        SchedulePost(scheduled_for=later).handle(post)
    assert [name for name, _ in said_by(post)] == ["social.post.failed", "social.post.rescheduled"]


def test_a_post_is_published_once_and_with_the_networks_that_have_it() -> None:
    post = given(CreatePost(content="Hello", platforms=["twitter", "facebook"]))
    with at():
        post.start_publication(post.scheduled_for)
        refused = Outcome(OutcomeStatus.FAILED, "sandbox", code="down", message="No.")
        out = Outcome(OutcomeStatus.PUBLISHED, "sandbox", "1", "https://x.invalid/1", NOW)
        post.record(1, {Network.TWITTER: out, Network.FACEBOOK: refused})
        RetryPost().handle(post)
        post.record(2, {Network.FACEBOOK: out})
    ((name, data),) = said_by(post)
    assert name == "social.post.published"
    assert data["platforms"] == ["twitter"]
    assert data["analytics"]["url"].endswith(f"/post_{post.id.hex}?include_analytics=true")


def test_a_post_that_nobody_takes_says_that_it_failed() -> None:
    post = given(CreatePost(content="Hello", platforms=["twitter"]))
    with at():
        post.start_publication(post.scheduled_for)
        refused = Outcome(OutcomeStatus.FAILED, "sandbox", code="down", message="No.")
        post.record(1, {Network.TWITTER: refused})
    ((name, data),) = said_by(post)
    assert (name, data["error_message"]) == ("social.post.failed", "twitter: No.")


# Published is for ever ------------------------------------------------------------------------


def test_no_published_payload_has_been_broken() -> None:
    assert breaks(stored(), published()) == []
    if breaks(published(), stored()):
        warnings.warn(
            f"{SNAPSHOT.name} lacks what is new: python -m tests.webhooks.compatibility",
            stacklevel=1,
        )


def changed(**change: Any) -> dict[str, Any]:
    """The published schemas with one event's properties changed."""
    now = copy.deepcopy(published())
    schema = now["social.post.published"]["schema"]
    for name, value in change.items():
        if value is None:
            del schema["properties"][name]
            schema["required"].remove(name)
        else:
            schema["properties"][name] = value
    return now


def test_an_added_optional_field_breaks_nothing() -> None:
    class Longer(WEBHOOKS["social.post.published"].payload):  # type: ignore[name-defined, misc]
        campaign_id: str | None = None

    now = published()
    now["social.post.published"]["schema"] = Longer.model_json_schema(mode="serialization")
    assert breaks(published(), now) == []


@pytest.mark.parametrize(
    ("now", "broken"),
    [
        (changed(post_id=None), "social.post.published.post_id is gone"),
        (changed(post_id={"type": "integer"}), "social.post.published.post_id is not what it was"),
        (
            changed(platforms={"type": "array", "items": {"type": "integer"}}),
            "social.post.published.platforms is not what it was",
        ),
        (
            changed(post_id={"anyOf": [{"type": "string"}, {"type": "null"}]}),
            "social.post.published.post_id is not what it was",
        ),
    ],
)
def test_a_removed_or_retyped_field_breaks_its_event(now: dict[str, Any], broken: str) -> None:
    assert breaks(published(), now) == [broken]


def test_a_field_that_may_be_missing_a_lost_part_and_a_lost_event_break() -> None:
    now = published()
    now["social.post.published"]["schema"]["required"].remove("platforms")
    del now["social.post.published"]["schema"]["$defs"]["AnalyticsLink"]["properties"]["url"]
    del now["payment.failed"]
    assert breaks(published(), now) == [
        "payment.failed is gone",
        "social.post.published.analytics.url is gone",
        "social.post.published.platforms may be missing now",
    ]


def test_examples_are_annotations() -> None:
    assert like(3).examples == [3]
