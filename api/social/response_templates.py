"""Texts that mentions are answered with."""

import re
from typing import Annotated

from pydantic import BaseModel

from api.kernel import EVERYONE, WRITERS, AtDesk, AtReads, Router
from api.paths import in_path
from application.kernel import Answer
from application.social.response_templates import (
    BUILT_IN,
    NAME,
    ResponseTemplateShown,
    WriteResponseTemplate,
    discard,
    write,
)
from domain.kernel import Invalid
from projections.social.response_templates import own_templates

router = Router(prefix="/api/v1/social/response-templates", tags=["Social response templates"])


class ResponseTemplateList(BaseModel):
    """Every template that `template_id` may name, the tenant's own first."""

    templates: list[ResponseTemplateShown]


def _name(text: str) -> str:
    if not re.fullmatch(NAME, text):
        message = "A name has 1 to 64 of a-z, 0-9, - and _, the first of them no sign."
        raise Invalid(message, field="name")
    return text


Name = Annotated[str, in_path("name", _name)]


@router.get("", id="social.response_templates.list", roles=EVERYONE, limit="300/hour")
async def list_templates(reads: AtReads) -> ResponseTemplateList:
    """The templates there are. Those that are built in are shown in English; an answer takes
    them in the language of the mention where there is such a version."""
    own = await reads.all(own_templates())
    names = {row["name"] for row in own}
    return ResponseTemplateList(
        templates=[
            *(
                ResponseTemplateShown(template_id=row["name"], text=row["text"], built_in=False)
                for row in own
            ),
            *(
                ResponseTemplateShown(template_id=name, text=texts["en"], built_in=True)
                for name, texts in BUILT_IN.items()
                if name not in names
            ),
        ]
    )


@router.put("/{name}", id="social.response_templates.write", roles=WRITERS, limit="200/hour")
async def write_template(
    name: Name, command: WriteResponseTemplate, desk: AtDesk
) -> Answer[ResponseTemplateShown]:
    """Write a template, in place of one of the same name. One that has the name of a built-in
    template is used instead of it."""
    return await write(desk, name, command)


@router.delete("/{name}", id="social.response_templates.discard", roles=WRITERS, limit="200/hour")
async def discard_template(name: Name, desk: AtDesk) -> Answer[ResponseTemplateShown]:
    """Discard a template of one's own; a built-in one of the same name is used again."""
    return await discard(desk, name)
