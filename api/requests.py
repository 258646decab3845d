"""What a request brings: its caller, headers and body; and the house that it has come to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from redis.asyncio import Redis

from application.kernel import Command
from application.social.connecting import Connecting
from domain.identity import Caller
from domain.kernel import Invalid
from domain.positions import GREATEST
from infrastructure.audit.recorder import Recorder
from infrastructure.event_log.log import EventLog
from infrastructure.ledger.office import Office
from infrastructure.rate_limits import RateLimiter
from infrastructure.read_models.reading import ReadSide
from infrastructure.settings import Settings
from infrastructure.tokens import TokenRefused, Tokens
from projections.kernel import ReadModel

MAX_BODY = 1024 * 1024
"""Bytes of a JSON body."""

MAX_KEY = 255
"""Characters of an Idempotency-Key."""


@dataclass
class House:
    """What a worker process holds open while it serves."""

    settings: Settings
    log: EventLog
    reads: ReadSide
    redis: Redis
    limiter: RateLimiter
    tokens: Tokens
    models: Sequence[ReadModel]
    audit: Recorder
    ledger: Office
    connecting: Connecting


def house(request: Request) -> House:
    return request.scope["state"]["house"]  # type: ignore[no-any-return]


class Unauthenticated(HTTPException):
    """401 with the challenge that RFC 6750 asks for."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        challenge = 'Bearer realm="tidings"'
        if reason != "missing":
            challenge += f', error="invalid_token", error_description="{reason}"'
        super().__init__(401, "Send a valid bearer token.", headers={"WWW-Authenticate": challenge})


async def body_of(request: Request) -> bytes:
    """The whole body, read once. Refuses (413) what is longer than `MAX_BODY` as soon as it is."""
    if hasattr(request, "_body"):
        return request._body
    declared = header(request, b"content-length") or b"0"
    if not declared.isdigit() or int(declared) > MAX_BODY:
        raise HTTPException(413, f"A body has at most {MAX_BODY} bytes.")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise HTTPException(413, f"A body has at most {MAX_BODY} bytes.")
        parts.append(part)
    request._body = b"".join(parts)
    return request._body


def header(request: Request, name: bytes) -> bytes | None:
    """A header by its lower-case name; the last one when it was sent more than once."""
    headers: dict[bytes, bytes] | None = request.scope.get("tidings.headers")
    if headers is None:
        headers = request.scope["tidings.headers"] = dict(request.scope["headers"])
    return headers.get(name)


def text_header(request: Request, name: bytes) -> str | None:
    """The same as text."""
    value = header(request, name)
    return None if value is None else value.decode("latin-1")


def number_of(text: str) -> int | None:
    """A position or version from its digits; None for what is none, or greater than any."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(GREATEST))):
        return None
    return number if (number := int(text)) <= GREATEST else None


async def command_of(kind: type[Command], request: Request) -> Command:
    """The body as a command. Refuses other media types (415), what is not JSON (400), and
    what the command does not allow (422), each fault by its field."""
    media_type = (header(request, b"content-type") or b"").partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        raise HTTPException(415, "Send the body as application/json.")
    body = await body_of(request)
    if b"\\u0000" in body:
        refuse_nul(_document(body), "")
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False)
        if faults[0]["type"] == "json_invalid":
            raise HTTPException(
                400, f"The body is not JSON: {faults[0]['ctx']['error']}."
            ) from None
        raise RequestValidationError(faults) from None


def _document(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise HTTPException(400, f"The body is not JSON: {error}.") from None


def refuse_nul(value: Any, field: str) -> None:
    """PostgreSQL keeps no U+0000 in a text, and no honest text has one."""
    match value:
        case str() if "\0" in value:
            raise Invalid("U+0000 is not allowed.", field=field, code="nul_character")
        case list():
            for n, item in enumerate(value):
                refuse_nul(item, f"{field}.{n}".removeprefix("."))
        case dict():
            for name, item in value.items():
                refuse_nul(name, field)
                refuse_nul(item, f"{field}.{name}".removeprefix("."))
        case _:
            pass


def caller_of(request: Request) -> Caller:
    """Whose token it is. Refuses (401) every other request."""
    scheme, _, token = (text_header(request, b"authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("missing")
    try:
        return house(request).tokens.verify(token.strip())
    except TokenRefused as refused:
        raise Unauthenticated(str(refused)) from None
