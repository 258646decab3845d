"""The committed description of the API is the one that is served."""

from pathlib import Path

import orjson

from api.app import build

COMMITTED = Path(__file__).parents[1] / "openapi.json"


def test_the_committed_description_is_the_one_that_is_served():
    committed = orjson.loads(COMMITTED.read_bytes())
    served = orjson.loads(orjson.dumps(build(None).openapi()))
    for part in ("paths", "webhooks"):
        gone = set(committed[part]) - set(served[part])
        assert not gone, f"{gone} are gone: a breaking change needs a decision on record"
    assert committed == served, "Write it anew with `make openapi`, and read the difference."
