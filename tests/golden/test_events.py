"""Whatever was ever stored can be read, by its name and by its fields."""

import copy
import json

import pytest

from domain.kernel import EVENTS
from tests import golden
from tests.golden import FILE, entry, known, news, problems


def test_nothing_that_was_ever_stored_has_changed():
    found = problems(golden.golden())
    assert not found, "\n".join(found)


def test_every_event_and_version_is_in_the_file():
    missing = [f"{topic}, version {version}" for topic, version in news(golden.golden())]
    assert not missing, (
        "New in the log, for ever, once it is released:\n  "
        + "\n  ".join(missing)
        + "\nIf name and fields are what they should be: python -m tests.golden"
    )


def test_the_file_is_in_the_form_in_which_it_is_written():
    text = FILE.read_text()
    entries = json.loads(text)
    assert text == json.dumps(entries, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda e: e.update({"social.post.once": e["social.post.scheduled"]}), "is gone; retire"),
        (lambda e: e["social.post.scheduled"]["1"]["fields"].update(on="str"), "other fields"),
        (lambda e: e["social.post.scheduled"]["1"]["fields"].update(at="str"), "other fields"),
        (lambda e: e["social.post.scheduled"].update({"2": {}}), "gone back to version 1"),
        (lambda e: e["social.post.scheduled"]["1"]["sample"].pop("at"), "cannot be read any more"),
    ],
)
def test_what_would_lose_events_is_found(change, complaint):
    entries = copy.deepcopy(golden.golden())
    change(entries)
    if "2" in entries["social.post.scheduled"]:
        entries["social.post.scheduled"]["2"] = entries["social.post.scheduled"]["1"]
    assert [each for each in problems(entries) if complaint in each]


def test_new_values_of_an_enum_are_news_and_no_problem():
    entries = copy.deepcopy(golden.golden())
    networks = entries["social.post.drafted"]["2"]["fields"]["networks"]["tuple"][0]
    networks["enum"].remove("twitter")
    assert problems(entries) == []
    assert news(entries) == [*news(golden.golden()), ("social.post.drafted", 2)]
    networks["enum"].append("myspace")
    assert problems(entries)


def test_a_new_event_is_accepted_by_a_command_and_a_changed_one_is_not(tmp_path, monkeypatch):
    entries = {t: v for t, v in golden.golden().items() if t in known()}
    for name in ("news", "changed"):
        file = tmp_path / f"{name}.json"
        if name == "news":
            file.write_text(json.dumps({}))
        else:
            changed = copy.deepcopy(entries)
            changed["social.post.scheduled"]["1"]["fields"]["at"] = "str"
            file.write_text(json.dumps(changed))
        monkeypatch.setattr(golden, "FILE", file)
        if name == "news":
            assert ("social.post.scheduled", 1) in golden.accept()
            assert golden.golden()["social.post.scheduled"] == entries["social.post.scheduled"]
        else:
            with pytest.raises(ValueError, match="other fields"):
                golden.accept()
            assert golden.golden() == changed


def test_every_event_has_an_entry_of_its_own_fields():
    for topic, kind in known().items():
        assert EVENTS[topic] is kind
        assert {"timestamp", "actor", "correlation_id", "causation_id"} <= entry(kind)[
            "fields"
        ].keys()
