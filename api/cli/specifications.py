"""`tidings openapi`: the specification, printed."""

import orjson

from api.cli.house import say


def openapi() -> None:
    """Print the OpenAPI document."""
    from api.app import build

    say(orjson.dumps(build(None).openapi(), option=orjson.OPT_INDENT_2).decode())
