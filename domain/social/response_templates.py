"""Texts that a brand answers with, and the places in them that each mention fills."""

import re
from collections.abc import Mapping
from uuid import NAMESPACE_URL, UUID, uuid5

from domain.kernel import Aggregate, NotFound, acting, event

VARIABLES = ("author", "first_name", "handle", "network", "brand")
"""What a template may ask for: the author's name, its first word, and their handle (`@` and all);
the network's name; the brand's own, which the brand voice tells."""

_PLACE = re.compile(r"\{\{\s*([A-Za-z_]\w*)\s*\}\}")


class MissingVariable(Exception):
    """A template asks for something that there is not."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class ResponseTemplate(Aggregate, topic="social.response_template"):
    """One template of one tenant, by its name."""

    class Written(Aggregate.Created):
        TOPIC = "social.response_template.written"
        name: str
        text: str

    class Rewritten(Aggregate.Event):
        TOPIC = "social.response_template.rewritten"
        name: str
        text: str

    class Discarded(Aggregate.Event):
        TOPIC = "social.response_template.discarded"
        name: str

    @staticmethod
    def create_id(name: str, tenant: str | None = None) -> UUID:
        """One stream per name and tenant, by default the one that is acting."""
        whose = tenant or acting.get().tenant
        return uuid5(NAMESPACE_URL, f"tidings:response_template:{whose}:{name}")

    @event(Written)
    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text: str | None = text

    def rewrite(self, text: str) -> None:
        """Put another text in its place; one that was discarded comes back."""
        if text != self.text:
            self._rewritten(self.name, text)

    def discard(self) -> None:
        """Answer with it no longer."""
        if self.text is None:
            raise NotFound("There is no such response template.")
        self._discarded(self.name)

    @event(Rewritten)
    def _rewritten(self, name: str, text: str) -> None:
        self.text = text

    @event(Discarded)
    def _discarded(self, name: str) -> None:
        self.text = None


def check_places(text: str) -> None:
    """Raises ValueError, naming what stands in `{{ … }}` and is not one of `VARIABLES`."""
    for name in _PLACE.findall(text):
        if name not in VARIABLES:
            raise ValueError(f"There is no variable {name}; there are {', '.join(VARIABLES)}")
    rest = _PLACE.sub("", text)
    if any(sign in rest for sign in ("{{", "}}", "{%", "{#")):
        raise ValueError("Only variables such as {{ author }} may stand in braces")


def filled(text: str, values: Mapping[str, str | None]) -> str:
    """`text` with each variable's value in its place. Nothing else in it has a meaning, and what
    is filled in is not looked through again. Raises `MissingVariable`."""

    def value(place: re.Match[str]) -> str:
        found = values.get(place[1])
        if not found:
            raise MissingVariable(place[1])
        return found

    return _PLACE.sub(value, text)
