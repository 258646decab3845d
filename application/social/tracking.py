"""Tracked links: web addresses with UTM parameters, so that visits can be told by their origin.

Parameters: Google Analytics, "URL builders: collect campaign data with custom URLs". What an
address says already is never changed; what it lacks of source, medium and campaign is put in.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated
from urllib.parse import parse_qsl, quote, urlsplit

import regex
from pydantic import AfterValidator

from application.social.optimisation import STYLES
from application.social.posts import WebAddress
from domain.social.networks import Network
from domain.social.text import links

MEDIUM = "social"

_NOT_IN_ADDRESS = re.compile(r"[\s\x00-\x1f\x7f-\x9f<>\"\\^`{|}]")
_NOT_IN_NAME = regex.compile(r"[^\p{L}\p{M}\p{N}]+")


def _trackable(url: str) -> str:
    """Raises `ValueError` for what would be cut off in a post, gives a password away, or says
    something unclear of its origin."""
    if _NOT_IN_ADDRESS.search(url):
        raise ValueError("It holds a space or another character that addresses do not have")
    host = urlsplit(url).netloc
    if not host:
        raise ValueError("It names no host")
    if "@" in host:
        raise ValueError("It must not hold a user name or a password")
    given = [(name, value) for name, value in _parameters(url) if name.startswith("utm_")]
    for name, value in given:
        if not value.strip():
            raise ValueError(f"{name} has no value")
    twice = [name for name, n in Counter(name for name, _ in given).items() if n > 1]
    if twice:
        raise ValueError(f"{twice[0]} is given more than once")
    return url


TrackedUrl = Annotated[WebAddress, AfterValidator(_trackable)]
"""An http(s) address, with or without UTM parameters of its own."""


def tracked(url: str, network: Network, campaign: str) -> str:
    """`url` with the UTM parameters that it lacks, for `network` and the campaign of that name.

    Done twice it is the same as once; everything of `url` stays, in its place.
    """
    rest, mark, fragment = url.partition("#")
    present = {name for name, _ in _parameters(url)}
    wanted = {"utm_source": network.value, "utm_medium": MEDIUM, "utm_campaign": slug(campaign)}
    more = "&".join(
        f"{name}={quote(value, safe='')}" for name, value in wanted.items() if name not in present
    )
    if more:
        joint = "?" if "?" not in rest else "" if rest[-1] in "?&" else "&"
        rest += joint + more
    return rest + mark + fragment


def slug(name: str) -> str:
    """A campaign's name as it stands in reports: `Spring sale 2026!` is `spring_sale_2026`."""
    return str(_NOT_IN_NAME.sub("_", name.casefold())).strip("_") or name.strip()


def by_network(
    addresses: Mapping[str, str], networks: Iterable[Network], campaign: str
) -> dict[str, dict[Network, str]]:
    """Each of `addresses`, by its name, as it is tracked on each network."""
    return {
        name: {network: tracked(url, network, campaign) for network in networks}
        for name, url in addresses.items()
    }


def with_links(
    content: str, network: Network, tracked_as: Mapping[str, str], wanted: str | None
) -> str:
    """`content` as it goes to `network`: addresses in it that are tracked become what
    `tracked_as` says, and `wanted`, one of those, is put after it where it is missing and can be
    clicked."""
    found = links(content)
    given = [content[start:end] for start, end in found]
    for start, end in reversed(found):
        url = content[start:end]
        content = content[:start] + tracked_as.get(url, url) + content[end:]
    if wanted is None or not STYLES[network].clickable:
        return content
    if wanted in given or tracked_as[wanted] in given:
        return content
    return f"{content.rstrip()}{STYLES[network].break_before}{tracked_as[wanted]}"


def _parameters(url: str) -> list[tuple[str, str]]:
    return parse_qsl(url.partition("#")[0].partition("?")[2], keep_blank_values=True)
