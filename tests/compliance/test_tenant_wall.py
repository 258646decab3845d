"""Every route, tried with the ids of another tenant; and the wall in the database behind it."""

import itertools
import json
from typing import Any

import psycopg
import pytest
from fastapi.routing import APIRoute
from psycopg import sql

from api.kernel import Route
from api.routes import ROUTERS
from api.wiring import READ_MODELS
from infrastructure import database
from tests.site import eventually, running

MARK = "zanzibar"
"""What stands in everything that the one tenant has, and must never be shown to the other."""
OTHER_MARK = "elsewhere"
"""What stands in everything that the other one makes."""

ENDLESS = {"webhooks.stream"}
"""Routes whose answers have no end; the stream is tested where it lives."""

EVERYBODYS = {"name", "platform", "network"}
"""Path parameters that name no tenant's thing: read models and networks."""

BODIES = {
    "social.posts.create": {
        "content": "News of {mark}",
        "platforms": ["twitter"],
        "scheduled_for": "2040-01-01T00:00:00Z",
    },
    "webhooks.endpoints.create": {"url": "https://{mark}.example/hook", "events": ["*"]},
}
"""What is made, where a value of each field's type will not do."""


@pytest.fixture(scope="module")
def site(create_database, template, valkey_server, tmp_path_factory):
    place = tmp_path_factory.mktemp("wall")
    with running(create_database(template), valkey_server, place, RATE_LIMIT_PROFILE="off") as site:
        yield site


def routes() -> list[Route]:
    return [
        route
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, Route) and route.name not in ENDLESS
    ]


def example(schema: dict[str, Any], defs: dict[str, Any]) -> Any:
    """Some value of a JSON Schema, with a place for the mark in its texts."""
    if "$ref" in schema:
        return example(defs[schema["$ref"].rpartition("/")[2]], defs)
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    if "const" in schema:
        return schema["const"]
    for variants in ("anyOf", "oneOf", "allOf"):
        if variants in schema:
            return example(schema[variants][0], defs)
    match schema.get("type"):
        case "string":
            formats = {"date-time": "2040-01-01T00:00:00Z", "email": "{mark}@example.com",
                       "uri": "https://{mark}.example", "date": "2040-01-01"}  # fmt: skip
            return formats.get(schema.get("format", ""), "{mark}1")
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case "array":
            return [example(schema.get("items", {}), defs)]
        case "object":
            wanted = schema.get("required", ())
            return {n: example(schema["properties"][n], defs) for n in wanted}
        case _:
            return {}


def body_for(route: Route, mark: str = OTHER_MARK) -> Any:
    if route.body is None:
        return None
    body = BODIES.get(route.name)
    if body is None:
        schema = route.body[1].model_json_schema()
        body = example(schema, schema.get("$defs", {}))
    return json.loads(json.dumps(body).replace("{mark}", mark))


@pytest.fixture(scope="module")
def theirs(site):
    """What the tenant `demo` has: ids by prefix, stream ids, positions."""
    ids: dict[str, set[str]] = {}
    with site.client("super_admin", "demo") as ann:
        for route in routes():
            if route.body is not None and "{" not in route.path:
                answer = ann.post(
                    route.path, json=body_for(route, MARK), headers={"Prefer": "respond-async"}
                )
                for name, value in (answer.json() if answer.is_success else {}).items():
                    if name.endswith("_id") and isinstance(value, str) and "_" in value:
                        ids.setdefault(value.rpartition("_")[0], set()).add(value)
    with psycopg.connect(site.settings.database_url) as connection:
        streams = [s for (s,) in connection.execute("SELECT DISTINCT stream_id FROM log.events")]
        positions = [p for (p,) in connection.execute("SELECT position FROM log.events")]
        deliveries = eventually(
            lambda: [d for (d,) in connection.execute("SELECT id FROM webhooks.deliveries")] or [0]
        )
    assert ids and streams
    return ids, [*streams, *deliveries], positions


def tries(parameter: str, theirs: Any) -> list[str]:
    """Values for a part of a path that name something of `demo`."""
    ids, streams, positions = theirs
    if parameter == "position":
        return [str(each) for each in positions[:3]]
    prefix = parameter.removesuffix("_id")
    found = sorted(ids.get(prefix, ()))
    made = [getattr(each, "hex", str(each)) for each in streams[:6]]
    return [*found, *(each if parameter == "id" else f"{prefix}_{each}" for each in made)]


@pytest.mark.parametrize("role", ["admin", "super_admin"])
def test_no_route_shows_or_changes_what_is_another_tenants(site, theirs, role):
    told: list[str] = []
    with site.client(role, "acme", "mallory") as mallory:
        for route in routes():
            own = [p for p in route.param_convertors if p not in EVERYBODYS]
            shared = {p: "twitter" if p == "platform" else "posts" for p in route.param_convertors}
            for values in itertools.product(*(tries(p, theirs) for p in own)):
                path = route.path.format(**{**shared, **dict(zip(own, values, strict=True))})
                for method in route.methods:
                    answer = mallory.request(
                        method, path, json=body_for(route), params=queries(route, theirs)
                    )
                    if MARK in answer.text:
                        told.append(f"{method} {path} shows it: {answer.text[:200]}")
                    if own and answer.status_code not in (404, 422):
                        told.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
                    if own and answer.status_code == 422 and body_for(route) is None:
                        told.append(f"{method} {path}: {answer.text[:200]}")
                    if answer.status_code >= 500:
                        told.append(f"{method} {path}: {answer.status_code}")
    assert told == []
    with psycopg.connect(site.settings.database_url) as connection:
        mixed = connection.execute(
            "SELECT stream_id FROM log.events GROUP BY 1 HAVING count(DISTINCT tenant) > 1"
        ).fetchall()
        intruded = connection.execute(
            "SELECT count(*) FROM log.events WHERE tenant = 'demo' AND convert_from(state, 'UTF8')"
            "::json->>'actor' = 'mallory'"
        ).fetchone()
    assert (mixed, intruded) == ([], (0,))


def queries(route: APIRoute, theirs: Any) -> dict[str, str]:
    """Ids of `demo` also where a route takes an id in its query."""
    names = [each.name for each in route.dependant.query_params]
    return {name: tries(name, theirs)[0] for name in names if name.endswith("_id")}


def walled() -> list[tuple[str, bool]]:
    return [(table.name, table.walled) for model in READ_MODELS for table in model.tables]


def test_the_database_shows_each_tenant_its_own_rows_only(site, theirs):
    with (
        psycopg.connect(site.settings.database_url) as owner,
        database.connect_sync(site.settings.database_url, "test") as app,
    ):
        seen = {}
        for name, wall in walled():
            table = sql.Identifier("read", name)
            (secured,) = owner.execute(
                "SELECT relrowsecurity FROM pg_class WHERE oid = %s::regclass", [f"read.{name}"]
            ).fetchone()
            assert secured == wall, name
            count = sql.SQL("SELECT count(*) FROM {}").format(table)
            demo = sql.SQL("SELECT count(*) FROM {} WHERE tenant = 'demo'").format(table)
            for tenant in ("acme", "", "demo"):
                app.execute("SELECT set_config('tidings.tenant', %s, false)", [tenant])
                if wall:
                    assert tenant == "demo" or app.execute(demo).fetchone() == (0,), name
            (seen[name],) = app.execute(count).fetchone()
        assert seen["posts"] > 0 and seen["audit_trail"] > 0
        app.execute("SELECT set_config('tidings.tenant', 'acme', false)")
        for table in ("audit.refusals", "audit.origins"):
            rows = app.execute(f"SELECT count(*) FROM {table} WHERE tenant = 'demo'").fetchone()
            assert rows == (0,)


def test_a_tenant_cannot_be_forgotten_by_a_query():
    from projections.kernel import Query

    with pytest.raises(TypeError, match="tenant"):
        Query(type(READ_MODELS[0]), "SELECT * FROM read.posts")
