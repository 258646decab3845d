"""Who is calling: the roles, and what a verified caller is known by."""

import re
from dataclasses import dataclass, field
from enum import StrEnum

LONGEST_USER = 200
"""Characters in a user's name (the `sub` claim)."""

TENANT_SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
"""What a tenant may be called; always matched against the whole text."""


class Role(StrEnum):
    """What a caller may do, from everything to looking only."""

    SUPER_ADMIN = "super_admin"
    ADMIN = "admin"
    DEVELOPER = "developer"
    API_USER = "api_user"
    READ_ONLY = "read_only"

    @property
    def multiplier(self) -> float:
        """By how much the role widens or narrows a rate limit."""
        return _MULTIPLIERS[self]


_MULTIPLIERS = {
    Role.SUPER_ADMIN: 5.0,
    Role.ADMIN: 3.0,
    Role.DEVELOPER: 2.0,
    Role.API_USER: 1.0,
    Role.READ_ONLY: 0.5,
}


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller whose token has been verified.

    `user` is unique within `tenant`. Its `repr` leaves out what may name a person. Raises
    `ValueError`, naming the field but never its content, for a user or tenant that cannot be.
    """

    tenant: str
    user: str = field(repr=False)
    role: Role
    email: str | None = field(default=None, repr=False)
    subscription: str | None = None

    def __post_init__(self) -> None:
        if not TENANT_SLUG.fullmatch(self.tenant):
            raise ValueError("tenant must be a slug of 1 to 63 characters: a-z, 0-9, _ and -")
        if not 0 < len(self.user) <= LONGEST_USER:
            raise ValueError(f"user must have 1 to {LONGEST_USER} characters")
        for name in ("user", "email", "subscription"):
            if not _storable(getattr(self, name) or ""):
                raise ValueError(f"{name} holds a character that no database can keep")


def _storable(text: str) -> bool:
    """JSON can carry half a surrogate pair and U+0000; neither UTF-8 nor PostgreSQL takes both."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)
