"""This installation's registration with each network, as the environment says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from domain.social.networks import Network


@dataclass(frozen=True)
class App:
    """Where a network's interfaces are, and what it knows this installation by.

    `own_address` is True when the operator has set another address (a proxy, a stand-in): it is
    then taken for both interfaces, and may be private. `verify_token` is what the network says when
    it makes sure that its webhook is to come here; "" where none is wanted.
    """

    network: Network
    base_url: str
    login_url: str
    id: str = ""
    secret: str = field(default="", repr=False)
    own_address: bool = False
    verify_token: str = field(default="", repr=False)

    @property
    def configured(self) -> bool:
        """Whether real accounts can be connected; the sandbox stands in otherwise."""
        return self.own_address or bool(self.id)


@dataclass(frozen=True)
class _Known:
    base_url: str
    login_url: str
    id: str
    secret: str


KNOWN: Mapping[Network, _Known] = {
    Network.FACEBOOK: _Known(
        "https://graph.facebook.com", "https://graph.facebook.com", "APP_ID", "APP_SECRET"
    ),
    Network.INSTAGRAM: _Known(
        "https://graph.instagram.com", "https://graph.instagram.com", "APP_ID", "APP_SECRET"
    ),
    Network.TWITTER: _Known("https://api.x.com", "https://api.x.com", "API_KEY", "API_SECRET"),
    Network.LINKEDIN: _Known(
        "https://api.linkedin.com", "https://www.linkedin.com", "CLIENT_ID", "CLIENT_SECRET"
    ),
    Network.TIKTOK: _Known(
        "https://open.tiktokapis.com",
        "https://open.tiktokapis.com",
        "CLIENT_KEY",
        "CLIENT_SECRET",
    ),
    Network.PINTEREST: _Known(
        "https://api.pinterest.com", "https://api.pinterest.com", "APP_ID", "APP_SECRET"
    ),
}
"""The networks' own addresses, and what the variables after `<NAME>_` are called."""

TELL_BY_WEBHOOK = frozenset({Network.FACEBOOK, Network.INSTAGRAM})
"""Whose webhooks are received: those to which mentions are told that cannot be asked for."""


def apps_of(environment: Mapping[str, str]) -> Mapping[Network, App]:
    """Every network's registration. Raises `ValueError`: one line that names the variable."""
    return {network: _app(network, known, environment) for network, known in KNOWN.items()}


def _app(network: Network, known: _Known, environment: Mapping[str, str]) -> App:
    name = network.value.upper()
    own = (environment.get(f"{name}_BASE_URL") or "").rstrip("/")
    if own:
        parts = urlsplit(own)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
            raise ValueError(f"{name}_BASE_URL must be an address such as {known.base_url}.")
    id, secret = (environment.get(f"{name}_{each}") or "" for each in (known.id, known.secret))
    if bool(id) != bool(secret):
        missing = known.secret if id else known.id
        raise ValueError(f"{name}_{missing} must be set too.")
    token = environment.get(f"{name}_WEBHOOK_VERIFY_TOKEN") or ""
    if token and network not in TELL_BY_WEBHOOK:
        raise ValueError(f"{name}_WEBHOOK_VERIFY_TOKEN: no webhooks of {network} are received.")
    if token and not secret:
        raise ValueError(f"{name}_WEBHOOK_VERIFY_TOKEN needs {name}_{known.secret} beside it.")
    urls = own or known.base_url, own or known.login_url
    return App(network, *urls, id, secret, bool(own), token)
