"""What every route shares: who may call it, how often, and how answers and refusals look.

A room's router is `Router(prefix=…, tags=[…])`; each route names its roles, its limit and the
endpoint id of the contract beside its path. The order of checks is the contract's:
authentication, role, body, rate limit.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

from fastapi import APIRouter, Depends, HTTPException, Request, params
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError, create_model
from starlette.types import Receive, Scope, Send

from api.descriptions import PROBLEMS, PUBLIC, Roles, answered_class, answered_model, described
from api.errors import answer_to, reason_of
from api.noting import NOTED, note_origin, note_refusal
from api.requests import (
    MAX_KEY,
    body_of,
    caller_of,
    command_of,
    house,
    number_of,
    refuse_nul,
    text_header,
)
from application.kernel import Answer, Command, Desk, Idempotency
from domain.identity import Caller, Role
from domain.kernel import Invalid, NotFound
from infrastructure.limits import Limit, limit_key
from infrastructure.read_models.reading import ReadSide
from projections.kernel import Query

T = TypeVar("T")
E = TypeVar("E", bound=Callable[..., Awaitable[Any]])

EVERYONE = frozenset(Role)
WRITERS = frozenset({Role.SUPER_ADMIN, Role.ADMIN, Role.DEVELOPER})
ADMINS = frozenset({Role.SUPER_ADMIN, Role.ADMIN})


class Route(APIRoute):
    """A route that answers by itself; FastAPI finds it and describes it.

    What an endpoint asks for is sorted out when it is declared: the body is its `Command`, what
    is annotated with one of this module's dependencies is made from the request, and the rest
    is the query. Nothing is looked at before the caller is known and may call; on a public route
    the dependencies see to that, and the limit is that of the caller's address.
    """

    id: str
    roles: frozenset[Role]
    limit: Limit
    methods_of: ClassVar[dict[str, set[str]]] = {}
    """All methods of a path, each of which has a route of its own."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.methods_of.setdefault(path, set()).update(self.methods or ())
        extra = self.openapi_extra or {}
        self.public = extra["x-roles"] == [PUBLIC]
        self.id = self.name
        self.roles = frozenset() if self.public else frozenset(map(Role, extra["x-roles"]))
        self.limit = Limit.parse(extra["x-rate-limit"])
        self.body: tuple[str, type[Command]] | None = None
        self.made: list[tuple[str, Callable[[Request], Awaitable[Any]]]] = []
        asked: dict[str, Any] = {}
        hints = get_type_hints(endpoint, include_extras=True)
        for name, parameter in inspect.signature(endpoint).parameters.items():
            annotation = hints[name]
            if isinstance(annotation, type) and issubclass(annotation, Command):
                self.body = name, annotation
            elif made := _made_by(annotation):
                self.made.append((name, made))
            else:
                default = ... if parameter.default is parameter.empty else parameter.default
                asked[name] = (annotation, default)
        self.query = create_model(f"{endpoint.__name__}_query", **asked) if asked else None

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in (self.methods or ()):
            raise HTTPException(
                405, headers={"Allow": ", ".join(sorted(self.methods_of[self.path]))}
            )
        scope["route"] = self
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Exception as error:  # noqa: BLE001 - every fault has its answer, and its log line
            response = answer_to(request, error)
            if response.status_code in NOTED:
                reason = reason_of(error)
                note_refusal(house(request).audit, request, self.id, response.status_code, reason)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        caller = None if self.public else self._caller(request)
        arguments: dict[str, Any] = {}
        if self.body is not None:
            name, kind = self.body
            arguments[name] = await command_of(kind, request)
        if self.query is not None:
            arguments |= _asked(self.query, request)
        for name, make in self.made:
            arguments[name] = await make(request)
        limiter = house(request).limiter
        if caller:
            key = limit_key(caller.tenant, caller.user, self.id)
        else:
            key = limit_key("", request.client.host if request.client else "", self.id)
        limit = limiter.effective(self.limit, caller.role if caller else None)
        allowance = await limiter.take(key, limit)
        request.scope["state"]["limit_headers"] = allowance.headers()
        if not allowance.allowed:
            raise HTTPException(429, "The rate limit is exceeded; try again later.")
        result = await self.endpoint(**arguments)
        if caller and type(result) is Answer and result.position is not None:
            note_origin(house(request).audit, request.scope, caller)
        return respond(result)

    def _caller(self, request: Request) -> Caller:
        caller: Caller = caller_of(request)
        request.scope["state"]["caller"] = caller
        if caller.role not in self.roles:
            raise HTTPException(403, f"The role {caller.role} may not do this.")
        return caller


def _made_by(annotation: Any) -> Callable[[Request], Awaitable[Any]] | None:
    """What makes an argument that is `Annotated` with a dependency of this module's kind."""
    for each in getattr(annotation, "__metadata__", ()):
        if isinstance(each, params.Depends):
            return getattr(each.dependency, "of_request", None) or each.dependency
    return None


def _asked(query: type[BaseModel], request: Request) -> dict[str, Any]:
    """The query's parameters: lists by repetition or with commas."""
    given: dict[str, Any] = {}
    for inner, field in query.model_fields.items():
        name = field.alias or inner
        values = request.query_params.getlist(name)
        if not values:
            continue
        is_list = list in (get_origin(each) for each in _variants(field.annotation))
        given[name] = [v for value in values for v in value.split(",")] if is_list else values[-1]
    refuse_nul(given, "")
    try:
        return dict(query.model_validate(given))
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False, include_input=False)) from None


def _variants(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)


class Router(APIRouter):
    """`post`, `get`, `patch`, `put` and `delete` take `id`, `roles` and `limit` with the path."""

    def __init__(self, **options: Any) -> None:
        super().__init__(route_class=Route, **options)

    def fixed(self) -> Iterator[tuple[str, str, Route]]:
        """Method, path and route of each path without parameters."""
        for route in self.routes:
            if isinstance(route, Route) and "{" not in route.path:
                for method in route.methods or ():
                    yield method, route.path, route

    def _route(self, method: str, path: str, id: str, roles: Roles, limit: str) -> Callable[[E], E]:
        def declare(endpoint: E) -> E:
            self.add_api_route(
                path,
                endpoint,
                methods=[method],
                name=id,
                operation_id=id,
                openapi_extra=described(roles, limit, method),
                responses=PROBLEMS,
                response_model=answered_model(endpoint),
                response_class=answered_class(endpoint),
            )
            return endpoint

        return declare

    def get(  # type: ignore[override]
        self, path: str, *, id: str, roles: Roles, limit: str
    ) -> Callable[[E], E]:
        return self._route("GET", path, id, roles, limit)

    def post(  # type: ignore[override]
        self, path: str, *, id: str, roles: Roles, limit: str
    ) -> Callable[[E], E]:
        return self._route("POST", path, id, roles, limit)

    def put(  # type: ignore[override]
        self, path: str, *, id: str, roles: Roles, limit: str
    ) -> Callable[[E], E]:
        return self._route("PUT", path, id, roles, limit)

    def patch(  # type: ignore[override]
        self, path: str, *, id: str, roles: Roles, limit: str
    ) -> Callable[[E], E]:
        return self._route("PATCH", path, id, roles, limit)

    def delete(  # type: ignore[override]
        self, path: str, *, id: str, roles: Roles, limit: str
    ) -> Callable[[E], E]:
        return self._route("DELETE", path, id, roles, limit)


class Json(Response):
    """An answer that is bytes already, with its headers as they are sent."""

    def __init__(self, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        self.status_code, self.background, self.body = 200, None, body
        headers.append((b"content-length", b"%d" % len(body)))
        headers.append((b"content-type", b"application/json"))
        self.raw_headers = headers


def respond(result: Any) -> Response:
    """An `Answer` from the desk, or a model from a query, as it goes over the wire."""
    match result:
        case Answer(body=body, position=position, version=version):
            headers = [(b"etag", b'"%d"' % version)]
            if position is not None:
                headers.append((b"event-position", b"%d" % position))
            if result.replayed:
                headers.append((b"idempotency-replayed", b"true"))
            return Json(body, headers)
        case Response():
            return result
        case BaseModel():
            body = result.__pydantic_serializer__.to_json(result)
            seen: int | None = getattr(result, "_version", None)
            return Json(body, [] if seen is None else [(b"etag", b'"%d"' % seen)])
        case _:
            raise TypeError(f"{type(result).__name__} cannot be answered with.")


async def _desk(request: Request) -> Desk:
    state = request.scope["state"]
    caller: Caller = state["caller"]
    return Desk(
        house(request).log,
        caller.tenant,
        caller.user,
        state["request_id"],
        idempotency=await _idempotency(request, caller),
        if_match=_if_match(text_header(request, b"if-match")),
    )


async def _idempotency(request: Request, caller: Caller) -> Idempotency | None:
    key = text_header(request, b"idempotency-key")
    if key is None:
        return None
    if not 0 < len(key) <= MAX_KEY:
        raise Invalid(f"An Idempotency-Key has 1 to {MAX_KEY} characters.", field="Idempotency-Key")
    endpoint = f"{request.method} {request.url.path}?{request.url.query}"
    return Idempotency.of(caller.user, endpoint, key, await body_of(request))


def _if_match(header: str | None) -> int | None:
    if header is None or header.strip() == "*":
        return None
    version = number_of(header.strip().removeprefix("W/").strip('"'))
    if version is None:
        raise Invalid('If-Match is an ETag such as "3".', field="If-Match")
    return version


AtDesk = Annotated[Desk, Depends(_desk)]


@dataclass(frozen=True)
class Reader:
    """One caller's way to look things up; they always see what they wrote themselves."""

    reads: ReadSide
    caller: Caller
    at_least: int | None

    async def one(self, query: Query[T], what: str) -> T:
        """The row that `query` finds. Raises `NotFound`, naming `what` was looked for."""
        row = await self.reads.one(self.caller.tenant, self.caller.user, query, self.at_least)
        if row is None:
            raise NotFound(f"There is no such {what}.")
        return row

    async def all(self, query: Query[T]) -> list[T]:
        return await self.reads.all(self.caller.tenant, self.caller.user, query, self.at_least)


async def _reader(request: Request) -> Reader:
    position = text_header(request, b"event-position")
    at_least = None if position is None else number_of(position)
    if position is not None and at_least is None:
        raise Invalid("Event-Position is a position in the event log.", field="Event-Position")
    return Reader(house(request).reads, request.state.caller, at_least)


AtReads = Annotated[Reader, Depends(_reader)]
