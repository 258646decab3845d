"""Which adapter serves whom: a tenant's own account where it has one, else the sandbox.

Implements both ports of the application: `SocialNetworks` for publishing, and `Accounts` for
connecting.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import httpx
import structlog

from application.kernel import Desk
from application.social.accounts import (
    SANDBOX,
    Identity,
    NotAccepted,
    NotAnswered,
    NotRenewable,
    Renewed,
)
from application.social.connections import ACTOR, NoteExpired, NoteRefreshed, dated, expiry_of
from application.social.networks import (
    MentionReply,
    OutcomeUnknown,
    Outgoing,
    Publication,
    Receipt,
    SocialNetwork,
)
from domain.kernel import NotFound
from domain.social.connections import Account, Connection, ConnectionStatus
from domain.social.networks import Network
from infrastructure.addresses import parse_networks
from infrastructure.admission import admit
from infrastructure.egress import EgressGuard
from infrastructure.event_log.log import EventLog
from infrastructure.gateway_lanes import GatewayLimits
from infrastructure.gateway_outcomes import GatewayError
from infrastructure.gateways import GatewayClient
from infrastructure.networks.account import CERTAIN_AFTER, ConnectedAccount, UnusableAccount
from infrastructure.networks.api import Api
from infrastructure.networks.facebook import Facebook
from infrastructure.networks.instagram import Instagram
from infrastructure.networks.line import Fault, Line, NetworkSaysNo, NetworkUnclear
from infrastructure.networks.linkedin import LinkedIn
from infrastructure.networks.pinterest import Pinterest
from infrastructure.networks.sandbox import Sandbox
from infrastructure.networks.store import Store
from infrastructure.networks.tiktok import TikTok
from infrastructure.networks.twitter import Twitter
from infrastructure.secrets import SecretVault
from infrastructure.settings import Settings

log = structlog.get_logger()

ADAPTERS: Mapping[Network, type[Api]] = {
    kind.network: kind for kind in (Facebook, Instagram, Twitter, LinkedIn, TikTok, Pinterest)
}

ANYWHERE = parse_networks("0.0.0.0/0, ::/0")
"""An address that the operator has set may be a private one."""


@dataclass(frozen=True, kw_only=True)
class StandIn(Sandbox):
    """The sandbox for a tenant that may have had an account of its own: what was sent through
    that one is not looked for here."""

    store: Store

    async def find(self, publication: Publication) -> Receipt | None:
        return await self._here(publication, await super().find(publication))

    async def find_reply(self, reply: MentionReply) -> Receipt | None:
        return await self._here(reply, await super().find_reply(reply))

    async def _here(self, outgoing: Outgoing, receipt: Receipt | None) -> Receipt | None:
        if receipt is None and await self.store.sent(outgoing) is not None:
            raise OutcomeUnknown("It was sent through an account that is not connected any more.")
        return receipt


@dataclass(frozen=True)
class Networks:
    """Every network, for every tenant. Made by `networks`, once per process."""

    log: EventLog
    store: Store
    guard: EgressGuard
    lines: Mapping[Network, Line]
    certain_after: timedelta = CERTAIN_AFTER

    async def of(self, tenant: str, network: Network) -> SocialNetwork:
        """The adapter that serves `tenant` on `network`."""
        stream = Connection.create_id(network, tenant)
        connection = await self.log.load(Connection, stream)
        account = connection.current if connection else None
        if account is None:
            return StandIn(network, self.store.pool, store=self.store)
        provider = account.link.provider
        unusable = partial(UnusableAccount, self.store, provider)
        match account.status:
            case ConnectionStatus.EXPIRED:
                return unusable("reconnect", "The account must be connected anew.")
            case ConnectionStatus.PENDING:
                return unusable("not_confirmed", "The network has not confirmed the account yet.")
            case ConnectionStatus.ACTIVE if provider == SANDBOX:
                return StandIn(network, self.store.pool, store=self.store)
            case ConnectionStatus.ACTIVE:
                return await self._connected(tenant, network, account)

    async def _connected(self, tenant: str, network: Network, account: Account) -> SocialNetwork:
        id = account.link.connection_id
        unusable = partial(UnusableAccount, self.store, network.value)
        credentials = await self.store.kept(tenant, network, id)
        if credentials is None:
            return unusable("reconnect", "The account's credentials are gone; connect it anew.")
        if not self.lines[network].app.configured:
            message = "This installation is not registered with the network any more."
            return unusable("not_configured", message)
        return ConnectedAccount(
            self._api(network, credentials, account.account_id),
            self.store,
            id,
            partial(self._renewed, tenant, account),
            partial(self._give_up, tenant, network, id),
            self.certain_after,
        )

    def _api(self, network: Network, credentials: Mapping[str, str], account_id: str | None) -> Api:
        return ADAPTERS[network](self.lines[network], credentials, account_id)

    def provider(self, network: Network) -> str:
        """Who serves new connections."""
        return network.value if self.lines[network].app.configured else SANDBOX

    async def check_callback(self, url: str) -> None:
        """Raises `Invalid`, naming `webhook_url`."""
        await admit(self.guard, url, "webhook_url")

    async def identify(
        self, network: Network, credentials: Mapping[str, str], account_id: str | None
    ) -> Identity | NotAccepted | NotAnswered:
        """Ask the network whose the credentials are; the sandbox believes everything."""
        if self.provider(network) == SANDBOX:
            id = account_id or f"sandbox-{network}"
            return Identity(id, account_id or f"Sandbox account on {network}", credentials)
        try:
            found = await self._api(network, credentials, account_id).identify()
        except NetworkSaysNo as no:
            if no.fault is Fault.LATER:
                return NotAnswered(no.message)
            return _not_accepted(no)
        except (GatewayError, NetworkUnclear) as error:
            return NotAnswered(error.reason if isinstance(error, GatewayError) else str(error))
        if account_id is not None and not _same_account(account_id, found):
            message = f"The credentials belong to the account {found.account_id}."
            return NotAccepted("other_account", message)
        return found

    async def keep(
        self, tenant: str, network: Network, connection_id: UUID, credentials: Mapping[str, str]
    ) -> None:
        """Encrypt and store."""
        await self.store.keep(tenant, network, connection_id, credentials)

    async def kept(
        self, tenant: str, network: Network, connection_id: UUID
    ) -> Mapping[str, str] | None:
        """What was put away."""
        return await self.store.kept(tenant, network, connection_id)

    async def forget(self, tenant: str, connection_id: UUID) -> None:
        """Delete what was put away."""
        await self.store.forget(tenant, connection_id)

    async def sweep(self, tenant: str, network: Network, but: Collection[UUID]) -> None:
        """Delete what no connection has needed for a while."""
        await self.store.sweep(tenant, network, but)

    async def renew(
        self, tenant: str, network: Network, account: Account
    ) -> Renewed | NotRenewable | NotAccepted | NotAnswered:
        """New tokens, whatever the present ones are good for."""
        if account.link.provider == SANDBOX:
            return NotRenewable()
        kept = await self.store.kept(tenant, network, account.link.connection_id)
        if kept is None:
            return NotAccepted("reconnect", "The account's credentials are gone.")
        try:
            return await self._renew(tenant, network, account, kept)
        except NetworkSaysNo as no:
            return NotAnswered(no.message) if no.fault is Fault.LATER else _not_accepted(no)
        except (GatewayError, NetworkUnclear) as error:
            return NotAnswered(str(error))

    async def revoke(self, tenant: str, network: Network, account: Account) -> bool:
        """Whether the network has taken the tokens back. The sandbox always does."""
        if account.link.provider == SANDBOX:
            return True
        kept = await self.store.kept(tenant, network, account.link.connection_id)
        if kept is None:
            return False
        try:
            return await self._api(network, kept, account.account_id).revoke()
        except (NetworkSaysNo, NetworkUnclear, GatewayError) as error:
            log.warning("tokens.not_revoked", network=network.value, error=type(error).__name__)
            return False

    async def erase(self, tenant: str, network: Network) -> None:
        """Delete what is kept of a network beside the log."""
        await self.store.erase(tenant, network)

    async def _renew(
        self, tenant: str, network: Network, account: Account, stale: Mapping[str, str]
    ) -> Renewed | NotRenewable:
        """One process asks the network; the others find its tokens when their turn comes."""
        id = account.link.connection_id
        async with self.store.alone(id):
            kept = await self.store.kept(tenant, network, id)
            if kept is None:
                message = "The account's credentials are gone."
                raise NetworkSaysNo(Fault.TOKEN, message)
            if kept["access_token"] != stale["access_token"]:
                return Renewed(expiry_of(kept, datetime.now(UTC)))
            fresh = await self._api(network, kept, account.account_id).renew()
            if fresh is None:
                return NotRenewable()
            given_for = {"expires_in": fresh.get("expires_in", "")}
            expires_at = expiry_of(given_for, datetime.now(UTC))
            await self.store.keep(tenant, network, id, dated(fresh, expires_at))
            return Renewed(expires_at)

    async def _renewed(self, tenant: str, account: Account, api: Api) -> Api | None:
        """The account with new tokens, when those of `api` were refused."""
        network, id = api.network, account.link.connection_id
        try:
            result = await self._renew(tenant, network, account, api.credentials)
        except NetworkSaysNo as no:
            if no.fault is Fault.LATER:
                raise
            return None
        except (GatewayError, NetworkUnclear):
            message = "The tokens were refused, and new ones cannot be had just now."
            raise NetworkSaysNo(
                Fault.LATER, message, code="not_renewed", retry_after=60.0
            ) from None
        if isinstance(result, NotRenewable):
            return None
        await self._note(tenant, network, NoteRefreshed(id, result.expires_at))
        kept = await self.store.kept(tenant, network, id)
        return self._api(network, kept, account.account_id) if kept else None

    async def _give_up(self, tenant: str, network: Network, id: UUID, reason: str) -> None:
        await self._note(tenant, network, NoteExpired(id, reason))

    async def _note(self, tenant: str, network: Network, note: NoteExpired | NoteRefreshed) -> None:
        stream = Connection.create_id(network, tenant)
        desk = Desk(self.log, tenant, ACTOR, correlation_id=stream.hex, follows=False)
        try:
            await desk.carry_out(Connection, stream, note)
        except NotFound:
            log.warning("connection.gone", network=network.value)


def _not_accepted(no: NetworkSaysNo) -> NotAccepted:
    return NotAccepted(no.code, no.message)


def _same_account(wanted: str, found: Identity) -> bool:
    """By id, by handle, or by an id as it stands in a URN (LinkedIn)."""
    names = {found.account_id, found.name, *found.facts.values()}
    known = {name.casefold().removeprefix("@") for name in names if name}
    return wanted.casefold().removeprefix("@") in known


@asynccontextmanager
async def networks(
    settings: Settings,
    event_log: EventLog,
    limits: GatewayLimits = GatewayLimits(),
    context: ssl.SSLContext | None = None,
) -> AsyncIterator[Networks]:
    """The networks of this process, and the clients that it talks to them with."""
    context = context or httpx.create_ssl_context()
    guard = EgressGuard(settings.private_networks, require_https=True)
    media = EgressGuard(settings.private_networks)
    vault = SecretVault(
        settings.encryption_key, settings.older_encryption_keys, purpose="credentials"
    )
    async with AsyncExitStack() as stack:
        guarded = await stack.enter_async_context(GatewayClient(media, limits, context=context))
        anywhere = await stack.enter_async_context(
            GatewayClient(EgressGuard(ANYWHERE), limits, context=context)
        )
        lines = {
            network: Line(app, anywhere if app.own_address else guarded, guarded)
            for network, app in settings.social_apps.items()
        }
        yield Networks(event_log, Store(event_log.pool, vault), guard, lines)
