"""OpenAPI and AsyncAPI say what is really sent."""

from typing import Any

import jsonschema_rs
import orjson
import pytest

from api.app import build
from api.specifications import asyncapi, example, message_schema, schemas
from application.social.posts import CreatePost
from application.webhooks.catalogue import BY_TOPIC, WEBHOOKS
from infrastructure.webhooks.messages import render
from tests.kernel import at


@pytest.fixture(scope="module")
def openapi() -> dict[str, Any]:
    return build(None).openapi()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return asyncapi("https://tidings.example")


def references(part: Any) -> set[str]:
    """Every `$ref` in a document."""
    match part:
        case dict():
            own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
            return own.union(*map(references, part.values()))
        case list():
            return set().union(*map(references, part))
        case _:
            return set()


def resolve(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found


def validator(webhook: Any) -> Any:
    return jsonschema_rs.validator_for(
        {**message_schema(webhook), "components": {"schemas": schemas()}}, validate_formats=True
    )


def test_openapi_has_a_section_for_every_public_event(openapi: dict[str, Any]) -> None:
    assert openapi["webhooks"].keys() == WEBHOOKS.keys()
    for name, item in openapi["webhooks"].items():
        operation = item["post"]
        assert operation["description"] == WEBHOOKS[name].description
        assert {each["name"] for each in operation["parameters"]} == {
            "webhook-id",
            "webhook-timestamp",
            "webhook-signature",
        }
        assert operation["requestBody"]["content"]["application/json"]["example"]["type"] == name
        assert "2XX" in operation["responses"]


def test_it_is_there_once_however_often_it_is_asked_for(openapi: dict[str, Any]) -> None:
    app = build(None)
    assert app.openapi() == app.openapi()
    ids = [
        operation["operationId"]
        for section in ("paths", "webhooks")
        for item in openapi[section].values()
        for operation in item.values()
    ]
    assert len(ids) == len(set(ids))


def test_every_reference_leads_somewhere(openapi: dict[str, Any], document: dict[str, Any]) -> None:
    for whole in (openapi, document):
        found = references(whole)
        assert found
        for each in found:
            assert isinstance(resolve(whole, each), dict), each


@pytest.mark.parametrize("name", sorted(WEBHOOKS))
def test_examples_fit_their_schemas(name: str) -> None:
    validator(WEBHOOKS[name]).validate(example(WEBHOOKS[name]))


def test_a_receiver_is_told_to_expect_what_it_does_not_know() -> None:
    for name, schema in schemas().items():
        assert "additionalProperties" not in schema, name
    message = example(WEBHOOKS["social.post.created"])
    message["data"]["added_later"] = 1
    validator(WEBHOOKS["social.post.created"]).validate(message)


def test_what_is_really_sent_fits_the_schema() -> None:
    with at():
        post = CreatePost(content="Hello", platforms=["twitter"]).handle()
        post.withdraw("No.")
    said = 0
    for event in post.collect_events():
        for emission in BY_TOPIC.get(event.TOPIC, ()):
            body = orjson.loads(render(event, emission))  # type: ignore[arg-type]
            validator(emission.webhook).validate(body)
            said += 1
    assert said == 3


def test_asyncapi_is_whole(document: dict[str, Any]) -> None:
    assert document["asyncapi"] == "3.0.0"
    assert document["servers"]["tidings"] == {"host": "tidings.example", "protocol": "https"}
    assert document["components"]["messages"].keys() == WEBHOOKS.keys()
    assert document["channels"]["webhooks"]["messages"].keys() == WEBHOOKS.keys()
    assert "webhook.ping" not in document["channels"]["stream"]["messages"]
    for operation in document["operations"].values():
        assert operation["action"] == "send"
        channel = operation["channel"]["$ref"]
        named = {
            each["$ref"].removeprefix(f"{channel}/messages/") for each in operation["messages"]
        }
        assert named == resolve(document, channel)["messages"].keys()
    for name, message in document["components"]["messages"].items():
        assert message["examples"][0]["payload"]["type"] == name
        assert set(message["headers"]["required"]) <= message["headers"]["properties"].keys()


def test_amounts_are_numbers() -> None:
    payment = WEBHOOKS["payment.processed"]
    body = example(payment)["data"]
    assert body["amount"] == 129.95
    assert schemas()["payment.processed"]["properties"]["amount"]["type"] == "number"
