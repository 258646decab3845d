"""Where networks tell by themselves that an account is mentioned (Meta's webhooks).

https://developers.facebook.com/docs/graph-api/webhooks/getting-started
Called without a token: the verify token shows that the operator has set the webhook up, and the
signature that a call comes from the network. Where it is not set up nothing is here.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import psycopg
from fastapi import Body, Header, HTTPException, Query, Request
from fastapi.responses import PlainTextResponse
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from api.descriptions import PUBLIC
from api.kernel import Router
from api.paths import made
from api.requests import body_of, header, house
from application.social.notices import Notice
from domain.kernel import Forbidden, Invalid, NotFound, Unavailable
from infrastructure import jobs
from infrastructure.networks.apps import App
from infrastructure.networks.notices import is_signed, notices

router = Router(prefix="/api/v1/social/networks", tags=["Social networks"])

LONGEST_CHALLENGE = 200
"""Characters; Meta's is a number."""


async def _app(request: Request) -> App:
    name = request.path_params["network"]
    for network, app in house(request).settings.social_apps.items():
        if network == name and app.verify_token:
            return app
    raise NotFound("There is no such webhook.")


@dataclass(frozen=True)
class Delivery:
    """What a network has told."""

    pool: AsyncConnectionPool[Any]
    notices: Sequence[Notice]

    async def keep(self) -> None:
        """Have it seen to, all or nothing. Raises `Unavailable` without a database: the network
        will tell it again."""
        if not self.notices:
            return
        try:
            async with self.pool.connection() as connection, connection.transaction():
                await jobs.defer(connection, [each.job() for each in self.notices])
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, OSError) as error:
            raise Unavailable("The database is away.", code="no_database") from error


async def _delivery(request: Request) -> Delivery:
    """Nothing is looked into before its signature has been."""
    app, body = await _app(request), await body_of(request)
    if not is_signed(app.secret, body, header(request, b"x-hub-signature-256")):
        raise Forbidden("The signature does not fit.", code="bad_signature")
    try:
        told = notices(app.network, body)
    except ValueError as error:
        raise HTTPException(400, f"The body is not JSON: {error}.") from None
    return Delivery(house(request).log.pool, told)


def _named(network: str) -> None: ...


def _signed(
    network: str,
    body: Annotated[dict[str, Any], Body()],
    x_hub_signature_256: Annotated[str, Header(description="`sha256=` and HMAC-SHA256 in hex")],
) -> None: ...


@router.get("/{network}/webhook", id="social.networks.verify", roles=PUBLIC, limit="60/hour")
async def verify_webhook(
    app: Annotated[App, made(_app, _named)],
    mode: Annotated[str, Query(alias="hub.mode")] = "",
    verify_token: Annotated[str, Query(alias="hub.verify_token")] = "",
    challenge: Annotated[str, Query(alias="hub.challenge")] = "",
) -> PlainTextResponse:
    """How a network makes sure that its webhook is to come here: the challenge is sent back."""
    if not hmac.compare_digest(verify_token.encode(), app.verify_token.encode()):
        raise Forbidden("The verify token does not fit.", code="bad_verify_token")
    if mode != "subscribe":
        raise Invalid("Only `subscribe` is known.", field="hub.mode")
    if not (challenge.isascii() and challenge.isalnum()) or len(challenge) > LONGEST_CHALLENGE:
        raise Invalid("A challenge has letters and digits.", field="hub.challenge")
    return PlainTextResponse(challenge)


@router.post("/{network}/webhook", id="social.networks.tell", roles=PUBLIC, limit="36000/hour")
async def receive_webhook(
    delivery: Annotated[Delivery, made(_delivery, _signed)],
) -> PlainTextResponse:
    """What a network tells: mentions are kept and seen to afterwards, all else is passed over."""
    await delivery.keep()
    return PlainTextResponse("")
