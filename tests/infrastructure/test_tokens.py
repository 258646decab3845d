"""Access tokens: what is issued is understood, and everything else is refused."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.identity import Caller, Role
from infrastructure.tokens import LONGEST_TOKEN, TokenRefused, Tokens

SECRET = "a secret of this test and no other"
NOW = 1_800_000_000
PUBLIC_KEY = """-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
"""
CLAIMS = {
    "sub": "ada",
    "email": "ada@example.org",
    "role": "developer",
    "tenant": "demo",
    "subscription": "pro",
    "iat": NOW,
    "exp": NOW + 3600,
    "iss": "tidings",
    "jti": "0b6e5d5e",
}


class Clock:
    def __init__(self) -> None:
        self.now: float = NOW

    def __call__(self) -> float:
        return self.now


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(
    claims: object,
    header: object = None,
    *,
    secret: str = SECRET,
    digest: Callable[..., Any] = hashlib.sha256,
) -> str:
    """A token by the letter of RFC 7515, made without the library under test."""
    header = {"alg": "HS256", "typ": "JWT"} if header is None else header
    body = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{body}.{b64(hmac.new(secret.encode(), body.encode(), digest).digest())}"


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=="))


def tokens(**options: Any) -> Tokens:
    return Tokens(SECRET, **{"clock": Clock(), **options})


def reason(token: str, verifier: Tokens | None = None) -> str:
    with pytest.raises(TokenRefused) as refused:
        (verifier or tokens()).verify(token)
    assert str(refused.value) == refused.value.reason
    return refused.value.reason


def test_an_issued_token_names_its_caller():
    ours = tokens()
    token = ours.issue(
        user="ada", role=Role.ADMIN, tenant="demo", email="ada@example.org", subscription="pro"
    )
    caller = Caller("demo", "ada", Role.ADMIN, "ada@example.org", "pro")
    assert ours.verify(token) == caller
    assert ours.verify(token) == caller
    assert tokens().verify(token) == caller


def test_an_issued_token_carries_every_claim():
    ours = tokens()
    issued = [ours.issue(user="ada", role=Role.READ_ONLY, tenant="demo", ttl=60) for _ in "ab"]
    first, second = map(claims_of, issued)
    assert set(first) == set(CLAIMS)
    assert (first["iat"], first["exp"], first["iss"]) == (NOW, NOW + 60, "tidings")
    assert (first["sub"], first["role"], first["tenant"]) == ("ada", "read_only", "demo")
    assert first["jti"] != second["jti"]


def test_a_token_made_elsewhere_with_the_secret_is_understood():
    assert tokens().verify(signed(CLAIMS)) == Caller(
        "demo", "ada", Role.DEVELOPER, "ada@example.org", "pro"
    )
    few = {name: CLAIMS[name] for name in ("sub", "role", "tenant", "exp", "iss")}
    assert tokens().verify(signed(few)) == Caller("demo", "ada", Role.DEVELOPER)


@pytest.mark.parametrize("role", Role)
def test_every_role_travels(role: Role):
    ours = tokens()
    assert ours.verify(ours.issue(user="ada", role=role, tenant="demo")).role is role


@pytest.mark.parametrize("name", ["sub", "role", "tenant", "exp", "iss"])
def test_a_missing_claim_is_named(name: str):
    rest = {key: value for key, value in CLAIMS.items() if key != name}
    assert reason(signed(rest)) == f"missing claim: {name}"
    assert reason(signed({**rest, name: None})) == f"missing claim: {name}"


@pytest.mark.parametrize(
    ("claim", "value", "expected"),
    [
        ("role", "root", "unknown role"),
        ("role", "ADMIN", "unknown role"),
        ("role", ["admin"], "invalid claim: role"),
        ("role", "", "invalid claim: role"),
        ("iss", "somebody-else", "wrong issuer"),
        ("iss", ["tidings"], "wrong issuer"),
        ("sub", "", "invalid claim: sub"),
        ("sub", 7, "invalid claim: sub"),
        ("sub", "a" * 201, "invalid claim: user must have 1 to 200 characters"),
        ("sub", "half \ud800", "invalid claim: user holds a character that no database can keep"),
        ("sub", "nul \0", "invalid claim: user holds a character that no database can keep"),
        ("email", 7, "invalid claim: email"),
        ("email", [], "invalid claim: email"),
        ("subscription", 0, "invalid claim: subscription"),
        ("exp", str(NOW + 60), "invalid claim: exp"),
        ("exp", True, "invalid claim: exp"),
        ("exp", float("nan"), "invalid claim: exp"),
        ("exp", float("inf"), "invalid claim: exp"),
        ("iat", "today", "invalid claim: iat"),
        ("nbf", NOW + 60, "invalid claim: nbf"),
    ],
)
def test_a_claim_that_cannot_be_is_refused(claim: str, value: object, expected: str):
    assert reason(signed({**CLAIMS, claim: value})) == expected


@pytest.mark.parametrize(
    "tenant", ["", "Demo", "-demo", "demo\n", "a b", "a/b", "démo", "a" * 64, "*", 7, ["demo"]]
)
def test_a_tenant_that_is_no_slug_is_refused(tenant: object):
    assert reason(signed({**CLAIMS, "tenant": tenant})).startswith("invalid claim: tenant")


@pytest.mark.parametrize("tenant", ["d", "0", "demo-2_b", "a" * 63])
def test_a_slug_is_a_tenant(tenant: str):
    assert tokens().verify(signed({**CLAIMS, "tenant": tenant})).tenant == tenant


def test_clocks_may_differ_by_the_leeway():
    late = {**CLAIMS, "iat": NOW - 3600, "exp": NOW - 29}
    early = {**CLAIMS, "iat": NOW + 30, "nbf": NOW + 30}
    assert tokens().verify(signed(late)).user == "ada"
    assert tokens().verify(signed(early)).user == "ada"
    assert reason(signed({**late, "exp": NOW - 30})) == "expired"
    assert reason(signed({**early, "nbf": NOW + 31})) == "invalid claim: nbf"
    assert reason(signed({**early, "iat": NOW + 31})) == "invalid claim: iat"
    assert reason(signed(late), tokens(leeway=0)) == "expired"


@pytest.mark.parametrize("elapsed", [0, 59, 59.9, 60, 60.1, 61, 3600])
def test_a_known_token_expires_when_an_unknown_one_does(elapsed: float):
    clock = Clock()
    knows, fresh = (tokens(clock=clock, leeway=20) for _ in "ab")
    token = knows.issue(user="ada", role=Role.ADMIN, tenant="demo", ttl=40)
    knows.verify(token)
    clock.now += elapsed
    if elapsed < 60:
        assert knows.verify(token) == fresh.verify(token)
    else:
        assert reason(token, knows) == reason(token, knows) == reason(token, fresh) == "expired"


def test_no_more_tokens_are_remembered_than_allowed():
    ours = tokens(remembered=2)
    issued = [ours.issue(user=name, role=Role.ADMIN, tenant="demo") for name in "abc"]
    for token in issued:
        ours.verify(token)
    assert list(ours._verified) == issued[1:]
    assert [ours.verify(token).user for token in issued] == ["a", "b", "c"]
    assert len(ours._verified) == 2


def test_refused_tokens_are_not_remembered():
    ours = tokens()
    reason(signed(CLAIMS, secret="another secret, of the same length"), ours)
    assert not ours._verified


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (signed(CLAIMS, {"alg": "none"}), "wrong algorithm"),
        (signed(CLAIMS, {"alg": "none"}).rsplit(".", 1)[0] + ".", "wrong algorithm"),
        (signed(CLAIMS, {"alg": "None"}), "wrong algorithm"),
        (signed(CLAIMS, {"alg": "HS512"}, digest=hashlib.sha512), "wrong algorithm"),
        (signed(CLAIMS, {"alg": "RS256"}), "wrong algorithm"),
        (signed(CLAIMS, {"alg": "ES256"}), "wrong algorithm"),
        (signed(CLAIMS, {"alg": "XX"}), "wrong algorithm"),
        (signed(CLAIMS, {"alg": ["HS256"]}), "malformed"),
        (signed(CLAIMS, {"typ": "JWT"}), "malformed"),
        (signed(CLAIMS, {"alg": "HS256", "crit": ["exp"]}), "malformed"),
        (signed(CLAIMS, {"alg": "HS256", "b64": False, "crit": ["b64"]}), "malformed"),
        (signed(CLAIMS, "alg"), "malformed"),
        (signed(CLAIMS, digest=hashlib.sha512), "bad signature"),
        (signed(CLAIMS, secret="another secret, of the same length"), "bad signature"),
        (signed(CLAIMS)[:-1], "bad signature"),
        (signed(CLAIMS).rsplit(".", 1)[0] + ".", "bad signature"),
        (signed(CLAIMS) + "=", "bad signature"),
        (signed(CLAIMS) + ".e30", "malformed"),
        (signed(CLAIMS).rsplit(".", 1)[0], "malformed"),
        (signed([CLAIMS]), "malformed"),
        (signed("claims"), "malformed"),
        (signed({**CLAIMS, "sub": "a" * LONGEST_TOKEN}), "malformed"),
        ("", "malformed"),
        ("..", "malformed"),
        ("Bearer", "malformed"),
        ("\ud800.a.b", "malformed"),
    ],
)
def test_a_forged_or_broken_token_is_refused(token: str, expected: str):
    assert reason(token) == expected


def test_a_changed_payload_is_refused():
    ours = tokens()
    token = ours.issue(user="ada", role=Role.READ_ONLY, tenant="demo")
    ours.verify(token)
    header, _, signature = token.split(".")
    promoted = b64(json.dumps({**claims_of(token), "role": "super_admin"}).encode())
    assert reason(f"{header}.{promoted}.{signature}", ours) == "bad signature"


def test_a_token_of_another_algorithm_of_ours_is_refused():
    long_secret = SECRET * 2
    token = Tokens(long_secret, algorithm="HS512").issue(user="ada", role=Role.ADMIN, tenant="demo")
    assert Tokens(long_secret, algorithm="HS512").verify(token).user == "ada"
    assert reason(token, Tokens(long_secret)) == "wrong algorithm"


@given(st.text(max_size=60) | st.lists(st.binary(max_size=40).map(b64), max_size=5).map(".".join))
def test_whatever_is_sent_is_refused_and_never_fails(token: str):
    assert reason(token) in {"malformed", "wrong algorithm", "bad signature"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["alg", "typ", "crit", "kid", "jwk", "b64", "x"]), JSON))
def test_no_header_makes_verification_fail_otherwise_than_by_refusal(header: dict[str, Any]):
    assert reason(signed(CLAIMS, header)) in {"malformed", "wrong algorithm", "bad signature"}


@given(st.dictionaries(st.sampled_from([*CLAIMS, "nbf", "aud"]), JSON, min_size=1))
def test_no_claim_makes_verification_fail_otherwise_than_by_refusal(claims: dict[str, Any]):
    try:
        caller = tokens().verify(signed({**CLAIMS, **claims}))
    except TokenRefused as refused:
        assert "\n" not in refused.reason
    else:
        assert isinstance(caller.role, Role)
        assert caller.user.encode()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"user": ""}, "user"),
        ({"user": "a" * 201}, "user"),
        ({"tenant": "Not A Slug"}, "tenant"),
        ({"role": "root"}, "Role"),
        ({"ttl": 0}, "ttl"),
        ({"email": "half \ud800"}, "email"),
    ],
)
def test_no_token_is_issued_to_nobody(arguments: dict[str, Any], named: str):
    with pytest.raises(ValueError, match=named):
        tokens().issue(**{"user": "ada", "role": Role.ADMIN, "tenant": "demo", **arguments})


@pytest.mark.parametrize(
    ("secret", "algorithm"),
    [("", "HS256"), ("a" * 31, "HS256"), ("a" * 47, "HS384"), ("a" * 63, "HS512")],
)
def test_a_short_secret_is_refused_by_name(secret: str, algorithm: str):
    with pytest.raises(ValueError, match=r"^JWT_SECRET_KEY must have at least \d\d bytes$"):
        Tokens(secret, algorithm=algorithm)


def test_a_secret_is_measured_in_bytes():
    Tokens("ä" * 16)


@pytest.mark.parametrize("secret", [PUBLIC_KEY, "\udcff" * 32])
def test_a_secret_that_is_none_is_refused_by_name(secret: str):
    with pytest.raises(ValueError, match=r"^JWT_SECRET_KEY must be [^\n]+$"):
        Tokens(secret)


@pytest.mark.parametrize("algorithm", ["none", "RS256", "hs256", ""])
def test_only_algorithms_with_a_secret_can_be_chosen(algorithm: str):
    with pytest.raises(ValueError, match="token algorithm must be one of HS256"):
        Tokens(SECRET, algorithm=algorithm)


def test_a_caller_in_a_log_line_names_no_person():
    shown = repr(Caller("demo", "ada@example.org", Role.ADMIN, "ada@example.org"))
    assert "ada" not in shown
    assert "demo" in shown


@pytest.mark.parametrize("claim", ["sub", "email", "tenant", "role", "subscription"])
def test_a_refusal_never_repeats_what_the_token_says(claim: str):
    for value in ("Ada Lovelace \0" + "a" * 201, ["Ada Lovelace"]):
        refused = reason(signed({**CLAIMS, claim: value}))
        assert "Ada" not in refused
