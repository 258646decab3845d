"""What the environment says. A setting that cannot be used stops the start with one line."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from urllib.parse import urlsplit

from domain.money import CURRENCIES
from domain.social.networks import Network
from infrastructure.addresses import parse_networks
from infrastructure.limits import PROFILES
from infrastructure.networks.apps import App, apps_of


class UnusableSetting(Exception):
    """One line that names the setting and what is wrong with it."""


class Environment(Mapping[str, str]):
    """What is set. What is asked for and is not UTF-8 is refused by its name."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def __getitem__(self, name: str) -> str:
        value = self._values[name]
        try:
            value.encode()
        except UnicodeEncodeError:  # whose text holds the value
            raise UnusableSetting(f"{name} must be UTF-8.") from None
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


environment = Environment(os.environ)
"""What is set for this process."""


@dataclass(frozen=True)
class Settings:
    """Everything that can be set. `database_url` and `redis_url` are filled in before use."""

    data_dir: Path
    database_url: str
    redis_url: str
    read_url: str
    jwt_secret: str
    encryption_key: str
    rate_limit_profile: str
    private_networks: tuple[IPv4Network | IPv6Network, ...]
    public_url: str
    older_encryption_keys: tuple[str, ...] = field(default=(), repr=False)
    webhook_keys: tuple[str, ...] = field(default=(), repr=False)
    social_apps: Mapping[Network, App] = field(default_factory=lambda: apps_of({}))
    mention_alert_volume: int = 100
    mention_alert_growth: float = 3.0
    currency: str = "USD"

    @property
    def webhook_secret_keys(self) -> tuple[str, ...]:
        """What webhook secrets are sealed with, then what may have been used before: to give them
        a key of their own, or take it away, is a change of key as well."""
        return (*self.webhook_keys, self.encryption_key, *self.older_encryption_keys)


def data_dir_of(environment: Mapping[str, str], given: Path | None = None) -> Path:
    """`--data-dir`, else TIDINGS_DATA_DIR, else `.tidings` here."""
    return (given or Path(environment.get("TIDINGS_DATA_DIR") or ".tidings")).absolute()


def own_servers(environment: Mapping[str, str]) -> tuple[str | None, str | None]:
    """DATABASE_URL and REDIS_URL; None means the embedded server. They and DATABASE_READ_URL are
    checked for form: raises `UnusableSetting`."""
    database = environment.get("DATABASE_URL") or None
    redis = environment.get("REDIS_URL") or None
    read = environment.get("DATABASE_READ_URL") or None
    for name, url in (("DATABASE_URL", database), ("DATABASE_READ_URL", read)):
        _check_url(name, url, {"postgresql", "postgres"}, _parse_postgres)
    _check_url("REDIS_URL", redis, {"redis", "rediss", "unix"}, _parse_redis)
    return database, redis


def _check_url(
    name: str, url: str | None, schemes: set[str], parse: Callable[[str], object]
) -> None:
    if url is None:
        return
    try:
        if urlsplit(url).scheme not in schemes:
            wanted = " or ".join(f"{scheme}://" for scheme in sorted(schemes))
            raise UnusableSetting(f"{name} must begin with {wanted}.")
        parse(url)
    except ValueError:  # whose text may hold the password
        raise UnusableSetting(f"{name} cannot be read as a URL.") from None


def _parse_postgres(url: str) -> object:
    from psycopg import ProgrammingError, conninfo  # most commands that get here need it anyway

    try:
        return conninfo.conninfo_to_dict(url)
    except ProgrammingError:
        raise ValueError from None


def _parse_redis(url: str) -> object:
    from redis.asyncio.connection import parse_url  # the client's own idea of it

    at = urlsplit(url)
    number = at.path.removeprefix("/")
    if at.scheme != "unix" and number and not (number.isascii() and number.isdigit()):
        raise ValueError  # the client would take another database, without a word
    return parse_url(url)


def load(
    environment: Mapping[str, str], data_dir: Path, database_url: str, redis_url: str
) -> Settings:
    """Read the rest of the environment; raises `UnusableSetting`."""
    profile = environment.get("RATE_LIMIT_PROFILE") or "default"
    if profile not in PROFILES:
        raise UnusableSetting(f"RATE_LIMIT_PROFILE must be one of {', '.join(PROFILES)}.")
    try:
        networks = parse_networks(environment.get("ALLOW_PRIVATE_NETWORKS", ""))
    except ValueError as error:
        raise UnusableSetting(f"ALLOW_PRIVATE_NETWORKS: {error}") from None
    try:
        social_apps = apps_of(environment)
    except ValueError as error:
        raise UnusableSetting(str(error)) from None
    currency = environment.get("DEFAULT_CURRENCY") or "USD"
    if currency not in CURRENCIES:
        raise UnusableSetting("DEFAULT_CURRENCY must be a code of ISO 4217, such as EUR.")
    older_webhook_keys = _listed(environment, "WEBHOOK_SECRET_KEYS")
    if older_webhook_keys and not environment.get("WEBHOOK_SECRET_KEY"):
        raise UnusableSetting("WEBHOOK_SECRET_KEYS needs a present WEBHOOK_SECRET_KEY beside it.")
    jwt_secret = secret(environment, data_dir, "JWT_SECRET_KEY")
    if len(jwt_secret.encode()) < 32:
        raise UnusableSetting("JWT_SECRET_KEY must have at least 32 bytes.")
    return Settings(
        data_dir=data_dir,
        database_url=database_url,
        redis_url=redis_url,
        read_url=environment.get("DATABASE_READ_URL") or database_url,
        jwt_secret=jwt_secret,
        encryption_key=secret(environment, data_dir, "ENCRYPTION_KEY"),
        rate_limit_profile=profile,
        private_networks=tuple(networks),
        public_url=(environment.get("PUBLIC_URL") or "http://127.0.0.1:8000").rstrip("/"),
        older_encryption_keys=_listed(environment, "ENCRYPTION_KEYS"),
        webhook_keys=(
            *filter(None, [environment.get("WEBHOOK_SECRET_KEY")]),
            *older_webhook_keys,
        ),
        social_apps=social_apps,
        mention_alert_volume=_whole(environment, "MENTION_ALERT_VOLUME", 100),
        mention_alert_growth=_growth(environment, "MENTION_ALERT_GROWTH", 3.0),
        currency=currency,
    )


def _listed(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(filter(None, (each.strip() for each in environment.get(name, "").split(","))))


def _whole(environment: Mapping[str, str], name: str, default: int) -> int:
    given = environment.get(name) or str(default)
    if not given.isascii() or not given.isdigit() or not 1 <= int(given) <= 10**9:
        raise UnusableSetting(f"{name} must be a whole number from 1 to 1000000000.")
    return int(given)


def _growth(environment: Mapping[str, str], name: str, default: float) -> float:
    try:
        growth = float(environment.get(name) or default)
    except ValueError:
        growth = 0.0
    if not 1.0 <= growth <= 1000.0:
        raise UnusableSetting(f"{name} must be a number from 1 to 1000.")
    return growth


def secret(environment: Mapping[str, str], data_dir: Path, name: str) -> str:
    """The secret that is set, else one generated once and kept under the data directory (0600).

    Any number of processes may come first: the file is linked into place whole, so that all of
    them read the same one.
    """
    if given := environment.get(name):
        return given
    kept = data_dir / "secrets" / name.lower()
    if not kept.exists():
        kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = kept.with_name(f".{kept.name}.{os.getpid()}")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(48))
        try:
            os.link(fresh, kept)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return kept.read_text()
