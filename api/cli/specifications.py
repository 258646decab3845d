"""`tidings openapi` and `tidings asyncapi`: the two specifications, printed."""

import orjson

from api.cli.house import say


def openapi() -> None:
    """Print the OpenAPI document."""
    from api.app import build

    _print(build(None).openapi())


def asyncapi() -> None:
    """Print the AsyncAPI document of the webhooks."""
    from api.specifications import asyncapi as document
    from infrastructure.settings import environment

    _print(document(environment.get("PUBLIC_URL") or "http://127.0.0.1:8000"))


def _print(document: object) -> None:
    say(orjson.dumps(document, option=orjson.OPT_INDENT_2).decode())
