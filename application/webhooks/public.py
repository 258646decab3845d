"""What a public event is made of; each context lists its own in its `webhooks.py`.

Every field of a payload is annotated with an example (`like`), so that the example of a whole
message cannot drift away from its model.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from inspect import getdoc
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.fields import FieldInfo

from domain.kernel import DomainEvent


def like(example: Any) -> FieldInfo:
    """The annotation of a field that looks like `example`."""
    info: FieldInfo = Field(examples=[example])
    return info


NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SOME_ID = "0195d3a2c4e87b6e9a1f0c5d2b7e4f60"

Instant = Annotated[datetime, like(NOON)]
Number = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]
"""An exact amount that receivers see as a JSON number."""


class Payload(BaseModel):
    """The `data` of a message. A published field is for ever: add optional ones, change none."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        # Receivers are to expect what they do not know yet.
        json_schema_extra=lambda schema: schema.pop("additionalProperties", None),
    )

    @classmethod
    def example(cls) -> "Payload":
        """One that could have been sent. Raises `KeyError` naming a field without an example."""
        fields = cls.model_fields.items()
        if missing := [name for name, field in fields if not field.examples]:
            raise KeyError(f"{cls.__name__}.{missing[0]} has no example")
        return cls.model_validate({name: (field.examples or [])[0] for name, field in fields})


@dataclass(frozen=True)
class Webhook:
    """A public event: its name and its payload.

    `only_subject` is for what concerns a receiver itself (a ping): it goes to that endpoint
    alone, whatever events the endpoint has asked for.
    """

    name: str
    payload: type[Payload]
    version: int = 1
    only_subject: bool = False

    @property
    def description(self) -> str:
        """One paragraph, the payload's own."""
        return (getdoc(self.payload) or "").split("\n\n")[0].replace("\n", " ")


def always(event: Any) -> bool:
    """Every event of its kind is public."""
    return True


class AsBegun(Enum):
    """The marker of an event that names no networks itself: it is about those that the first
    event of its stream is about."""

    AS_BEGUN = "as begun"


AS_BEGUN = AsBegun.AS_BEGUN


@dataclass(frozen=True)
class Emission:
    """How a domain event becomes a public one; pure, so that a replay says the same again.

    `when` tells the public ones among the events of a kind. `about` tells the social networks that
    one is about; None where networks have nothing to do with it.
    """

    webhook: Webhook
    payload: Callable[[Any], Payload]
    when: Callable[[Any], bool] = always
    about: Callable[[Any], Collection[str]] | AsBegun | None = None

    @property
    def is_unconditional(self) -> bool:
        """Whether the kind of event is all that one needs to know."""
        return self.when is always


class Internal(Enum):
    """The marker of a domain event that is nobody's business outside."""

    INTERNAL = "internal"


INTERNAL = Internal.INTERNAL

Emissions = Mapping[type[DomainEvent], Sequence[Emission] | Internal]
"""What each domain event of a context says in public: one message, several, or nothing."""
