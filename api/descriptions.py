"""What OpenAPI is told of every route: its roles, limit, headers, answers and refusals."""

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal, get_args, get_origin

from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from api.requests import MAX_KEY
from application.kernel import Answer
from domain.identity import Role

PUBLIC: Literal["public"] = "public"
"""In place of roles: called without a token, by those who prove otherwise that they may."""

Roles = Collection[Role] | Literal["public"]


NUMBER = "^[0-9]{1,19}$"
"""A position or version, as a header holds it."""


def _header(name: str, description: str, **schema: Any) -> dict[str, Any]:
    schema["type"] = "string"
    return {"name": name, "in": "header", "description": description, "schema": schema}


COMMAND_HEADERS = (
    _header(
        "Idempotency-Key",
        "The first answer to this key is given again for 24 hours.",
        minLength=1,
        maxLength=MAX_KEY,
    ),
    _header(
        "If-Match",
        "Refuse with 412 unless this is the present ETag.",
        pattern=r'^(\*|(W/)?"[0-9]{1,19}")$',
    ),
)
QUERY_HEADERS = (
    _header(
        "Event-Position",
        "Answer only from a view that has reached this position.",
        pattern=NUMBER,
    ),
)
HEADERS_OF: Mapping[str, Sequence[dict[str, Any]]] = {
    "GET": QUERY_HEADERS,
    "POST": COMMAND_HEADERS,
    "PUT": COMMAND_HEADERS,
    "PATCH": COMMAND_HEADERS,
    "DELETE": COMMAND_HEADERS,
}


class Problem(BaseModel):
    """A refusal (RFC 9457); `errors` names the fields of a 422."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    success: bool
    code: str
    errors: list[dict[str, str]] | None = None


PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "Refused",
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    },
    "5XX": {
        "description": "Not now, or a fault here",
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    },
}


def described(roles: Roles, limit: str, method: str) -> dict[str, Any]:
    if roles == PUBLIC:
        return {"x-roles": [PUBLIC], "x-rate-limit": limit, "security": []}
    parameters = list(HEADERS_OF[method])
    return {"x-roles": sorted(roles), "x-rate-limit": limit, "parameters": parameters}


def answered_model(endpoint: Callable[..., Any]) -> Any:
    annotation = inspect.signature(endpoint).return_annotation
    if get_origin(annotation) is Answer:
        return get_args(annotation)[0]
    return None if isinstance(annotation, type) and issubclass(annotation, Response) else annotation


def answered_class(endpoint: Callable[..., Any]) -> type[Response]:
    annotation = inspect.signature(endpoint).return_annotation
    told = isinstance(annotation, type) and issubclass(annotation, Response)
    return annotation if told and annotation.media_type else JSONResponse
