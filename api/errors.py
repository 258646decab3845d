"""Refusals as problem+json (RFC 9457), one handler for each kind of them."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson
import structlog
from eventsourcing.persistence import IntegrityError
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from domain.kernel import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionFailed,
    Refusal,
    Unavailable,
)

log = structlog.get_logger()

STATUS: dict[type[Refusal], int] = {
    NotFound: 404,
    Conflict: 409,
    Invalid: 422,
    Forbidden: 403,
    PreconditionFailed: 412,
    Unavailable: 503,
}

CODES = {
    400: "unparsable_body",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
    429: "rate_limit_exceeded",
}


def problem(
    request: Request,
    status: int,
    detail: str,
    *,
    code: str,
    errors: Sequence[dict[str, str]] = (),
    headers: dict[str, str] | None = None,
    **facts: Any,
) -> Response:
    """One refusal as it goes over the wire."""
    body = {
        "type": f"urn:tidings:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "request_id": request.scope["state"]["request_id"],
        "success": False,
        "code": code,
        **facts,
    }
    if errors:
        body["errors"] = list(errors)
    return Response(
        orjson.dumps(body, default=str),
        status,
        headers=headers,
        media_type="application/problem+json",
    )


def answer_to(request: Request, error: Exception) -> Response:
    """What an exception says to the caller."""
    match error:
        case Refusal():
            return _refused(request, error)
        case RequestValidationError():
            return _invalid(request, error)
        case HTTPException(status_code=status, detail=detail, headers=headers):
            code = CODES.get(status, HTTPStatus(status).name.lower())
            return problem(
                request, status, str(detail), code=code, headers=dict(headers) if headers else None
            )
        case IntegrityError():
            detail = "Somebody else was quicker; look at the present state and try again."
            return problem(request, 409, detail, code="conflict")
        case _:
            log.error("request.failed", error=type(error).__name__, exc_info=error)
            return problem(request, 500, "Something went wrong here.", code="internal_error")


def reason_of(error: Exception) -> str:
    """Why a request was refused, as a stable word or two: for the audit trail."""
    match error:
        case Refusal(reason=reason):
            return reason
        case HTTPException(status_code=status):
            return str(getattr(error, "reason", None) or CODES.get(status, status))
        case _:
            return type(error).__name__


def _refused(request: Request, refusal: Refusal) -> Response:
    status = next(STATUS[kind] for kind in type(refusal).__mro__ if kind in STATUS)
    code, message = refusal.reason, refusal.message
    match refusal:
        case Unavailable(retry_after=seconds):
            headers = {"Retry-After": str(seconds)}
            return problem(request, status, message, code=code, headers=headers)
        case Invalid(field=field):
            error = {"field": field, "message": message, "code": code}
            return problem(request, status, message, code=code, errors=[error])
        case _:
            facts = {name: value for name, value in refusal.facts.items() if name != "status"}
            state = refusal.facts.get("status")
            return problem(request, status, message, code=code, **facts, **state_of(state))


def state_of(state: Any) -> dict[str, Any]:
    """The present state beside a conflict; `status` itself is the HTTP status."""
    return {} if state is None else {"state": state}


def _invalid(request: Request, error: RequestValidationError) -> Response:
    errors = [
        {"field": _field(fault["loc"]), "message": _message(fault), "code": _code(fault)}
        for fault in error.errors()
    ]
    first = errors[0]
    detail = f"{first['field']}: {first['message']}"
    if len(errors) > 1:
        detail += f" (and {len(errors) - 1} more)"
    return problem(request, 422, detail, code="invalid", errors=errors)


def _field(location: Sequence[Any]) -> str:
    return ".".join(str(part) for part in location) or "body"


def _message(fault: dict[str, Any]) -> str:
    return str(fault["msg"]).removeprefix("Value error, ")


def _code(fault: dict[str, Any]) -> str:
    cause = (fault.get("ctx") or {}).get("error")
    return str(getattr(cause, "code", None) or fault["type"])


async def _handle(request: Request, error: Exception) -> Response:
    return answer_to(request, error)


def add_handlers(app: FastAPI) -> None:
    """For what does not reach a route of ours: unknown paths, wrong methods."""
    app.add_exception_handler(HTTPException, _handle)
    app.add_exception_handler(Exception, _handle)
