"""Changing ENCRYPTION_KEY: whether it opens what is there, and wrapping everything under it anew.

Events are not touched: they are encrypted with persons' keys, which stay the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from psycopg import Connection

from infrastructure import database
from infrastructure.personal_data.keyring import Keyring, KeyUnusable
from infrastructure.personal_data.persons import HASHING
from infrastructure.secrets import CannotOpen, Sealed, SecretVault
from infrastructure.settings import Settings, UnusableSetting
from infrastructure.webhooks.signing import Sealed as WebhookSecretSealed
from infrastructure.webhooks.signing import Vault

PIECE = 1000
"""Keys that are wrapped anew in one transaction."""

Progress = Callable[[str, int, int], None]
"""Told what is being wrapped, how many are done, and how many there are."""


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """The present ENCRYPTION_KEY, then older ones."""
    return (settings.encryption_key, *settings.older_encryption_keys)


def check_keys(settings: Settings) -> None:
    """Raises `UnusableSetting` when personal data or webhook secrets are there that these keys do
    not open."""
    ring = Keyring(settings.encryption_key, settings.older_encryption_keys)
    with database.connect_sync(settings.database_url, "check-keys") as connection:
        try:
            _check(connection, ring)
        except KeyUnusable:
            raise UnusableSetting(
                "ENCRYPTION_KEY does not open the personal data in this database; set the key that"
                " it was kept with, or add that one to ENCRYPTION_KEYS."
            ) from None
        try:
            _check_webhooks(connection, Vault(*settings.webhook_secret_keys))
        except WebhookSecretSealed:
            raise UnusableSetting(
                "Neither WEBHOOK_SECRET_KEY nor ENCRYPTION_KEY opens the webhook secrets in this"
                " database; add the key they were kept with to ENCRYPTION_KEYS."
            ) from None


def _check(connection: Connection[Any], ring: Keyring) -> None:
    row = connection.execute("SELECT wrapping, wrapped FROM vault.hashing").fetchone()
    if row is not None:
        _open(ring.vault, row[0], row[1], HASHING)
    # Between the names that are known, so that the index tells, however many keys there are.
    known = sorted(ring.vault.key_ids)
    for low, high in zip(["", *known], [*known, "g"], strict=True):
        stranger = connection.execute(
            "SELECT FROM vault.keys WHERE wrapping > %s AND wrapping < %s LIMIT 1", (low, high)
        )
        if stranger.fetchone() is not None:
            raise KeyUnusable("A person's key was wrapped with another ENCRYPTION_KEY.")


def _check_webhooks(connection: Connection[Any], vault: Vault) -> None:
    with connection.transaction(), connection.cursor(name="webhook_secrets") as cursor:
        cursor.execute("SELECT tenant, id, sealed FROM webhooks.secrets")
        for tenant, id, sealed in cursor:
            vault.check(tenant, id, sealed)


def _open(vault: SecretVault, key_id: str, data: bytes, *context: str) -> bytes:
    try:
        return vault.open(Sealed(key_id, bytes(data)), *context)
    except CannotOpen as error:
        raise KeyUnusable(str(error)) from None


@dataclass(frozen=True)
class Rotation:
    """Wraps under the present ENCRYPTION_KEY what is under an older one. It can be interrupted at
    any point and begun again, while everything else goes on."""

    settings: Settings
    report: Progress = lambda what, done, total: None

    def run(self) -> dict[str, int]:
        """How much was wrapped anew, by kind. Raises `KeyUnusable` for what no key opens."""
        with database.connect_sync(self.settings.database_url, "rotate-keys") as connection:
            return {
                "lookup hashes": self._hashing(connection),
                "persons": self._persons(connection),
                "credentials": self._credentials(connection),
                "webhook secrets": self._webhooks(connection),
            }

    def _hashing(self, connection: Connection[Any]) -> int:
        vault = self._ring.vault
        with connection.transaction():
            row = connection.execute("SELECT wrapping, wrapped FROM vault.hashing FOR UPDATE")
            found = row.fetchone()
            if found is None or found[0] == vault.key_id:
                return 0
            fresh = vault.seal(_open(vault, *found, HASHING), HASHING)
            connection.execute(
                "UPDATE vault.hashing SET wrapping = %s, wrapped = %s", (fresh.key_id, fresh.data)
            )
        return 1

    def _persons(self, connection: Connection[Any]) -> int:
        ring, done = self._ring, 0
        current = ring.vault.key_id
        ((total,),) = connection.execute(
            "SELECT count(*) FROM vault.keys WHERE wrapping <> %s", [current]
        ).fetchall()
        while True:
            with connection.transaction():
                rows = connection.execute(
                    "SELECT id, tenant, wrapping, wrapped FROM vault.keys WHERE wrapping <> %s"
                    " ORDER BY wrapping, id LIMIT %s FOR UPDATE",
                    (current, PIECE),
                ).fetchall()
                connection.execute(
                    "UPDATE vault.keys k SET wrapping = %s, wrapped = n.wrapped"
                    " FROM unnest(%s::uuid[], %s::bytea[]) AS n (id, wrapped) WHERE k.id = n.id",
                    (current, [row[0] for row in rows], [ring.rewrapped(row) for row in rows]),
                )
            done += len(rows)
            self.report("persons", done, total)
            if len(rows) < PIECE:
                return done

    def _credentials(self, connection: Connection[Any]) -> int:
        vault = SecretVault(
            self.settings.encryption_key,
            self.settings.older_encryption_keys,
            purpose="credentials",
        )
        rows = connection.execute(
            "SELECT connection_id, tenant, network, key_id, sealed FROM work.credentials"
            " WHERE key_id <> %s",
            [vault.key_id],
        ).fetchall()
        for n, (id, tenant, network, key_id, sealed) in enumerate(rows, 1):
            context = ("credentials", tenant, network, str(id))
            fresh = vault.seal(_open(vault, key_id, sealed, *context), *context)
            connection.execute(
                "UPDATE work.credentials SET key_id = %s, sealed = %s"
                " WHERE connection_id = %s AND sealed = %s",
                (fresh.key_id, fresh.data, id, sealed),
            )
            self.report("credentials", n, len(rows))
        return len(rows)

    def _webhooks(self, connection: Connection[Any]) -> int:
        vault = Vault(*self.settings.webhook_secret_keys)
        rows = connection.execute("SELECT id, tenant, sealed FROM webhooks.secrets").fetchall()
        done = 0
        for n, (id, tenant, sealed) in enumerate(rows, 1):
            try:
                fresh = vault.resealed(tenant, id, sealed)
            except WebhookSecretSealed as error:
                raise KeyUnusable(str(error)) from None
            if fresh is not None:
                done += 1
                connection.execute(
                    "UPDATE webhooks.secrets SET sealed = %s WHERE id = %s", (fresh, id)
                )
            self.report("webhook secrets", n, len(rows))
        return done

    @property
    def _ring(self) -> Keyring:
        return Keyring(self.settings.encryption_key, self.settings.older_encryption_keys)
