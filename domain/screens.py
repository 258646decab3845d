"""Screens for text that comes from outside: statement-shaped SQL injection and markup that runs.

Bound parameters and escaping on the way out make both harmless. The screens exist because the
contracts demand a refusal; so they refuse only what has the shape of an attack, and let prose,
code snippets, apostrophes and hashes pass. Every screen takes linear time and gives its text back
unchanged.
"""

import re
import unicodedata
from typing import Literal

from domain.markup import decoded, runnable
from domain.sql_shapes import injected

__all__ = ["ScreenRefused", "screen_html", "screen_markup", "screen_sql", "screen_text"]

REFUSED_IN_TEXT = frozenset({"script", "iframe", "embed", "applet"})
REFUSED_IN_HTML = REFUSED_IN_TEXT | {"object", "form", "frame", "frameset", "portal"}
# Bare, these are what people write for "put it here": <form>, <link>, <object>.
REFUSED_IN_TEXT_WITH_VALUES = frozenset({"form", "object", "link", "meta", "base", "style"})

# Without one of these characters or words no rule below can apply.
_SPARK = re.compile(r"[<&;'\"`=]")
_SPARK_WORDS = ("union", "script:", "text/html")

_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f\u00ad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u2064\ufe00-\ufe0f\ufeff]"
)
_LONG_LIGATURES = re.compile("[\ufdf0-\ufdfd]")  # Arabic phrases, up to 18 characters each
_QUOTES = re.compile("[‘’‚‛ʹʻʼʽˈ′‵ꞌ“”„‟″‶ˮ]")

# The end of a quoted attribute and a handler after it, for text that is put into an attribute.
_BREAKOUT = re.compile(
    r"['\"][\s/]++on(?:abort|a?fter|animation|before|blur|can|change|click|copy|cut|dblclick|drag|"
    r"drop|end|error|focus|hash|input|key|load|message|mouse|page|paste|play|pointer|reset|resize|"
    r"scroll|search|select|start|submit|toggle|touch|transition|unload|wheel)[a-z]{0,20}\s*+="
)
_SPACED_SCRIPT = re.compile(r"<\s*+/?\s*+script\b[^<>]{0,200}>")
_SCRIPT_ADDRESS = re.compile(
    r"\b(?:java|vb|live)script:(?!void\()[\w.$\[\]'\"/*+-]{0,100}[(=`]|\bdata:\s?text/html[;,]"
)


class ScreenRefused(ValueError):
    """A text has the shape of an attack. The message is for the caller and quotes none of it."""

    def __init__(self, code: Literal["sql_injection", "markup"], message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def screen_text(text: str) -> str:
    """`text`, unless it looks like an SQL injection or holds markup that runs.

    For plain text and single-line names. Raises ScreenRefused.
    """
    plain = _normalised(text)
    lowered = plain.lower()
    if _may_matter(lowered):
        _refuse_sql(lowered)
        _refuse_markup(plain)
    return text


def screen_sql(text: str) -> str:
    """`text`, unless it looks like an SQL injection. Raises ScreenRefused("sql_injection")."""
    lowered = _normalised(text).lower()
    if _may_matter(lowered):
        _refuse_sql(lowered)
    return text


def screen_markup(text: str) -> str:
    """Plain `text`, unless it holds markup that runs. Raises ScreenRefused("markup")."""
    plain = _normalised(text)
    if _may_matter(plain.lower()):
        _refuse_markup(plain)
    return text


def screen_html(html: str) -> str:
    """`html`, unless it holds a script, an event handler, an address that runs script, a form or
    an embedded document. Everything else of HTML passes. Raises ScreenRefused("markup").
    """
    fault = runnable(html, REFUSED_IN_HTML)
    if fault is not None:
        raise ScreenRefused("markup", f"must not contain {fault}")
    return html


def _may_matter(lowered: str) -> bool:
    return _SPARK.search(lowered) is not None or any(word in lowered for word in _SPARK_WORDS)


def _normalised(text: str) -> str:
    """The text as a careless reader further on might take it: compatibility forms replaced
    (Unicode NFKC), invisible characters removed, every quote straight.
    """
    if not text.isascii():
        text = text.replace("…", "...")  # the one common character that normalising would change
        if not unicodedata.is_normalized("NFKC", text):
            text = unicodedata.normalize("NFKC", _LONG_LIGATURES.sub(" ", text))
        text = _QUOTES.sub("'", text)
    return text if text.isprintable() else _INVISIBLE.sub("", text)


def _refuse_sql(lowered: str) -> None:
    if injected(lowered):
        raise ScreenRefused("sql_injection", "must not contain an SQL statement after a quote")


def _refuse_markup(plain: str) -> None:
    text = decoded(decoded(plain)).lower()
    fault: str | None = None
    if "<" in text:
        fault = runnable(text, REFUSED_IN_TEXT, REFUSED_IN_TEXT_WITH_VALUES)
        if fault is None and "script" in text and _SPACED_SCRIPT.search(text):
            fault = "a <script> element"
    if fault is None and "=" in text and _BREAKOUT.search(text):
        fault = "an event handler"
    if fault is None and ":" in text and _SCRIPT_ADDRESS.search(text):
        fault = "an address that runs script"
    if fault is not None:
        raise ScreenRefused("markup", f"must not contain {fault}")
