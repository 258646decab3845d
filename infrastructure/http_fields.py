"""Header fields of outgoing requests and of answers to them, and URLs without their secrets."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

# Set by the client itself, or able to change where one message ends and the next begins
# (RFC 9110, section 7.6.1; RFC 9112, section 6).
_RESERVED_HEADERS = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization"}
    | {"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_ORIGIN = re.compile(r"https?://[a-z0-9._:\[\]-]+")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")


def redacted(url: str | httpx.URL) -> str:
    """Scheme, host and port of a URL, which is all that logs and errors may show: paths of webhooks
    are secrets too."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return "an unusable URL"
    origin = f"{parsed.scheme}://{parsed.netloc.decode('ascii')}"
    return origin if _ORIGIN.fullmatch(origin) else "an unusable URL"


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises `ValueError`, with one line naming the header, for a header that callers may not set,
    or one that HTTP cannot carry (RFC 9110, section 5)."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise ValueError(f"header {name!r}: the name is not valid")
        if name.lower() in _RESERVED_HEADERS:
            raise ValueError(f"header {name!r}: is set by Tidings itself")
        if not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"header {name!r}: the value must be printable ASCII")


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from `now` asked for by a `Retry-After` header, both of its forms; None if absent or
    meaningless."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:10])
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
