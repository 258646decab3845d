"""Arguments of a route that stand in its path, or are made of the request in a way of their own."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from fastapi import Depends, Request

from domain.kernel import NotFound


def inner_id(prefix: str, what: str, text: str) -> UUID:
    """The UUID behind an outside id. Raises `NotFound`: what cannot exist is not there."""
    start, _, digits = text.partition("_")
    if start == prefix and len(digits) == 32:
        try:
            return UUID(hex=digits)
        except ValueError:
            pass
    raise NotFound(f"There is no such {what}.")


def made(of_request: Callable[[Request], Awaitable[Any]], described: Callable[..., Any]) -> Any:
    """A dependency that the route makes by `of_request`. `described` is never called: from its
    signature FastAPI learns what to say of it."""
    described.of_request = of_request  # type: ignore[attr-defined]
    return Depends(described)


def in_path(name: str, read: Callable[[str], Any], kind: Any = str) -> Any:
    """A part of the path as `read` makes it, which raises what it refuses. `kind` is what OpenAPI
    is told of it."""

    async def of_request(request: Request) -> Any:
        return read(request.path_params[name])

    def described(**_: str) -> None: ...

    parameter = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
    described.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    return made(of_request, described)


def path_id(prefix: str, what: str = "") -> Any:
    """The id in a path such as `/{post_id}`, as the UUID inside; anything else is not there.
    `what` is what people call it, where that is not the prefix."""
    return in_path(f"{prefix}_id", lambda text: inner_id(prefix, what or prefix, text))
