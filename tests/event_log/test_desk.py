"""What the desk does around a decision."""

import asyncio
import threading
from dataclasses import dataclass

from tests.event_log.house import Count, Open, desk, event_log, opened
from tests.event_log.rooms import Counter


@dataclass
class OpenMany:
    """Takes until it is let go on, as hundreds of posts take their time."""

    go_on: threading.Event

    def handle(self):
        assert self.go_on.wait(5), "the event loop stood still meanwhile"
        return [Counter(f"visits {n}") for n in range(3)]


def told(counters):
    return Count(id=str(counters[0].id), count=len(counters))


def test_while_many_are_decided_on_others_are_answered(database_url):
    async def go():
        async with event_log(database_url) as log:
            go_on = threading.Event()
            many = asyncio.create_task(desk(log).create_all(OpenMany(go_on), told))
            other = await opened(log)
            go_on.set()
            answer = await many
            counters = [await log.load(Counter, id) for id in (other, answer.id)]
            assert [counter.name for counter in counters] == [Open.name, "visits 0"]
            assert [counter.tenant for counter in counters] == ["demo", "demo"]

    asyncio.run(go())
