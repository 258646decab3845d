"""The served OpenAPI against the contract, endpoint by endpoint."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.app import build

CONTRACT = Path(__file__).parent / "contract" / "engagement.yaml"

COMPLETE = (
    "social.posts.create",
    "social.posts.read",
    "social.schedule.create",
    "social.analytics",
    "social.responses.create",
    "social.trends",
    "social.platforms.connect",
    "social.platforms.disconnect",
    "social.mentions",
    "social.campaigns.create",
)
"""Endpoints that are built whole; the rest of the contract follows room by room."""

MORE_VALUES = {("social.posts.create", "status"): {"unconfirmed", "withdrawn"}}
"""Values beyond the contract's list, which decisions.md asks for."""


@cache
def contract() -> dict[str, Any]:
    return yaml.load(CONTRACT.read_text(), yaml.CSafeLoader)


@cache
def served() -> dict[str, Any]:
    return build(None).openapi()


def endpoint(id: str) -> dict[str, Any]:
    return next(each for each in contract()["endpoints"] if each["id"] == id)


def operation(id: str) -> dict[str, Any]:
    entry = endpoint(id)
    return served()["paths"][entry["path"]][entry["method"].lower()]


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        schema = served()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def plain(schema: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The schema without its null, and whether null is allowed."""
    schema = resolve(schema)
    variants = schema.get("anyOf")
    if not variants:
        return schema, schema.get("type") == "null"
    rest = [each for each in variants if each.get("type") != "null"]
    nullable = len(rest) < len(variants)
    return resolve(rest[0]) if len(rest) == 1 else {"anyOf": rest}, nullable


def check_type(where: str, wanted: str, schema: dict[str, Any]) -> None:
    schema, _ = plain(schema)
    match wanted:
        case "any":
            return
        case "string":
            assert schema["type"] == "string", where
        case "email":
            assert schema["format"] == "email", where
        case "datetime":
            assert (schema["type"], schema["format"]) == ("string", "date-time"), where
        case "int":
            assert schema["type"] == "integer", where
        case "float":
            assert schema["type"] == "number", where
        case "bool":
            assert schema["type"] == "boolean", where
        case "object":
            assert schema["type"] == "object", where
        case _ if wanted.startswith("list["):
            assert schema["type"] == "array", where
            check_type(f"{where}[]", wanted[5:-1], schema["items"])
        case _ if wanted.startswith("map["):
            assert schema["type"] == "object", where
            inner = wanted[4:-1].partition(",")[2].strip()
            if inner != "any":
                check_type(f"{where}{{}}", inner, schema.get("additionalProperties", {}))
        case _:
            check_model(where, contract()["models"][wanted]["fields"], schema)


def check_field(
    where: str, wanted: dict[str, Any], schema: dict[str, Any], *, request: bool
) -> None:
    check_type(where, wanted["type"], schema)
    inner, nullable = plain(schema)
    assert nullable == wanted.get("nullable", False), f"{where}: null"
    if not request:
        return
    if "default" in wanted and wanted["default"] is not None:
        assert schema.get("default") == wanted["default"], f"{where}: default"
    limits = {
        "min_length": "minLength",
        "max_length": "maxLength",
        "min_items": "minItems",
        "max_items": "maxItems",
        "greater_than": "exclusiveMinimum",
        "max": "maximum",
    }
    for ours, theirs in limits.items():
        if ours in wanted:
            assert inner.get(theirs) == wanted[ours], f"{where}: {ours}"


def check_model(
    where: str, fields: list[dict[str, Any]], schema: dict[str, Any], *, request: bool = False
) -> None:
    properties = schema["properties"]
    assert set(properties) == {field["name"] for field in fields}, where
    for field in fields:
        check_field(f"{where}.{field['name']}", field, properties[field["name"]], request=request)
    if request:
        required = {field["name"] for field in fields if field["required"]}
        assert set(schema.get("required", ())) == required, where


def values(schema: dict[str, Any]) -> set[str]:
    schema, _ = plain(schema)
    if "items" in schema:
        schema, _ = plain(schema["items"])
    return set(schema.get("enum", ()))


@pytest.mark.parametrize("id", COMPLETE)
def test_an_endpoint_is_served_as_the_contract_says(id):
    wanted, got = endpoint(id), operation(id)
    assert got["operationId"] == id
    assert set(got["x-roles"]) == set(wanted["roles"])
    limit = wanted["rate_limit"]
    assert (got["x-rate-limit"], limit["window_seconds"]) == (f"{limit['limit']}/hour", 3600)
    parameters = {
        each["name"]: each for each in got.get("parameters", ()) if each["in"] != "header"
    }
    declared = [*wanted["path_params"], *wanted["query_params"]]
    assert set(parameters) == {each["name"] for each in declared}
    for each in wanted["query_params"]:
        schema = parameters[each["name"]]["schema"]
        check_type(f"{id}?{each['name']}", each["type"], schema)
        if "default" in each:
            assert schema.get("default") == each["default"]
    if wanted["request"]:
        body = resolve(got["requestBody"]["content"]["application/json"]["schema"])
        check_model(f"{id} request", wanted["request"], body, request=True)
        assert body["additionalProperties"] is False
    answer = resolve(got["responses"]["200"]["content"]["application/json"]["schema"])
    check_model(f"{id} response", wanted["response"], answer)


@pytest.mark.parametrize("id", COMPLETE)
def test_lists_of_values_are_the_contracts(id):
    wanted, got = endpoint(id), operation(id)
    places = [(wanted["response"], got["responses"]["200"])]
    if wanted["request"]:
        places.append((wanted["request"], got["requestBody"]))
    for fields, place in places:
        properties = resolve(place["content"]["application/json"]["schema"])["properties"]
        for field in fields:
            if "allowed" in field:
                more = MORE_VALUES.get((id, field["name"]), set())
                assert values(properties[field["name"]]) == {*field["allowed"], *more}, field[
                    "name"
                ]


def test_every_route_has_roles_and_a_limit_or_is_a_service_route():
    bare = {"/healthz", "/readyz", "/metrics", "/asyncapi.json"}
    for path, methods in served()["paths"].items():
        for method, each in methods.items():
            if path not in bare:
                assert each["x-roles"] and each["x-rate-limit"], f"{method} {path}"
