"""Rules of today on decisions of the past."""

from datetime import UTC, datetime, timedelta

from application.compliance.dry_run import Past, dry_run
from application.compliance.rules import LIMITED, RULES, SCREENED, Limits, Networks, Screens
from application.social.posts import CreatePost, WithdrawPost
from domain.social.networks import Network, Problem
from domain.social.posts import Post
from tests.kernel import at

THEN = datetime(2030, 1, 1, tzinfo=UTC)


def past(position, event, minutes=0):
    return Past(position, THEN + timedelta(minutes=minutes), event)


def drafted(text="Hello", networks=(Network.TWITTER,), problems=None, actor="ann"):
    with at(THEN, actor=actor):
        post = CreatePost(content="x", platforms=list(networks), ai_optimize=False).handle()
        event = next(e for e in post.collect_events() if isinstance(e, Post.Drafted))
    changes = {"content": text, "texts": dict.fromkeys(networks, text), "problems": problems or {}}
    object.__setattr__(event, "__dict__", {**vars(event), **changes})
    return event


def test_a_screen_tells_what_it_would_refuse_now():
    bad = drafted("Test'; DROP TABLE social_posts; --")
    (difference,) = dry_run(Screens(), [past(1, drafted()), past(2, bad)])
    assert (difference.position, difference.what, difference.then) == (2, "content", "accepted")
    assert difference.now.startswith("refused (sql_injection)")
    assert (difference.tenant, difference.actor) == ("demo", "ann")
    assert "DROP" not in repr(difference)


def test_a_screen_of_another_release_can_be_tried():
    def no_exclamation(text):
        from domain.screens import ScreenRefused

        if "!" in text:
            raise ScreenRefused("markup", "must not shout")
        return text

    rule = Screens({Post.Drafted: {"content": no_exclamation}, Post.Withdrawn: {}})
    history = [past(1, drafted("Hello")), past(2, drafted("Hello!"))]
    assert [each.position for each in dry_run(rule, history)] == [2]


def test_network_rules_are_compared_with_what_was_found_then():
    long = "x" * 300
    found = {Network.TWITTER: (Problem("text_too_long", "300 characters", 300, 280),)}
    history = [
        past(1, drafted(long, problems=found)),
        past(2, drafted(long)),
        past(3, drafted("short", problems=found)),
    ]
    told = [(each.position, each.then, each.now) for each in dry_run(Networks(), history)]
    assert told == [(2, "accepted", "text_too_long"), (3, "text_too_long", "accepted")]


def test_a_lower_limit_refuses_what_is_too_much_within_its_window():
    history = [
        *(past(n, drafted(), minutes=n) for n in range(1, 6)),
        past(6, drafted(actor="bob"), minutes=6),
        past(7, drafted(), minutes=62),
    ]
    rule = Limits({"social.posts.create": (3, 3600)})
    assert [each.position for each in dry_run(rule, history)] == [4, 5]
    assert list(dry_run(Limits({"social.posts.create": (5, 3600)}), history)) == []
    assert list(dry_run(Limits({}), history)) == []


def test_events_of_other_kinds_are_passed_over():
    with at(THEN):
        post = CreatePost(content="x", platforms=["twitter"]).handle()
        WithdrawPost().handle(post)
    history = [past(n, event) for n, event in enumerate(post.collect_events(), 1)]
    assert len(history) > 2
    assert list(dry_run(Screens(), history)) == []


def test_every_rule_names_fields_and_endpoints_that_there_are():
    from api.routes import ROUTERS

    assert set(RULES) == {"screens", "networks"}
    for kind, fields in SCREENED.items():
        assert set(fields) <= set(kind.__dataclass_fields__)
    served = {route.name for router in ROUTERS for route in router.routes}
    assert set(LIMITED.values()) <= served
