"""JSON that PostgreSQL takes."""

from __future__ import annotations

import re
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_ESCAPED_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def stored_json(value: Any) -> str:
    """`value` as JSON. The database's texts have no place for NUL, which becomes U+FFFD."""
    data = _encode(value)
    if b"\\u0000" in data:
        data = _ESCAPED_NUL.sub(rb"\1\\ufffd", data)
    return data.decode()
