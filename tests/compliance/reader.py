"""A process that reads one letter again and again, and says when it reads otherwise.

`python -m tests.compliance.reader URL ID`: a line of JSON for each change of the sender.
"""

import asyncio
import json
import sys
import time
from uuid import UUID

from infrastructure import database
from infrastructure.event_log.committer import Committer
from infrastructure.event_log.log import EventLog
from infrastructure.personal_data import keyring
from tests.compliance.people import SECRET, Letter


async def main(url: str, id: UUID) -> None:
    keyring.use([SECRET])
    async with database.pool(url, "reader") as pool:
        log, last = EventLog(pool, Committer(url)), None
        while True:
            letter = await log.load(Letter, id)
            assert letter is not None
            if letter.sender != last:
                last = letter.sender
                print(json.dumps({"sender": last, "at": time.time()}), flush=True)
            await asyncio.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], UUID(sys.argv[2])))
