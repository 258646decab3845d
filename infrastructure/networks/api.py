"""What each network's adapter does, and the helpers that all of them share."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Protocol

from application.social.accounts import Identity
from application.social.networks import (
    Heard,
    MentionReply,
    Overheard,
    Publication,
    Receipt,
    Watch,
)
from domain.kernel import utc
from domain.social.engagement import Comment, Figures
from domain.social.networks import Network
from domain.social.trends import Rising
from infrastructure.gateway_outcomes import GatewayError
from infrastructure.gateways import GatewayResponse
from infrastructure.networks.line import (
    Fault,
    Line,
    NetworkSaysNo,
    NetworkUnclear,
    Reply,
    parsed,
    plain_refusal,
    settled,
)

MAX_MEDIA = 64 * 1024 * 1024
"""Bytes of one image or video that is uploaded; it is held in memory meanwhile."""

MEDIA_SECONDS = 120.0


@dataclass(frozen=True)
class Sending:
    """What is known of an earlier attempt: since when it may be out, and what the network called
    it on its way."""

    sent_at: datetime
    reference: str | None


class Notes(Protocol):
    """Where an attempt is noted while it goes on."""

    async def about_to_send(self, reference: str | None = None) -> None:
        """From here on it may be out. `reference` is what the network calls it so far."""
        ...

    async def others(self, found: Sequence[str]) -> frozenset[str]:
        """Those of these posts that another sending of ours is known to be."""
        ...


class Api(ABC):
    """One account on one network.

    Methods raise `NetworkSaysNo` when the network certainly has not done it, and
    `NetworkUnclear` or `GatewayError` when nothing is certain.
    """

    network: ClassVar[Network]

    def __init__(
        self, line: Line, credentials: Mapping[str, str], account_id: str | None = None
    ) -> None:
        self.line, self.credentials, self.account_id = line, credentials, account_id

    @property
    def account(self) -> str:
        """The id of the account, once it is known."""
        return self.account_id or self.credentials.get("account_id", "")

    @abstractmethod
    async def identify(self) -> Identity:
        """Whose the credentials are."""

    @abstractmethod
    async def publish(self, publication: Publication, notes: Notes) -> Receipt:
        """Publish; `notes.about_to_send` comes right before the request that does it."""

    @abstractmethod
    async def find(
        self, publication: Publication, sending: Sending, notes: Notes
    ) -> Receipt | None:
        """The post of an earlier attempt; None when the account certainly does not show it."""

    async def reply(self, reply: MentionReply, notes: Notes) -> Receipt:
        """Reply to a mention, as `publish` does; refused where programs cannot."""
        message = f"{self.network.capitalize()} lets no program reply to people."
        raise NetworkSaysNo(Fault.POST, message, code="replies_unsupported")

    async def find_reply(
        self, reply: MentionReply, sending: Sending, notes: Notes
    ) -> Receipt | None:
        """The reply of an earlier attempt, as `find` does."""
        raise NetworkUnclear("Replies are not shown.")

    @abstractmethod
    async def engagement(self, post_id: str) -> tuple[Figures, Sequence[Comment]]:
        """Present totals and recent comments of a post."""

    async def mentions(self, watch: Watch) -> Heard:
        """What others have said about the account since the last time.

        None where the network documents no interface that tells, which is so unless an adapter
        says otherwise.
        """
        return Heard((), watch.cursor, offered=False)

    async def subscribe(self) -> bool:
        """Have mentions told by the network's webhook; False where none is received."""
        return False

    async def mention(self, mention_id: str) -> Overheard | None:
        """One mention that the network's webhook has told of; None when it is none."""
        return None

    async def rising(self, place: str) -> Sequence[Rising] | None:
        """What the network lists as rising in a place; None when it offers no such list.

        None of Facebook, Instagram, LinkedIn and TikTok documents one: the Graph API and the
        Instagram Platform look up posts of a hashtag that is given, LinkedIn's Community
        Management API those of an organisation, and TikTok's Research API is for researchers.
        """
        return None

    async def renew(self) -> Mapping[str, str] | None:
        """New credentials; None when these cannot be renewed."""
        return None

    async def revoke(self) -> bool:
        """Whether the network has taken the tokens back; False where it offers no way to."""
        return False

    def refusal(self, response: GatewayResponse, data: Any) -> NetworkSaysNo | None:
        """The network's own way to say no; None when it has not."""
        return plain_refusal(response, "")

    async def ask(self, method: str, path: str, **request: Any) -> Reply:
        """One request, sorted. Raises as above."""
        response = await self.line.send(method, path, **request)
        data = parsed(response)
        no = self.refusal(response, data)
        if no is not None:
            no.message = self._without_secrets(no.message)
            raise no
        return settled(response, data)

    async def media(self, url: str) -> tuple[bytes, str]:
        """The file at `url` and its media type. Raises `NetworkSaysNo`: nothing has been sent."""
        try:
            got = await self.line.guarded.request(
                "GET",
                url,
                follow_redirects=True,
                max_response_bytes=MAX_MEDIA,
                timeout=MEDIA_SECONDS,
            )
        except GatewayError as error:
            raise _no_media(error.reason) from None
        if got.status != 200:
            raise _no_media(f"Its server answered {got.status}.")
        if got.truncated:
            raise _no_media(f"It has more than {MAX_MEDIA // 1024**2} MiB.")
        kind = media_type(got.body)
        if kind is None:
            raise _no_media("It is no image or video of a known kind.")
        return got.body, kind

    def _without_secrets(self, message: str) -> str:
        for secret in self.credentials.values():
            if len(secret) > 5:
                message = message.replace(secret, "…")
        return message


def _no_media(reason: str) -> NetworkSaysNo:
    return NetworkSaysNo(Fault.POST, f"A file of the post cannot be had. {reason}", code="media")


_SIGNATURES: Sequence[tuple[re.Pattern[bytes], str]] = [
    (re.compile(rb"\xff\xd8\xff", re.DOTALL), "image/jpeg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n", re.DOTALL), "image/png"),
    (re.compile(rb"GIF8[79]a", re.DOTALL), "image/gif"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "image/webp"),
    (re.compile(rb"....ftypqt  ", re.DOTALL), "video/quicktime"),
    (re.compile(rb"....ftyp", re.DOTALL), "video/mp4"),
    (re.compile(rb"\x1aE\xdf\xa3", re.DOTALL), "video/webm"),
]


def media_type(content: bytes) -> str | None:
    """By the first bytes (WHATWG MIME Sniffing, sections 6.1 and 6.2); None when it is neither an
    image nor a video of a kind that networks take."""
    for signature, kind in _SIGNATURES:
        if signature.match(content):
            return kind
    return None


_VIDEOS = frozenset({"mp4", "mov", "m4v", "webm", "avi", "mkv", "mpg", "mpeg", "wmv", "3gp"})


def is_video(url: str) -> bool:
    """By the extension of the file's name, which is all that is known before it is fetched."""
    path = url.partition("#")[0].partition("?")[0]
    return path.rpartition("/")[2].rpartition(".")[2].lower() in _VIDEOS


def instant(stated: Any) -> datetime:
    """A network's instant: ISO 8601 (`+0000` too), or seconds or milliseconds since 1970.

    Raises `NetworkUnclear` for anything else.
    """
    try:
        if isinstance(stated, int | float):
            return datetime.fromtimestamp(stated / 1000 if stated > 1e11 else stated, UTC)
        return utc(datetime.fromisoformat(str(stated)))
    except (ValueError, OverflowError, OSError):
        raise NetworkUnclear("The network's answer lacks an instant.") from None


def instant_or_now(stated: Any) -> datetime:
    """The same for what has just happened, or where it matters little."""
    try:
        return instant(stated)
    except NetworkUnclear:
        return datetime.now(UTC)


def same_text(ours: str, theirs: str) -> bool:
    """Whether a post shows our text; networks trim and fold white space."""
    return " ".join(ours.split()) == " ".join(theirs.split())


SKEW = timedelta(minutes=2)
"""How far the clocks of a network and of ours may differ."""


async def earliest(candidates: Sequence[Receipt], sending: Sending, notes: Notes) -> Receipt | None:
    """The first of these posts that is no older than the sending and not another one's."""
    taken = await notes.others([each.network_post_id for each in candidates])
    fresh = [
        each
        for each in candidates
        if each.network_post_id not in taken and each.at >= sending.sent_at - SKEW
    ]
    return min(fresh, key=lambda each: each.at, default=None)
