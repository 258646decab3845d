"""Answers kept in Redis for a while.

What may be kept is decided by the key alone: it holds the tenant, everything that was asked, who
may see it, and a number that changes with every event that would change the answer. So an answer
is dropped by the event, not by a message that could get lost, and the remains go when their time
is up. Without Redis, or with one that was emptied, every question is a miss and nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from hashlib import sha256
from typing import Any, TypeVar

import orjson
import structlog
from pydantic import BaseModel, ValidationError
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger()

M = TypeVar("M", bound=BaseModel)

PATIENCE = 0.1
"""Seconds that a question waits for Redis; asking the database takes less than many of these."""


class Cache:
    """Kept answers of one kind, each for `seconds`."""

    def __init__(self, redis: Redis, name: str, seconds: int) -> None:
        self.redis, self.name, self.seconds = redis, name, seconds

    async def get(
        self,
        tenant: str,
        asked: Mapping[str, Any],
        model: type[M],
        make: Callable[[], Awaitable[M]],
    ) -> M:
        """The kept answer to what was `asked`, or the one that `make` makes, which is then kept."""
        key = self._key(tenant, asked)
        kept = await self._ask(self.redis.get(key))
        if kept is not None:
            try:
                return model.model_validate_json(kept)
            except ValidationError:
                log.warning("cache.unreadable", cache=self.name)
        made = await make()
        await self._ask(self.redis.set(key, made.model_dump_json(), ex=self.seconds))
        return made

    def _key(self, tenant: str, asked: Mapping[str, Any]) -> str:
        digest = sha256(orjson.dumps(dict(asked), option=orjson.OPT_SORT_KEYS)).hexdigest()
        return f"cache:{self.name}:{tenant}:{digest}"

    async def _ask(self, answer: Awaitable[Any]) -> Any:
        try:
            async with asyncio.timeout(PATIENCE):
                return await answer
        except (RedisError, OSError) as error:
            log.warning("cache.unreachable", cache=self.name, error=type(error).__name__)
            return None
