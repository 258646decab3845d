"""Types of request fields for free text. What a screen refuses becomes a field error of its code.

A field of a command declares which of them it is; its own length goes beside it:
`name: Annotated[SingleLine, Field(max_length=200)]`.
"""

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

from domain.screens import ScreenRefused, screen_html, screen_markup, screen_sql, screen_text

__all__ = ["HtmlBody", "PlainText", "ScreenedHtml", "ScreenedText", "SingleLine"]

# A field's own length is only checked after the screens, which take time for every character.
_LONGEST_TEXT, _LONGEST_HTML = 200_000, 1_000_000


def _field(screen: Callable[[str], str], longest: int = _LONGEST_TEXT) -> AfterValidator:
    """The screen as a validator whose error carries the screen's code and message."""

    def validate(text: str) -> str:
        if len(text) > longest:
            raise PydanticCustomError(
                "string_too_long",
                "must have at most {max_length} characters",
                {"max_length": longest},
            )
        try:
            return screen(text)
        except ScreenRefused as refused:
            # The message must not be read as a template, whatever a screen puts into it.
            raise PydanticCustomError(
                refused.code, "{reason}", {"reason": refused.message}
            ) from None

    return AfterValidator(validate)


def _single_line(text: str) -> str:
    if text and text.splitlines() != [text]:
        raise PydanticCustomError("single_line", "must be a single line")
    return text


PlainText = Annotated[str, _field(screen_markup)]
"""Text without markup that runs: every plain-text field."""

SingleLine = Annotated[str, AfterValidator(_single_line), _field(screen_markup)]
"""Plain text in one line: names, titles, subjects, anything that ends up in a mail header."""

ScreenedText = Annotated[str, _field(screen_text)]
"""Plain text in a field that the contract also screens for SQL injection."""

HtmlBody = Annotated[str, _field(screen_html, _LONGEST_HTML)]
"""HTML of a mail or template."""

ScreenedHtml = Annotated[str, _field(screen_sql), _field(screen_html)]
"""HTML in a field that the contract also screens for SQL injection: articles."""
