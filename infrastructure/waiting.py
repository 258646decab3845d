"""`asyncio.wait_for` of Python 3.12 for Python 3.11.

The older one forgets that its task was cancelled when what it waits for comes in the same moment
(https://github.com/python/cpython/issues/86296): work that was told to stop when the pool handed
it a connection, which waits so, went on for ever and was killed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import Any

_wait_for = asyncio.wait_for


async def wait_for(
    awaitable: Awaitable[Any],
    timeout: float | None,  # noqa: ASYNC109 - the library's own signature
) -> Any:
    """As documented for `asyncio.wait_for`."""
    if timeout is not None and timeout <= 0:
        return await _wait_for(awaitable, timeout)
    async with asyncio.timeout(timeout):
        return await awaitable


def mend() -> None:
    """Have all libraries use it; nothing from Python 3.12 on."""
    if sys.version_info < (3, 12):
        asyncio.wait_for = wait_for  # type: ignore[assignment]
