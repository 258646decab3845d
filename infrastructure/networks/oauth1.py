"""Signing requests by OAuth 1.0a with HMAC-SHA1 (RFC 5849)."""

from __future__ import annotations

import hmac
import secrets
import time
from base64 import b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha1
from urllib.parse import parse_qsl, quote, urlsplit


@dataclass(frozen=True)
class Signer:
    """The consumer's and the account's credentials."""

    consumer_key: str
    consumer_secret: str = field(repr=False)
    token: str = field(repr=False)
    token_secret: str = field(repr=False)

    def header(
        self,
        method: str,
        url: str,
        form: Mapping[str, str] | None = None,
        *,
        nonce: str | None = None,
        timestamp: int | None = None,
    ) -> str:
        """The value of `Authorization` (section 3.5.1). `form` are the fields of a body of type
        application/x-www-form-urlencoded; no other body is signed (section 3.4.1.3.1)."""
        stated = {
            "oauth_consumer_key": self.consumer_key,
            "oauth_nonce": nonce or secrets.token_hex(16),
            "oauth_signature_method": "HMAC-SHA1",
            "oauth_timestamp": str(timestamp or int(time.time())),
            "oauth_token": self.token,
            "oauth_version": "1.0",
        }
        asked = parse_qsl(urlsplit(url).query, keep_blank_values=True)
        base = signature_base(method, url, (*asked, *(form or {}).items(), *stated.items()))
        key = f"{escaped(self.consumer_secret)}&{escaped(self.token_secret)}"
        digest = hmac.digest(key.encode(), base.encode(), sha1)
        stated["oauth_signature"] = b64encode(digest).decode()
        return "OAuth " + ", ".join(
            f'{escaped(name)}="{escaped(value)}"' for name, value in sorted(stated.items())
        )


def signature_base(method: str, url: str, parameters: Iterable[tuple[str, str]]) -> str:
    """What is signed (section 3.4.1): method, address without query, sorted parameters."""
    parts = urlsplit(url)
    host, default = (parts.hostname or "").lower(), {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, default) else f":{parts.port}"
    address = f"{parts.scheme.lower()}://{host}{port}{parts.path or '/'}"
    pairs = sorted((escaped(name), escaped(value)) for name, value in parameters)
    normalised = "&".join(f"{name}={value}" for name, value in pairs)
    return "&".join((method.upper(), escaped(address), escaped(normalised)))


def escaped(text: str) -> str:
    """Percent-encoded as section 3.6 asks: all but unreserved characters, in upper case."""
    return quote(text, safe="-._~")
