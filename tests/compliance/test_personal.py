import asyncio
import dataclasses
from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID, uuid4

import orjson
import psycopg
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from api.cli import reading
from application.kernel import NO_ANSWER
from domain.kernel import Aggregate
from domain.personal import ERASED, Personal, personal_fields, remembers_persons
from domain.social.engagement import Comment, Engagement
from domain.social.networks import Network
from infrastructure.event_log.codec import StoredEvent, UnreadableEvent, decode, decoded, encode
from infrastructure.personal_data import keyring
from infrastructure.personal_data.keyring import Keyring, KeyUnusable
from infrastructure.personal_data.opening import opened_sync
from infrastructure.personal_data.persons import Persons, lookup_hash
from infrastructure.personal_data.rotation import Rotation, check_keys
from infrastructure.personal_data.sealing import SEALED, Altered, PersonKey, Place, SealedState
from infrastructure.settings import UnusableSetting, load
from tests.commands import tidings
from tests.compliance.people import SECRET, Content, Letter, places_of, post
from tests.rooms import NOW, Account, somebody

words = st.text(st.characters(codec="utf-8"), max_size=30)
subjects = words.filter(bool)


def a_key():
    return PersonKey(uuid4(), AESGCM(AESGCM.generate_key(256)))


def written(sender="ann", recipient="bob", content=None):
    with somebody():
        letter = Letter(sender, recipient, content or Content("a title", "a text"))
    (event,) = letter.collect_events()
    return event


def sealed(event, keys):
    place = Place(event.TOPIC, event.originator_id, event.originator_version, event.tenant)
    return SealedState(place, encode(event, keys))


def read(event, state):
    return decode(event.TOPIC, event.originator_id, event.originator_version, event.tenant, state)


@given(
    sender=subjects,
    recipient=subjects,
    content=st.builds(
        Content, words, words, st.lists(words, max_size=3).map(tuple), st.none() | words
    ),
)
def test_personal_data_survives_any_content_and_goes_with_its_key(sender, recipient, content):
    event = written(sender, recipient, content)
    ann, bob = a_key(), a_key()
    keys = {("demo", sender): ann, ("demo", recipient): bob}
    by_id = {keys["demo", each].id: keys["demo", each] for each in (sender, recipient)}
    back = read(event, sealed(event, keys).opened(by_id))
    assert back == event
    assert back.persons["sender"] == keys["demo", sender].id
    left = read(event, sealed(event, keys).opened({}))
    assert (left.sender, left.recipient) == (ERASED, ERASED)
    assert left.content == Content(content.title, ERASED)
    assert left.persons == back.persons


def test_each_person_goes_alone():
    event = written()
    ann, bob = a_key(), a_key()
    keys = {("demo", "ann"): ann, ("demo", "bob"): bob}
    left = read(event, sealed(event, keys).opened({bob.id: bob}))
    assert (left.sender, left.recipient, left.content.text) == (ERASED, "bob", ERASED)


def test_what_is_stored_shows_nothing_and_is_never_the_same():
    event = written("ann@example.com", "bob@example.com")
    keys = {("demo", "ann@example.com"): a_key(), ("demo", "bob@example.com"): a_key()}
    first, second = encode(event, keys), encode(event, keys)
    assert b"ann@" not in first
    assert b"a text" not in first
    assert b"a title" in first
    assert first != second


STORED = (
    b'{"_sealed":[["00000000-0000-0000-0000-00000000000a",["sender","content.text","content.lines"'
    b'],"AAECAwQFBgcICQoL7DiFjj6tbre+6VtS0epkCO0FyR60sGx/T22Mey6eZDU+myolmH97Bx/g"],["00000000-0'
    b'000-0000-0000-00000000000b",["recipient"],"AAECAwQFBgcICQoLZEULB2yCBdva6CoTMMVPkP+KLf/g2f4='
    b'"]],"timestamp":"2030-01-01T12:00:00Z","actor":"ann","correlation_id":"request-1","causatio'
    b'n_id":null,"sender":"[erased]","recipient":"[erased]","content":{"title":"a title","text":"'
    b'[erased]","lines":[],"postscript":null}}'
)
"""A letter of the stream 7 as the first release has stored it; rows are never written anew."""


def test_what_the_first_release_has_stored_is_read_and_written_the_same(monkeypatch):
    event = written(content=Content("a title", "a text", ("1", "2"), None))
    object.__setattr__(event, "originator_id", UUID(int=7))
    ann = PersonKey(UUID(int=10), AESGCM(b"a" * 32))
    bob = PersonKey(UUID(int=11), AESGCM(b"b" * 32))
    monkeypatch.setattr(
        "infrastructure.personal_data.sealing.os.urandom", lambda n: bytes(range(n))
    )
    assert encode(event, {("demo", "ann"): ann, ("demo", "bob"): bob}) == STORED
    place = Place(event.TOPIC, UUID(int=7), 1, "demo")
    assert read(event, SealedState(place, STORED).opened({ann.id: ann, bob.id: bob})) == event


def test_a_changed_row_stops_no_reader_and_shows_nobody_else():
    keys = {
        UUID(int=n): PersonKey(UUID(int=n), AESGCM(k * 32)) for n, k in ((10, b"a"), (11, b"b"))
    }
    place = Place("test.letter.written", UUID(int=7), 1, "demo")
    noticed = 0
    for at in range(len(SEALED), len(STORED)):
        changed = STORED[:at] + bytes([STORED[at] ^ 1]) + STORED[at + 1 :]
        try:
            state = orjson.loads(SealedState(place, changed).opened(keys))
        except (Altered, orjson.JSONDecodeError):
            noticed += 1
        else:
            assert state.get("recipient") in ("bob", ERASED, None) or at > STORED.index(
                b"timestamp"
            )
    assert noticed > STORED.index(b"timestamp") / 2


def test_in_steady_use_nobody_waits_for_keys(database_url, redis_url, tmp_path, monkeypatch):
    monkeypatch.setattr("infrastructure.personal_data.keyring.LEASE", 0.2)

    async def main():
        async with post(database_url, redis_url, tmp_path, projecting=False) as it:
            events, persons = [written()], it.log.persons
            assert persons.at_hand(events) is None
            keys = await persons.keys_of(events)
            for _ in range(60):  # three leases
                assert persons.at_hand(events) == keys
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            assert persons.at_hand(events) is None
            assert await persons.keys_of(events) == keys

    asyncio.run(main())


def test_all_that_wait_for_a_key_are_told_when_there_is_none(database_url, redis_url, tmp_path):
    async def main():
        async with post(database_url, redis_url, tmp_path, projecting=False) as it:
            persons = Persons(it.log.pool, Keyring("another key"))
            await it.log.persons.keys_of([written()])
            asked = [persons.keys_of([written()]) for _ in range(3)]
            for outcome in await asyncio.gather(*asked, return_exceptions=True):
                assert isinstance(outcome, KeyUnusable)
            slow = asyncio.create_task(it.log.persons.keys_of([written("cem")]))
            await asyncio.sleep(0)
            slow.cancel()  # who goes away takes nobody along
            assert len(await it.log.persons.keys_of([written("cem")])) == 2

    asyncio.run(main())


@pytest.mark.parametrize(
    "moved", [{"tenant": "acme"}, {"stream_id": uuid4()}, {"version": 2}, {"topic": "x"}]
)
def test_personal_data_is_bound_to_its_place(moved):
    event = written()
    keys = {("demo", "ann"): a_key(), ("demo", "bob"): a_key()}
    place = Place(event.TOPIC, event.originator_id, 1, "demo")
    state = SealedState(dataclasses.replace(place, **moved), encode(event, keys))
    with pytest.raises(Altered):
        state.opened({key.id: key for key in keys.values()})


def test_personal_data_has_to_be_opened_before_it_is_decoded():
    event = written()
    keys = {("demo", "ann"): a_key(), ("demo", "bob"): a_key()}
    with pytest.raises(UnreadableEvent, match="has not been opened"):
        read(event, encode(event, keys))


def test_nothing_personal_is_stored_without_a_key():
    with pytest.raises(TypeError, match="key is not here"):
        encode(written())
    with pytest.raises(TypeError, match="nobody"):
        encode(written(sender=""), {("demo", "bob"): a_key()})


def test_what_has_no_erased_form_cannot_be_personal():
    class Born(Aggregate.Event):
        TOPIC = "test.born"
        name: str
        at: Annotated[datetime, Personal(of="name")]

    with pytest.raises(TypeError, match=r"at: .* None"):
        personal_fields(Born)

    class Met(Aggregate.Event):
        TOPIC = "test.met"
        comments: list[Comment]

    with pytest.raises(TypeError, match=r"comments: personal data in a collection"):
        personal_fields(Met)


def test_a_comment_is_its_authors():
    with somebody():
        it = Engagement(uuid4())
        it.receive(Network.TWITTER, [Comment("1", "Amira", "Love this!", NOW, 0.5)])
    event = it.collect_events()[-1]
    key = a_key()
    state = sealed(event, {("demo", "twitter:Amira"): key})
    comment = read(event, state.opened({})).comment
    assert (comment.author, comment.text, comment.sentiment) == (ERASED, ERASED, 0.5)


def test_an_impersonal_state_holds_nothing_personal():
    assert remembers_persons(Letter)
    assert not remembers_persons(Engagement)
    with somebody():
        it = Engagement(uuid4())
        it.receive(Network.TWITTER, [Comment("1", "Amira", "Love this!", NOW, 0.5)])
        it.collect_events()
    assert not any(word in repr(vars(it)) for word in ("Amira", "Love"))


def test_the_log_reads_what_it_wrote_and_keeps_it_nowhere(database_url, redis_url, tmp_path):
    async def main():
        async with post(database_url, redis_url, tmp_path, projecting=False) as it:
            id = await it.write("ann@example.com", "bob@example.com", "A quick brown fox")
            for _ in range(3):
                letter = await it.read(id)
                assert (letter.sender, letter.content.text) == (
                    "ann@example.com",
                    "A quick brown fox",
                )
            assert it.log.cached == {}
            (first, _) = await it.log.after(0, 10)
            assert decoded(first).recipient == "bob@example.com"

    asyncio.run(main())
    assert places_of(database_url, "ann@example.com", "brown fox") == []


def test_a_person_has_one_key_whoever_writes_first(database_url, redis_url, tmp_path):
    async def main():
        async with (
            post(database_url, redis_url, tmp_path, projecting=False) as one,
            post(database_url, redis_url, tmp_path, projecting=False) as two,
        ):
            ids = await asyncio.gather(
                *(
                    each.write("ann", f"r{n % 5}", "a text")
                    for n in range(30)
                    for each in (one, two)
                )
            )
            for id in ids:
                assert (await one.read(id)).sender == "ann"

    asyncio.run(main())
    with psycopg.connect(database_url) as admin:
        assert admin.execute("SELECT count(*) FROM vault.keys").fetchone() == (6,)


def test_events_without_personal_data_need_no_keys(database_url, redis_url, tmp_path):
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute("DROP SCHEMA vault CASCADE")

    class Open:
        def handle(self):
            return Account("somebody", NOW.date())

    async def main():
        async with post(database_url, redis_url, tmp_path, projecting=False) as it:
            made = await it.desk().create(Open(), lambda _: NO_ANSWER)
            assert (await it.log.load(Account, made.id)).owner == "somebody"

    asyncio.run(main())


def test_keyed_hashes_tell_tenants_and_kinds_apart():
    key = b"k" * 32
    one = lookup_hash(key, "demo", "email", "ann@example.com")
    assert len(one) == 32
    assert one == lookup_hash(key, "demo", "email", "ann@example.com")
    others = {
        lookup_hash(key, "acme", "email", "ann@example.com"),
        lookup_hash(key, "demo", "phone", "ann@example.com"),
        lookup_hash(b"j" * 32, "demo", "email", "ann@example.com"),
    }
    assert len(others | {one}) == 4


def settings(url, redis_url, place, **environment):
    return load({"JWT_SECRET_KEY": SECRET, **environment}, place, url, redis_url)


def test_the_key_can_be_changed_without_touching_events(
    database_url, redis_url, tmp_path, monkeypatch
):
    monkeypatch.setattr("infrastructure.personal_data.rotation.PIECE", 2)

    async def write():
        async with post(database_url, redis_url, tmp_path, projecting=False) as it:
            ids = [await it.write(f"s{n}", "bob", "a text") for n in range(4)]
            return ids[0], await it.log.persons.hash_of("demo", "email", "x")

    def log():
        with psycopg.connect(database_url) as admin:
            return admin.execute("SELECT * FROM log.events ORDER BY position").fetchall()

    id, hash = asyncio.run(write())
    before = log()
    both = settings(
        database_url, redis_url, tmp_path, ENCRYPTION_KEY="a new key", ENCRYPTION_KEYS=SECRET
    )
    new = settings(database_url, redis_url, tmp_path, ENCRYPTION_KEY="a new key")
    check_keys(both)
    with pytest.raises(UnusableSetting, match="ENCRYPTION_KEY does not open"):
        check_keys(new)
    seen = []
    done = Rotation(both, lambda what, n, total: seen.append((what, n, total))).run()
    assert done["persons"] == 5
    assert ("persons", 4, 5) in seen
    assert Rotation(both).run()["persons"] == 0
    check_keys(new)
    assert log() == before

    async def read():
        async with post(database_url, redis_url, tmp_path, projecting=False) as it:
            keyring.use(["a new key"])
            assert (await it.read(id)).sender == "s0"
            assert await it.log.persons.hash_of("demo", "email", "x") == hash

    asyncio.run(read())


def test_another_key_is_never_taken_for_an_erasure(database_url, redis_url, tmp_path):
    async def main():
        async with post(database_url, redis_url, tmp_path, projecting=False) as it:
            id = await it.write("ann", "bob", "a text")
            keyring.use(["another key"])
            with pytest.raises(keyring.KeyUnusable):
                await it.read(id)

    asyncio.run(main())
    line = tidings(
        *("--data-dir", tmp_path, "replay"),
        DATABASE_URL=database_url, REDIS_URL=redis_url, ENCRYPTION_KEY="another key",
    )  # fmt: skip
    assert (line.returncode, line.stderr.count("\n")) == (1, 1)
    assert "ENCRYPTION_KEY" in line.stderr


def test_personal_data_is_shown_on_request_alone_which_leaves_a_note(
    database_url, redis_url, tmp_path, monkeypatch, capsys
):
    async def main():
        async with post(database_url, redis_url, tmp_path, projecting=False) as it:
            return await it.write("ann@example.com", "bob@example.com", "A quick brown fox")

    id = asyncio.run(main())
    here = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "ENCRYPTION_KEY": SECRET}
    for name, value in here.items():
        monkeypatch.setenv(name, value)
    nothing = dict.fromkeys(["to", "at", "stream", "topic", "tenant"])
    replay = partial(reading.replay, 1, **nothing, format=reading.Format.JSON, data_dir=tmp_path)
    replay(reveal=False)
    hidden = capsys.readouterr().out
    assert "ann@example.com" not in hidden
    assert orjson.loads(hidden.splitlines()[0])["state"]["content"]["text"] == "[personal]"
    reading.state(str(id), version=None, at=None, data_dir=tmp_path)
    assert orjson.loads(capsys.readouterr().out)["sender"] == "[personal]"
    replay(reveal=True)
    shown = capsys.readouterr().out
    assert orjson.loads(shown.splitlines()[0])["state"]["sender"] == "ann@example.com"
    note = orjson.loads(shown.splitlines()[-1])
    assert note["topic"] == "compliance.personal_data.revealed"
    assert (note["tenant"], note["state"]["actor"]) == ("demo", "tidings:operator")


def test_altered_personal_data_makes_its_event_unreadable_and_no_other(
    database_url, redis_url, tmp_path
):
    async def main():
        async with post(database_url, redis_url, tmp_path, projecting=False) as it:
            await it.write("ann", "bob", "a text")
            await it.write("ann", "bob", "a text")

    asyncio.run(main())
    with psycopg.connect(database_url, autocommit=True) as admin:
        rows = [
            StoredEvent(*row)
            for row in admin.execute(
                "SELECT position, stream_id, version, tenant, topic, state, recorded_at"
                " FROM log.events WHERE version = 1 ORDER BY position"
            )
        ]
        moved = rows[0]._replace(state=rows[1].state)
        bad, good = opened_sync(admin, [moved, rows[1]])
    assert decoded(good).sender == "ann"
    with pytest.raises(UnreadableEvent):
        decoded(bad)


def test_a_keyring_of_another_process_asks_again_within_the_lease(monkeypatch):
    ring, key, now = Keyring(SECRET), AESGCM.generate_key(256), 100.0
    monkeypatch.setattr("infrastructure.personal_data.keyring.monotonic", lambda: now)
    id = uuid4()
    row = (id, "demo", ring.vault.key_id, ring.wrap("demo", id, key))
    assert ring.held([id]) == ({}, [id])
    ring.looked([id], [row], began=now)
    assert (list(ring.held([id])[0]), ring.held([id])[1]) == ([id], None)
    now = 101.0
    assert ring.held([id])[1] == []
    ring.looked([], [(id, None, None, None)], began=now)
    assert ring.held([id]) == ({}, None)
    ring.looked([id], [row], began=100.5)  # a slower look, from before
    assert ring.held([id]) == ({}, None)


def test_a_process_that_slept_for_long_forgets_its_keys(monkeypatch):
    ring, now, id = Keyring(SECRET), 1000.0, uuid4()
    monkeypatch.setattr("infrastructure.personal_data.keyring.monotonic", lambda: now)
    row = (id, "demo", ring.vault.key_id, ring.wrap("demo", id, AESGCM.generate_key(256)))
    ring.looked([id], [row], began=now)
    now += 1000
    assert ring.held([id]) == ({}, [id])
