"""May an address that a caller gives be called later on?"""

from __future__ import annotations

import asyncio

from domain.kernel import Invalid
from infrastructure.egress import EgressGuard, EgressRefused, NameNotResolved

LOOK_UP_SECONDS = 2.0
"""How long a caller waits for the name of their host."""


async def admit(guard: EgressGuard, url: str, field: str) -> None:
    """Refuse an address that nothing may be sent to, naming `field`. A name without an address
    today may have one tomorrow. Raises `Invalid`."""
    try:
        async with asyncio.timeout(LOOK_UP_SECONDS):
            await guard.check_target(url)
    except EgressRefused as refusal:
        raise Invalid(refusal.reason, field=field, code="url_refused") from None
    except (NameNotResolved, TimeoutError):
        return
