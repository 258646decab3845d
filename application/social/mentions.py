"""Listening to the networks: what is heard becomes mentions, each once.

A network is asked again and again, soon after something was heard and more rarely the longer it
is quiet. What is told twice is recognised by its stream, so a look may die at any line.
"""

import asyncio
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Protocol

from eventsourcing.persistence import IntegrityError
from pydantic import Field

from application.kernel import NO_ANSWER, Command, Desk, Job, Log
from application.screens import ScreenedText
from application.social.accounts import SANDBOX
from application.social.networks import OutcomeUnknown, Overheard, SocialNetworks, Watch
from application.social.sentiment import read
from domain.social.connections import Connection
from domain.social.keywords import BrandKeywords
from domain.social.mentions import Mention, priority_of
from domain.social.networks import Network
from domain.social.text import hashtags_in

ACTOR = "tidings:listener"
"""The actor on what the house hears."""

LOOK_BACK = timedelta(days=7)
"""How far back an account is listened to when it is connected: as far as the search of X goes."""
SANDBOX_LOOK_BACK = timedelta(days=60)

SOONEST = {
    Network.TWITTER: timedelta(minutes=5),
    Network.FACEBOOK: timedelta(minutes=10),
    Network.INSTAGRAM: timedelta(minutes=10),
    Network.LINKEDIN: timedelta(minutes=15),
    Network.TIKTOK: timedelta(minutes=15),
    Network.PINTEREST: timedelta(minutes=15),
}
"""Times between two looks that stay far below the networks' limits."""
SOONEST_IN_SANDBOX = timedelta(seconds=5)
LATEST = timedelta(hours=1)
NOT_OFFERED = timedelta(days=1)
"""A network that has no way to tell may have one some day; so often it is asked."""
QUIET_PART = 8
"""The next look comes after this part of the time for which nothing new has been heard."""

AT_ONCE = 25
"""Mentions that are written down together."""

_CODE = re.compile("(?!und|zxx|q..)[a-z]{2,3}")
"""A code of ISO 639 that names a language; the others say that it is not known, or none (and X
has some of its own that begin with q)."""

LONGEST_TEXT, LONGEST_NAME, LONGEST_URL = 10_000, 200, 500
"""Characters that are kept; the last two are the contract's."""


@dataclass(frozen=True)
class Listening:
    """One network that is listened to for a tenant, as it stands between two looks.

    `provider` is who was asked last, None before the first look; `heard_at` is when something new
    was told last, `failures` how often in a row there was no answer.
    """

    tenant: str
    network: Network
    since: datetime
    provider: str | None
    cursor: str | None
    heard_at: datetime
    failures: int


class Ear(Protocol):
    """The port to what is listened to, and where that stands."""

    async def begin(self, tenant: str, network: Network, since: datetime, *, anew: bool) -> None:
        """Listen from `since` on, unless that is done already; `anew`: look at once."""
        ...

    async def end(self, tenant: str, network: Network) -> None:
        """Listen no more."""
        ...


class DismissMention(Command):
    """Take a mention off the list of those that want an answer."""

    reason: Annotated[ScreenedText, Field(max_length=500)] = ""

    def handle(self, mention: Mention) -> None:
        mention.dismiss(self.reason)


class DetectMention(Command):
    """Write down what was heard: in which language and tone, and how soon somebody should look.

    Of `words` those are kept as its keywords that the text says.
    """

    network: Network
    words: tuple[str, ...]
    overheard: Overheard

    def handle(self) -> Mention:
        heard = self.overheard
        reading, language = read(heard.text, heard.language)
        return Mention(
            network=self.network,
            network_mention_id=heard.id,
            url=heard.url,
            author=heard.author,
            author_handle=heard.handle,
            followers=heard.followers,
            text=heard.text,
            written_at=heard.at,
            language=language,
            sentiment=reading.sentiment,
            tone=reading.tone,
            priority=priority_of(reading, self.network, heard.followers),
            likes=heard.likes,
            shares=heard.shares,
            comments=heard.comments,
            requires_response=reading.wants_answer,
            keywords=tuple(word for word in self.words if says(heard.text, word)),
            hashtags=tuple(dict.fromkeys(tag.lower() for tag in hashtags_in(heard.text))),
        )


@dataclass(frozen=True)
class Listener:
    """What listening needs."""

    log: Log
    networks: SocialNetworks
    ear: Ear

    async def begin(self, tenant: str, network: str, since: str, anew: int) -> Iterable[Job]:
        """Listen to a network on which the tenant is heard now (a job)."""
        at = datetime.fromisoformat(since)
        await self.ear.begin(tenant, Network(network), at, anew=bool(anew))
        return []

    async def end(self, tenant: str, network: str) -> Iterable[Job]:
        """Listen no more, unless an account is left or has come meanwhile (a job)."""
        on = Network(network)
        connection = await self.log.load(Connection, Connection.create_id(on, tenant))
        if connection is None or connection.current is None:
            await self.ear.end(tenant, on)
        return []

    async def look(self, known: Listening) -> tuple[Listening, datetime]:
        """Ask the network, and write down what is new. How it stands then, and when to look
        again."""
        now = datetime.now(UTC)
        gateway = await self.networks.of(known.tenant, known.network)
        if known.provider != gateway.provider:
            known = _begun(known, gateway.provider, now)
        chosen = await self._keywords(known.tenant)
        watch = Watch(known.tenant, known.network, chosen, known.since, known.cursor)
        try:
            heard = await gateway.mentions(watch)
        except OutcomeUnknown:
            known = replace(known, failures=known.failures + 1)
            return known, now + _after_failure(known)
        words = chosen or await self._names(known.tenant, known.network, known.provider)
        new = await self.write_down(known.tenant, known.network, words, heard.mentions)
        heard_at = now if new else known.heard_at
        known = replace(known, cursor=heard.cursor, heard_at=heard_at, failures=0)
        return known, now + (_pause(known, now) if heard.offered else NOT_OFFERED)

    async def words(self, tenant: str, network: Network, provider: str) -> tuple[str, ...]:
        """What a mention may say of the brand: the words that the tenant has set, else names."""
        return await self._keywords(tenant) or await self._names(tenant, network, provider)

    async def _keywords(self, tenant: str) -> tuple[str, ...]:
        chosen = await self.log.load(BrandKeywords, BrandKeywords.create_id(tenant))
        return chosen.keywords if chosen else ()

    async def _names(self, tenant: str, network: Network, provider: str | None) -> tuple[str, ...]:
        """What the account is called; the tenant's own name in the sandbox."""
        if provider == SANDBOX:
            return (tenant,)
        connection = await self.log.load(Connection, Connection.create_id(network, tenant))
        account = connection.current if connection else None
        return (account.account_name,) if account and account.account_name else ()

    async def write_down(
        self, tenant: str, network: Network, words: tuple[str, ...], heard: Sequence[Overheard]
    ) -> int:
        """How many of them are new; the oldest first, so that a death in between leaves no gap."""
        new, now = 0, datetime.now(UTC)
        ordered = sorted((_fit(each, now) for each in heard), key=lambda each: each.at)
        for start in range(0, len(ordered), AT_ONCE):
            some = ordered[start : start + AT_ONCE]
            commands = [
                DetectMention(network=network, words=words, overheard=each) for each in some
            ]
            new += sum(await asyncio.gather(*(self._once(tenant, each) for each in commands)))
        return new

    async def _once(self, tenant: str, command: DetectMention) -> bool:
        stream = Mention.create_id(command.network, command.overheard.id, tenant)
        if await self.log.load(Mention, stream) is not None:
            return False
        desk = Desk(self.log, tenant, ACTOR, correlation_id=stream.hex, follows=False)
        try:
            await desk.create(command, lambda _: NO_ANSWER)
        except IntegrityError:
            return False  # another process has heard it at the same moment
        return True


def says(text: str, word: str) -> bool:
    """Whether `word` stands in `text` on its own, in any letter case; # or @ may precede it."""
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text, re.IGNORECASE) is not None


def beginning(tenant: str, network: Network, since: datetime, *, anew: bool = False) -> Job:
    """Begin to listen."""
    return Job(
        "social.listen",
        {
            "tenant": tenant,
            "network": network.value,
            "since": since.isoformat(),
            "anew": int(anew),
        },
        reminder=None if anew else f"listen:{tenant}:{network}",
    )


def _begun(known: Listening, provider: str, now: datetime) -> Listening:
    """From where another provider is to tell. After a real account the sandbox begins at
    present: it must not invent a past that was real."""
    back = SANDBOX_LOOK_BACK if provider == SANDBOX else LOOK_BACK
    since = max(known.since, now - back)
    if known.provider is not None:
        since = now if provider == SANDBOX else now - LOOK_BACK
    return replace(
        known, provider=provider, since=since, cursor=None, heard_at=max(known.heard_at, since)
    )


def _soonest(known: Listening) -> timedelta:
    return SOONEST_IN_SANDBOX if known.provider == SANDBOX else SOONEST[known.network]


def _pause(known: Listening, now: datetime) -> timedelta:
    return min(max((now - known.heard_at) / QUIET_PART, _soonest(known)), LATEST)


def _after_failure(known: Listening) -> timedelta:
    doubled: int = 2 ** min(known.failures, 12)
    return min(_soonest(known) * doubled, LATEST)


def _fit(heard: Overheard, now: datetime) -> Overheard:
    """Networks may send anything: what cannot be kept is cut, and nothing is from the future."""
    url = heard.url if heard.url and len(heard.url) <= LONGEST_URL else None
    return replace(
        heard,
        text=_clean(heard.text)[:LONGEST_TEXT],
        author=_clean(heard.author)[:LONGEST_NAME],
        handle=_clean(heard.handle).removeprefix("@")[:LONGEST_NAME],
        url=url,
        language=heard.language if _CODE.fullmatch(heard.language or "") else None,
        at=min(heard.at, now),
        followers=max(heard.followers, 0),
        likes=max(heard.likes, 0),
        shares=max(heard.shares, 0),
        comments=max(heard.comments, 0),
    )


def _clean(text: str) -> str:
    return text.replace("\0", "")
