"""`tidings openapi` and `tidings asyncapi`: the two specifications, printed."""

import os

import orjson

from api.cli.house import say


def openapi() -> None:
    """Print the OpenAPI document."""
    from api.app import build

    _print(build(None).openapi())


def asyncapi() -> None:
    """Print the AsyncAPI document of the webhooks."""
    from api.specifications import asyncapi as document

    _print(document(os.environ.get("PUBLIC_URL") or "http://127.0.0.1:8000"))


def _print(document: object) -> None:
    say(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
