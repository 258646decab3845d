"""What the audit trail is told of a request: that it was refused, or from where a change came.

The address is that of the connection; headers of proxies are not believed.
"""

from base64 import urlsafe_b64decode
from datetime import UTC, datetime

import orjson
from fastapi import Request
from starlette.types import Scope

from domain.identity import TENANT_SLUG, Caller
from infrastructure.audit.recorder import Recorder, Refusal, address_of

NOTED = frozenset({401, 403, 429})
"""Statuses that say that somebody tried what they may not."""

LONGEST = 8192
"""Characters of a token that is looked into."""


def note_refusal(
    recorder: Recorder, request: Request, endpoint: str, status: int, reason: str
) -> None:
    """Note a request that was refused.

    Without a proven caller the tenant is the one that the token claims, if it has the form of a
    token: what is tried against a tenant is to be seen by its admins.
    """
    caller: Caller | None = getattr(request.state, "caller", None)
    recorder.note(
        Refusal(
            at=datetime.now(UTC),
            tenant=caller.tenant if caller else _claimed_tenant(request),
            actor=caller.user if caller else None,
            endpoint=endpoint,
            method=request.method,
            status=status,
            reason=reason,
            address=address_of(request.client.host) if request.client else None,
            request_id=request.scope["state"]["request_id"],
        )
    )


def note_origin(recorder: Recorder, scope: Scope, caller: Caller) -> None:
    """Note from where a request came that changed something; about a microsecond."""
    if client := scope.get("client"):
        id = scope["state"]["request_id"]
        recorder.note((datetime.now(UTC), caller.tenant, caller.user, id, client[0]))


def _claimed_tenant(request: Request) -> str | None:
    _, _, token = request.headers.get("authorization", "").partition(" ")
    parts = token.strip().split(".")
    if len(parts) != 3 or len(token) > LONGEST:
        return None
    try:
        claims = orjson.loads(urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    tenant = claims.get("tenant") if isinstance(claims, dict) else None
    return tenant if isinstance(tenant, str) and TENANT_SLUG.fullmatch(tenant) else None
