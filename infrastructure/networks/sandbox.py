"""The sandbox network: stands in for every network without credentials, and says so.

It keeps what is published on it in a store of its own, once per key, and lets engagement grow:
the same post always gets the same figures at the same age, so that dashboards show computed
figures on a fresh machine and tests can foretell them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from math import exp, log1p
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from application.social.networks import (
    Heard,
    MentionReply,
    OutcomeUnknown,
    Overheard,
    Publication,
    Receipt,
    SocialNetwork,
    Watch,
)
from application.social.sentiment import sentiment
from domain.social.engagement import Comment, Figures
from domain.social.networks import Network
from domain.social.trends import Rising
from infrastructure.networks.sandbox_mentions import overheard
from infrastructure.networks.sandbox_trends import listed

HALF_LIFE = {
    Network.TWITTER: timedelta(hours=2),
    Network.FACEBOOK: timedelta(hours=5),
    Network.INSTAGRAM: timedelta(hours=20),
    Network.LINKEDIN: timedelta(hours=24),
    Network.TIKTOK: timedelta(hours=8),
    Network.PINTEREST: timedelta(days=60),
}
"""Time in which a post gets half of all the attention it will ever get."""

PEOPLE = ("Amira", "Bo", "Chiara", "Dev", "Ekene", "Freja", "Goran", "Hana", "Ines", "Jonas")
REMARKS = (
    "Love this, can't wait!",
    "Where can I get one?",
    "This is great news, congratulations.",
    "Looks good.",
    "Not for me, sorry.",
    "Really disappointed by the delay last time.",
    "When does it start?",
    "Beautiful work, as always!",
    "Is this available in my country?",
    "The last one broke after a week. Terrible.",
)


@dataclass(frozen=True)
class Sandbox:
    """One network of the sandbox; implements `application.social.networks.SocialNetwork`."""

    network: Network
    pool: AsyncConnectionPool[Any]
    provider: str = "sandbox"

    async def publish(self, publication: Publication) -> Receipt:
        post_id = sandbox_id(self.network, publication.key)
        await self._execute(
            "INSERT INTO sandbox.posts (tenant, network, key, network_post_id, text, media_urls)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            publication.tenant,
            self.network,
            publication.key,
            post_id,
            publication.text,
            list(publication.media_urls),
        )
        receipt = await self.find(publication)
        assert receipt is not None
        return receipt

    async def find(self, publication: Publication) -> Receipt | None:
        row = await self._execute(
            "SELECT network_post_id, published_at FROM sandbox.posts"
            " WHERE tenant = %s AND network = %s AND key = %s",
            publication.tenant,
            self.network,
            publication.key,
        )
        if row is None:
            return None
        post_id, at = row
        return Receipt(post_id, sandbox_url(self.network, post_id), at)

    async def reply(self, reply: MentionReply) -> Receipt:
        reply_id = sandbox_id(self.network, reply.key)
        await self._execute(
            "INSERT INTO sandbox.replies (tenant, network, key, network_reply_id, in_reply_to)"
            " VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            reply.tenant,
            self.network,
            reply.key,
            reply_id,
            reply.network_mention_id,
        )
        receipt = await self.find_reply(reply)
        assert receipt is not None
        return receipt

    async def find_reply(self, reply: MentionReply) -> Receipt | None:
        row = await self._execute(
            "SELECT network_reply_id, replied_at FROM sandbox.replies"
            " WHERE tenant = %s AND network = %s AND key = %s",
            reply.tenant,
            self.network,
            reply.key,
        )
        if row is None:
            return None
        reply_id, at = row
        return Receipt(reply_id, sandbox_url(self.network, reply_id), at)

    async def engagement(
        self, publication: Publication, network_post_id: str
    ) -> tuple[Figures, Sequence[Comment]]:
        receipt = await self.find(publication)
        if receipt is None:
            raise OutcomeUnknown("The sandbox does not know this post.")
        return grown(self.network, publication.text, receipt, datetime.now(UTC))

    async def mentions(self, watch: Watch) -> Heard:
        return overheard(watch, datetime.now(UTC))

    async def subscribe(self) -> bool:
        return False

    async def mention(self, mention_id: str) -> Overheard | None:
        return None

    async def rising(self, place: str) -> Sequence[Rising] | None:
        return listed(self.network, place, datetime.now(UTC))

    async def _execute(self, query: str, *values: Any) -> Any:
        try:
            async with self.pool.connection() as connection:
                cursor = await connection.execute(query, values)
                return await cursor.fetchone() if cursor.description else None
        except psycopg.OperationalError as error:
            raise OutcomeUnknown(f"The sandbox did not answer ({type(error).__name__}).") from error


@dataclass(frozen=True)
class SandboxNetworks:
    """Every network in the sandbox."""

    pool: AsyncConnectionPool[Any]

    async def of(self, tenant: str, network: Network) -> SocialNetwork:
        return Sandbox(network, self.pool)


def sandbox_id(network: Network, key: str) -> str:
    """The sandbox's own id of what is published under a key."""
    return sha256(f"{network}\0{key}".encode()).hexdigest()[:16]


def sandbox_url(network: Network, post_id: str) -> str:
    """Where it would be seen; `.invalid` never resolves (RFC 2606)."""
    return f"https://{network}.sandbox.invalid/{post_id}"


def grown(
    network: Network, text: str, receipt: Receipt, at: datetime
) -> tuple[Figures, list[Comment]]:
    """Engagement of a post at an instant: a share of its final figures that saturates with age.

    The share is 1 - 2 ** (-age / half-life). The final figures come from a hash of the post's
    id, and rise with a few hashtags and with a kind tone.
    """
    age = max((at - receipt.at).total_seconds(), 0.0)
    share = 1.0 - exp(-0.6931471805599453 * age / HALF_LIFE[network].total_seconds())
    dice = _Dice(receipt.network_post_id)
    appeal = 1.0 + 0.2 * log1p(min(text.count("#"), 5)) + 0.3 * sentiment(text)
    impressions = int(share * appeal * (400 + dice.roll(9600)))
    reach = int(impressions * (0.55 + dice.roll(30) / 100))
    views = int(impressions * (0.4 + dice.roll(40) / 100))
    likes = int(views * (0.02 + dice.roll(80) / 1000))
    shares = int(likes * (0.05 + dice.roll(20) / 100))
    expected = 1 + dice.roll(len(REMARKS) - 1)
    comments = []
    for n in range(expected):
        # The n-th comment arrives when the share of all attention has passed its threshold.
        author, remark = PEOPLE[dice.roll(len(PEOPLE))], REMARKS[dice.roll(len(REMARKS))]
        threshold = (n + 1) / (expected + 1)
        if share >= threshold:
            seconds = -HALF_LIFE[network].total_seconds() * _log2(1.0 - threshold)
            written = receipt.at + timedelta(seconds=seconds)
            comments.append(
                Comment(
                    f"{receipt.network_post_id}-{n}", author, remark, written, sentiment(remark)
                )
            )
    figures = Figures(impressions, reach, views, likes, shares, len(comments))
    return figures, comments


def _log2(x: float) -> float:
    return log1p(x - 1.0) / 0.6931471805599453


class _Dice:
    """Numbers that only depend on a name."""

    def __init__(self, name: str) -> None:
        self.name, self.thrown = name, 0

    def roll(self, sides: int) -> int:
        self.thrown += 1
        digest = sha256(f"{self.name}:{self.thrown}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % sides
