"""What may be asked of response templates, and those that every tenant has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, TypeVar

from eventsourcing.persistence import IntegrityError
from pydantic import AfterValidator, BaseModel, Field

from application.kernel import Answer, Command, Desk
from application.screens import ScreenedText
from domain.kernel import Invalid
from domain.social.response_templates import ResponseTemplate, check_places

M = TypeVar("M", bound=BaseModel)

BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "thanks": {
        "en": "Thank you so much for your kind words, {{ author }}!",
        "de": "Vielen Dank für die netten Worte, {{ author }}!",
        "es": "¡Muchas gracias por tus amables palabras, {{ author }}!",
        "fr": "Merci beaucoup pour ces mots, {{ author }} !",
    },
    "apology": {
        "en": "We are sorry to hear that, {{ author }}. Please send us a direct message, so that"
        " we can look into it.",
        "de": "Das tut uns leid, {{ author }}. Bitte schick uns eine Direktnachricht, damit wir der"
        " Sache nachgehen können.",
        "es": "Lo sentimos mucho, {{ author }}. Envíanos un mensaje directo para que podamos"
        " revisarlo.",
        "fr": "Nous en sommes désolés, {{ author }}. Envoyez-nous un message privé pour que nous"
        " puissions regarder cela.",
    },
    "question": {
        "en": "Thanks for asking, {{ author }}! Please send us a direct message with a few details,"
        " and we will help.",
        "de": "Danke für die Frage, {{ author }}! Schick uns bitte eine Direktnachricht mit ein"
        " paar Einzelheiten, dann helfen wir weiter.",
        "es": "¡Gracias por preguntar, {{ author }}! Envíanos un mensaje directo con algunos"
        " detalles y te ayudamos.",
        "fr": "Merci pour la question, {{ author }} ! Envoyez-nous un message privé avec quelques"
        " détails et nous vous aiderons.",
    },
}
"""Templates that are there without anybody having written them, by name and language. A tenant's
own of the same name comes first."""

_TO_AUTHOR = ", {{ author }}"

NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"


def _places(text: str) -> str:
    check_places(text)
    return text


class WriteResponseTemplate(Command):
    """The text of a template; variables stand in it as `{{ author }}`, `{{ first_name }}`,
    `{{ handle }}`, `{{ network }}` and `{{ brand }}`."""

    text: Annotated[
        ScreenedText, Field(min_length=1, max_length=2000, pattern=r"\S"), AfterValidator(_places)
    ]

    def handle(self, template: ResponseTemplate) -> None:
        template.rewrite(self.text)


@dataclass(frozen=True)
class _WriteFirst:
    name: str
    request: WriteResponseTemplate

    def handle(self) -> ResponseTemplate:
        return ResponseTemplate(self.name, self.request.text)


class DiscardResponseTemplate(Command):
    """Answer with a template no longer; the built-in one of its name is there again."""

    def handle(self, template: ResponseTemplate) -> None:
        template.discard()


class ResponseTemplateShown(BaseModel):
    """A template by the name that `template_id` takes; `built_in` ones come with the product."""

    template_id: str
    text: str
    built_in: bool


async def write(
    desk: Desk, name: str, request: WriteResponseTemplate
) -> Answer[ResponseTemplateShown]:
    """Write a template, in place of one of the same name."""
    id = ResponseTemplate.create_id(name, desk.tenant)
    if await desk.log.load(ResponseTemplate, id) is None:
        try:
            return await desk.create(_WriteFirst(name, request), shown)
        except IntegrityError:
            pass  # another one was first just now, so this one comes after
    return await desk.change(ResponseTemplate, id, request, shown)


async def discard(desk: Desk, name: str) -> Answer[ResponseTemplateShown]:
    """Discard a template of the tenant's own. Raises `NotFound`."""
    id = ResponseTemplate.create_id(name, desk.tenant)
    return await desk.change(ResponseTemplate, id, DiscardResponseTemplate(), shown)


async def text_of(desk: Desk, name: str, language: str, *, named: bool) -> str:
    """The template of that name: the tenant's own, else the built-in one in `language`, else in
    English. A built-in one leaves the author out when they are not `named`. Raises `Invalid` when
    there is none."""
    own = await desk.log.load(ResponseTemplate, ResponseTemplate.create_id(name, desk.tenant))
    if own is not None and own.text is not None:
        return own.text
    built_in = BUILT_IN.get(name)
    if built_in is None:
        raise Invalid(
            "There is no such response template.", field="template_id", code="unknown_template"
        )
    text = built_in.get(language, built_in["en"])
    return text if named else text.replace(_TO_AUTHOR, "")


def shown(template: ResponseTemplate) -> ResponseTemplateShown:
    """A template of the tenant's own; a discarded one shows what is used from now on."""
    built_in = BUILT_IN.get(template.name, {})
    return ResponseTemplateShown(
        template_id=template.name,
        text=template.text if template.text is not None else built_in.get("en", ""),
        built_in=template.text is None and bool(built_in),
    )
