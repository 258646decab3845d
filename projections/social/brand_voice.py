"""Each tenant's writing rules."""

from typing import Any
from uuid import UUID

from domain.social.brand_voice import BrandVoice
from projections.kernel import DomainEvent, Query, ReadModel, Rows, Table

BRAND_VOICES = Table(
    "brand_voices",
    {
        "brand": str | None,
        "formality": str,
        "emoji": bool,
        "sign_off": str | None,
        "forbidden": dict,
        "spelling": dict,
    },
    of_stream=BrandVoice,
)


class BrandVoices(ReadModel):
    """At most one row for each tenant."""

    name = "brand_voices"
    version = 1
    tables = (BRAND_VOICES,)
    events = (BrandVoice.Adopted, BrandVoice.Changed)

    def project(self, event: DomainEvent, rows: Rows) -> None:
        row = rows(BRAND_VOICES)[event.originator_id]
        match event:
            case BrandVoice.Adopted(rules=rules):
                row.insert(**vars(rules))
            case BrandVoice.Changed(rules=rules):
                row.update(**vars(rules))


def brand_voice(id: UUID) -> Query[dict[str, Any]]:
    """The tenant's rules; nothing as long as there are none."""
    return Query(
        BrandVoices,
        "SELECT brand, formality, emoji, sign_off, forbidden, spelling"
        " FROM read.brand_voices WHERE tenant = %(tenant)s AND id = %(id)s",
        {"id": id},
    )
