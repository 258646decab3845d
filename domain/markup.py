"""Reads HTML the way a browser's tokeniser does, and says what in it could run.

The standard library's parser is not used: in Python 3.11 it needs quadratic time on unclosed tags
and comments, never reports a tag that the text ends in, and lets `<!-->` hide what follows, which
browsers show. This reader takes linear time on any input.

Rules of reading: WHATWG HTML Living Standard, section 13.2.5 (tokenization).
"""

import html
import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Tag", "decoded", "runnable", "tags"]

# Attributes whose value is an address that a click, a load or an animation follows.
_ADDRESSES = frozenset(
    {"href", "src", "action", "formaction", "data", "poster", "background", "lowsrc", "dynsrc"}
    | {"cite", "longdesc", "to", "from", "by"}
)
_SCRIPT_ADDRESS = r"(?:(?:java|vb)script:|data:\s*+(?:text/(?:ht|x)ml|application/(?:xhtml\+)?xml))"
_RUNS = re.compile(_SCRIPT_ADDRESS)
_RUNS_WITHIN = {
    "content": re.compile(r"url\s*+=\s*+['\"]?\s*+" + _SCRIPT_ADDRESS),
    "style": re.compile(r"url\(\s*+['\"]?\s*+" + _SCRIPT_ADDRESS),
    "values": re.compile(r"(?:^|;)\s*+" + _SCRIPT_ADDRESS),
}
_HANDLER = re.compile(r"on[a-z]{3,40}")

_SPACE = r"\t\n\f\r "
_OPENING = re.compile(rf"<(?:!--|/?+([a-zA-Z][^{_SPACE}/>]*+))")
_COMMENT = re.compile(r"<!--(?:-?>|.*?--!?>)", re.DOTALL)
_ATTRIBUTE = re.compile(
    rf"[{_SPACE}/]*+(?:(?P<close>>)|(?P<name>=?[^{_SPACE}/>=]*+)"
    rf"(?P<equals>[{_SPACE}]*+=[{_SPACE}]*+"
    rf"(?:\"(?P<double>[^\"]*+)\"?|'(?P<single>[^']*+)'?|(?P<bare>[^{_SPACE}>]*+)))?)"
)
# There are no comments inside these elements, so what follows their end tag is live.
_RAW_TEXT_END = re.compile(
    r"</(?:style|title|textarea|noscript|noembed|noframes|xmp|svg|math)", re.IGNORECASE
)
_REFERENCE = re.compile(r"&#(?:[xX]0*+([0-9a-fA-F]++)|0*+([0-9]++)|0++)")
_URL_NOISE = re.compile(r"[\t\n\r]")
_URL_LEAD = "`" + "".join(map(chr, range(0x21)))  # and what old mail clients take for a quote

Attributes = tuple[tuple[str, str | None], ...]


class Tag(NamedTuple):
    """A start or end tag: lower-case name; (lower-case name, raw value or None) per attribute."""

    name: str
    attributes: Attributes


def tags(text: str) -> Iterator[Tag]:
    """Every tag of `text` in order, also one that is never closed; comments are skipped.

    A comment is read as markup nevertheless when an element or a mail client would do so: a
    conditional comment, one without an end, one that contains the end of a raw-text element.
    """
    position = comment_end = 0
    comments_close = True
    while opening := _OPENING.search(text, position):
        position = opening.end()
        if opening[1] is not None:
            attributes, position = _attributes(text, position)
            yield Tag(opening[1].lower(), attributes)
        elif comments_close and position > comment_end:
            comment = _COMMENT.match(text, opening.start())
            if comment is None:
                comments_close = False
                continue
            comment_end = comment.end()
            if not comment[0].startswith("<!--[") and not _RAW_TEXT_END.search(comment[0]):
                position = comment_end


def _attributes(text: str, position: int) -> tuple[Attributes, int]:
    """The attributes that start at `position`, and where their tag ends."""
    found: list[tuple[str, str | None]] = []
    while part := _ATTRIBUTE.match(text, position):
        position = part.end()
        if part["close"] or not (part["name"] or part["equals"]):
            break
        value = part["double"] or part["single"] or part["bare"]
        found.append((part["name"].lower(), value or "" if part["equals"] else None))
    return tuple(found), position


def runnable(
    text: str,
    refused: frozenset[str],
    refused_with_values: frozenset[str] = frozenset(),
    depth: int = 3,
) -> str | None:
    """What in `text` could run, in words for the caller, or None.

    `refused` are names of elements; those of `refused_with_values` are let through as long as no
    attribute has a value. Event handlers and addresses that run script are found on every
    element. Attribute values are read as markup too, `depth` levels deep: parsers differ on where
    an attribute ends, and attacks live on that difference.
    """
    for name, attributes in tags(text):
        # "<scr<script>ipt>" is one odd name to a browser, and a script once a piece is cut out.
        for piece in name.split("<"):
            if piece in refused or piece.endswith(":script"):
                return f"a <{piece}> element"
        for attribute, value in attributes:
            if attribute.rpartition("<")[2] in refused and "<" in attribute:
                return f"a <{attribute.rpartition('<')[2]}> element"
            if value is None:
                continue
            if name in refused_with_values:
                return f"a <{name}> element"
            fault = _fault(attribute, value)
            if fault is None and depth and "<" in value:
                fault = runnable(value, refused, refused_with_values, depth - 1)
            if fault is not None:
                return fault
    return None


def _fault(attribute: str, value: str) -> str | None:
    """What is wrong with an attribute that has a value, or None."""
    if _HANDLER.fullmatch(attribute):
        return f"an event handler ({attribute})"
    local = attribute.rpartition(":")[2]
    within = _RUNS_WITHIN.get(local)
    if (local in _ADDRESSES and _RUNS.match(_address(value))) or (
        within is not None and within.search(_address(value))
    ):
        return "an address that runs script"
    return None


def _address(value: str) -> str:
    """An attribute's value as the URL parser sees it (WHATWG URL, section 4.4), in lower case."""
    return _URL_NOISE.sub("", decoded(value)).lstrip(_URL_LEAD).lower()


def decoded(text: str) -> str:
    """`text` with its character references resolved.

    Leading zeros go first, and numbers beyond Unicode become U+FFFD: the standard library
    converts every digit of a reference and fails above 4,300 of them.
    """
    if "&" not in text:
        return text
    return html.unescape(_REFERENCE.sub(_short_reference, text))


def _short_reference(reference: re.Match[str]) -> str:
    hexadecimal, decimal = reference.groups()
    if len(hexadecimal or decimal or "") not in range(1, 9):
        return "\ufffd"
    return f"&#x{hexadecimal}" if hexadecimal else f"&#{decimal}"
