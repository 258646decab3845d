"""Every route, asked for whatever its description allows and for what it forbids, by schemathesis;
and what a header or a number may be.

No webhook is sent meanwhile: the addresses are made up as well.
"""

from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi import checks

from api.app import build
from tests.site import PLAIN, Site, running

HEADERS = {"Idempotency-Key", "If-Match", "Event-Position", "last-event-id"}
"""Made up, they mean waiting for a position that never comes; they have tests of their own."""

NOT_NOW = 503
"""A view that is behind, on a machine that is busy with all the tests; described as well."""

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
TOO_GREAT = ["9" * 20, str(2**63), "9" * 5000]


def described() -> schemathesis.BaseSchema:
    """What is served, without what has no end, and what has to be looked at while it is sent."""
    whole = build(None).openapi()
    del whole["paths"]["/api/v1/webhooks/stream"], whole["paths"]["/api/v1/webhooks/deliveries"]
    for methods in whole["paths"].values():
        for operation in methods.values():
            there = operation.get("parameters", [])
            operation["parameters"] = [each for each in there if each["name"] not in HEADERS]
    return schemathesis.openapi.from_dict(whole)


OPERATIONS = {each.ok().label: each.ok() for each in described().get_all_operations()}
ASKED = [
    *((label, GenerationMode.POSITIVE) for label in OPERATIONS),
    *((label, GenerationMode.NEGATIVE) for label, of in OPERATIONS.items() if of.body or of.query),
]
"""Nothing is wrong about an operation that has neither body nor query."""


@pytest.fixture(scope="module")
def site(template: Any, create_database: Any, valkey_server: str, tmp_path_factory: Any) -> Any:
    place = tmp_path_factory.mktemp("site")
    url = create_database(template)
    with running(
        url, valkey_server, place, background="projections", RATE_LIMIT_PROFILE="off"
    ) as site:
        yield site


@pytest.fixture(scope="module")
def ada(site: Site) -> Iterator[httpx.Client]:
    with site.client("super_admin", user="ada") as ada:
        yield ada


@pytest.fixture(scope="module")
def known(ada: httpx.Client) -> dict[str, str]:
    """Ids of what there is, by the names that they have in paths."""

    def made(path: str, name: str, body: dict[str, Any]) -> str:
        answer = ada.post(f"/api/v1/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()[name])

    post = {"content": "Hello", "platforms": ["twitter"], "scheduled_for": "2040-01-01T00:00:00Z"}
    week = {"date_range_start": "2040-02-01T00:00:00Z", "date_range_end": "2040-02-08T00:00:00Z"}
    hook = {"url": "https://hooks.example.com/tidings", "events": ["*"]}
    post_id = made("social/posts", "post_id", post)
    return {
        "post_id": post_id,
        "id": post_id,
        "position": "1",
        "schedule_id": made(
            "social/schedule",
            "schedule_id",
            {"posts": [{"content": "One", "platforms": ["twitter"]}], "frequency": "daily", **week},
        ),
        "endpoint_id": made("webhooks/endpoints", "endpoint_id", hook),
    }


@pytest.mark.parametrize(("label", "mode"), ASKED)
def test_whatever_is_asked_is_answered_as_described(
    site: Site, ada: httpx.Client, known: dict[str, str], label: str, mode: GenerationMode
) -> None:
    operation = OPERATIONS[label]
    names = {each.name for each in operation.path_parameters}
    found = {name: known[name] for name in names & known.keys()}

    @settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(mode, path_parameters=found or None))
    def ask(case: schemathesis.Case) -> None:
        headers = {"Authorization": ada.headers["Authorization"], "Prefer": "wait=0"}
        answer = case.call(base_url=site.url, headers=headers, timeout=30)
        assert answer.status_code < 500 or answer.status_code == NOT_NOW, answer.text
        case.validate_response(answer, checks=CHECKS)

    ask()


@pytest.mark.parametrize("number", TOO_GREAT, ids=len)
def test_numbers_greater_than_any_are_refused_by_name(ada: httpx.Client, number: str) -> None:
    keywords = "/api/v1/social/mentions/keywords"
    aggregate = "/api/v1/audit/aggregates/post_0195d3a2c4e87b6e9a1f0c5d2b7e4f60"
    refused = {
        "Event-Position": ada.get(keywords, headers={"Event-Position": number}),
        "If-Match": ada.put(keywords, json={"keywords": []}, headers={"If-Match": f'"{number}"'}),
        "Last-Event-ID": ada.get(
            "/api/v1/webhooks/stream", headers={"Last-Event-ID": number}, timeout=5
        ),
        "version": ada.get(aggregate, params={"version": number}),
        "after": ada.get(f"{aggregate}/history", params={"after": number}),
        "size": ada.get("/api/v1/audit/proof/1", params={"size": number}),
        "earlier": ada.get("/api/v1/audit/consistency", params={"earlier": number}),
    }
    told = {name: (each.status_code, fields(each)) for name, each in refused.items()}
    assert told == {name: (422, [name]) for name in refused}
    assert ada.get(f"/api/v1/audit/proof/{number}").status_code == 404
    place = urlsafe_b64encode(f"2030-01-01T00:00:00+00:00|0|{number}".encode()).decode()
    assert fields(ada.get("/api/v1/audit/log", params={"cursor": place})) == ["cursor"]


@pytest.mark.parametrize("number", [0, 1.5, "0", "20300101", "1893456000000", "-1"])
def test_a_number_is_no_time(ada: httpx.Client, number: Any) -> None:
    """It would have been taken for seconds, or milliseconds, since 1970."""
    post = {"content": "Hello", "platforms": ["twitter"], "scheduled_for": number}
    in_body = ada.post("/api/v1/social/posts", json=post)
    in_query = ada.get("/api/v1/social/analytics", params={"date_from": number})
    in_audit = ada.get("/api/v1/audit/log", params={"from": number})
    for answer, field in (
        (in_body, "scheduled_for"),
        (in_query, "date_from"),
        (in_audit, "from"),
    ):
        assert (answer.status_code, fields(answer)) == (422, [field])
        assert "2026-03-02T12:00:00Z" in answer.text


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("audit/log", "actor"),
        ("audit/log", "action"),
        ("audit/log", "resource"),
        ("audit/log", "cursor"),
        ("social/mentions", "keywords.0"),
        ("social/trends", "industry"),
        ("webhooks/deliveries", "event"),
    ],
)
def test_a_text_that_the_database_has_no_room_for_is_refused_by_name(
    ada: httpx.Client, path: str, field: str
) -> None:
    name, _, _ = field.partition(".")
    answer = ada.get(f"/api/v1/{path}", params={name: "an\0n"})
    assert (answer.status_code, fields(answer)) == (422, [field])


@pytest.mark.parametrize("body", [rb"\u0000", rb'{"content": "\u0000"', rb'"\u0000" NaN'])
def test_what_is_no_json_is_refused_whatever_it_holds(ada: httpx.Client, body: bytes) -> None:
    json = {"Content-Type": "application/json"}
    answer = ada.post("/api/v1/social/posts", content=body, headers=json)
    assert (answer.status_code, answer.json()["code"]) == (400, "unparsable_body")


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-10:00", "0001-01-01T00:00:00+10:00"])
def test_a_time_beyond_the_calendar_is_refused_by_name(ada: httpx.Client, time: str) -> None:
    for path, name in (("audit/log", "from"), ("social/analytics", "date_to")):
        answer = ada.get(f"/api/v1/{path}", params={name: time})
        assert (answer.status_code, fields(answer)) == (422, [name]), answer.text


@pytest.mark.parametrize("path", ["mentions", "analytics"])
@pytest.mark.parametrize(
    ("since", "until"),
    [("1000-01-01", "9000-12-31"), ("1000-01-01", "1000-02-01"), ("9000-12-01", "9000-12-31")],
)
def test_a_period_may_lie_anywhere(ada: httpx.Client, path: str, since: str, until: str) -> None:
    period = {"date_from": since, "date_to": until}
    answer = ada.get(f"/api/v1/social/{path}", params=period)
    too_long = path == "analytics" and since[:4] != until[:4]
    assert answer.status_code == (422 if too_long else 200), answer.text
    if too_long:
        assert (answer.json()["code"], fields(answer)) == ("too_many_points", ["group_by"])


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/api/v1/social/mentions/keywords", "GET, PUT"),
        ("/api/v1/webhooks/endpoints/endpoint_0195d3a2c4e87b6e9a1f0c5d2b7e4f60",
         "DELETE, GET, PATCH"),
        ("/api/v1/social/posts", "POST"),
    ],
)  # fmt: skip
def test_a_refused_method_is_told_all_that_are_allowed(site: Site, path: str, allowed: str) -> None:
    answer = httpx.request("OPTIONS", site.url + path, verify=PLAIN)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


def fields(answer: httpx.Response) -> list[str]:
    return [each["field"] for each in answer.json()["errors"]]
