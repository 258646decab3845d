"""Which addresses may be called, however they are written."""

import asyncio
import ipaddress
import re
from ipaddress import IPv4Address, IPv6Address, ip_address

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infrastructure.addresses import address_class, parse_networks
from infrastructure.egress import EgressGuard, EgressRefused
from tests.infrastructure.egress_rooms import (
    CORPUS,
    LOOPBACK,
    PUBLIC,
    REFUSED,
    answering,
    refusal,
)


def test_the_corpus_is_large_enough() -> None:
    assert len(REFUSED) >= 120
    assert len({url for url, _ in REFUSED}) == len(REFUSED)
    assert len(CORPUS["accepted"]) >= 25


@pytest.mark.parametrize(("url", "because"), REFUSED, ids=lambda value: ascii(value)[:60])
def test_refused_with_the_reason(url: str, because: str) -> None:
    assert because in refusal(EgressGuard(), url)


@pytest.mark.parametrize("url", CORPUS["accepted"], ids=lambda url: ascii(url)[:60])
def test_accepted_and_stable(url: str) -> None:
    checked = EgressGuard().check_url(url)
    assert EgressGuard().check_url(str(checked)) == checked


def test_a_url_has_a_greatest_length() -> None:
    start = "https://example.com/"
    assert EgressGuard().check_url(start + "a" * (2048 - len(start)))
    assert "longer than 2048" in refusal(EgressGuard(), start + "a" * (2049 - len(start)))


def test_the_reason_shows_nothing_of_the_url() -> None:
    reason = refusal(EgressGuard(), "https://user:hunter2@10.1.2.3/path-secret?token=t0ken")
    assert not any(part in reason for part in ("hunter2", "10.1.2.3", "path-secret", "t0ken"))


def test_two_readings_of_one_url_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the library that connects ever read another host than the one that was checked."""
    other = httpx.URL("http://127.0.0.1/")
    monkeypatch.setattr("infrastructure.egress.httpx.URL", lambda _: other)
    assert "more than one way" in refusal(EgressGuard(), "http://example.com/")


@given(st.text(max_size=80) | st.from_regex(r"https?://[^\s]{1,60}", fullmatch=True))
@example("http://[::1%0]/")
@example("http://\ud800/")
@example("http://xn--zz/")
def test_any_text_is_refused_or_a_public_target(text: str) -> None:
    try:
        checked = EgressGuard().check_url(text)
    except EgressRefused:
        return
    host = checked.raw_host.decode("ascii")
    try:
        address = ip_address(host)
    except ValueError:
        assert "." in host
    else:
        assert address_class(address) is None


# Written down a second time, independently of the table in the code.
NOT_PUBLIC_IPV4 = re.findall(
    r"\S+",
    """
    0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
    192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24
    224.0.0.0/4 240.0.0.0/4 168.63.129.16/32
    """,
)


@st.composite
def not_public(draw: st.DrawFn) -> IPv4Address:
    network = ipaddress.IPv4Network(draw(st.sampled_from(NOT_PUBLIC_IPV4)))
    return network[draw(st.integers(0, network.num_addresses - 1))]


def number(value: int, base: str) -> str:
    return {"decimal": f"{value}", "octal": f"0{value:o}", "hex": f"{value:#x}"}[base]


@st.composite
def ipv4_notation(draw: st.DrawFn, address: IPv4Address) -> str:
    """One of the forms that inet_aton reads: one to four parts, each in any base."""
    count = draw(st.integers(1, 4))
    octets = list(address.packed)
    head, tail = octets[: count - 1], octets[count - 1 :]
    bases = st.sampled_from(["decimal", "octal", "hex"])
    parts = [number(part, draw(bases)) for part in [*head, int.from_bytes(tail, "big")]]
    text = ".".join(parts)
    return text.upper() if draw(st.booleans()) else text


def ipv6_notations(address: IPv4Address) -> list[str]:
    high, low = divmod(int(address), 1 << 16)
    words = f"{high:x}:{low:x}"
    flipped = f"{high ^ 0xFFFF:x}:{low ^ 0xFFFF:x}"
    return [
        f"[::ffff:{address}]",
        f"[::ffff:{words}]",
        f"[0:0:0:0:0:ffff:{words}]",
        f"[::{words}]",
        f"[::ffff:0:{words}]",
        f"[64:ff9b::{words}]",
        f"[64:ff9b:1::{words}]",
        f"[2002:{words}::1]",
        f"[2001:0:{words}::1]",
        f"[2001:0:808:808:0:0:{flipped}]",
        f"[2600:1f18::5efe:{words}]",
    ]


@given(st.data(), not_public(), st.sampled_from(["http", "https"]))
def test_no_notation_of_a_non_public_ipv4_address_passes(
    data: st.DataObject, address: IPv4Address, scheme: str
) -> None:
    guard = EgressGuard()
    notations = [str(address), data.draw(ipv4_notation(address)), *ipv6_notations(address)]
    for host in notations:
        assert refusal(guard, f"{scheme}://{host}/")
        assert refusal(guard, f"{scheme}://{host}:8080/")


@given(not_public())
def test_no_name_may_lead_to_a_non_public_ipv4_address(address: IPv4Address) -> None:
    embedded = [text.strip("[]") for text in ipv6_notations(address)]
    for answer in [str(address), *embedded]:
        guard = EgressGuard(resolver=answering([PUBLIC, answer]))
        with pytest.raises(EgressRefused, match="The host name leads to"):
            asyncio.run(guard.resolve("hooks.example.com", 443))


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_only_global_unicast_ipv6_is_public(address: IPv6Address) -> None:
    outside = address not in ipaddress.IPv6Network("2000::/3")
    assert not (outside and address_class(address) is None)


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_the_rest_of_ipv4_is_public(address: IPv4Address) -> None:
    listed = any(address in ipaddress.IPv4Network(network) for network in NOT_PUBLIC_IPV4)
    assert (address_class(address) is not None) == listed


def test_odd_notations_are_caught_by_the_resolver_too() -> None:
    """The system's resolver reads them as addresses; what it makes of them is checked."""
    guard = EgressGuard()
    for host in ("2130706433", "0x7f.1", "0177.0.0.1", "127.1"):
        with pytest.raises(EgressRefused, match="a loopback address"):
            asyncio.run(guard.resolve(host, 80))


def test_networks_are_read() -> None:
    assert parse_networks("") == parse_networks("  ") == ()
    assert list(map(str, parse_networks("10.0.0.0/8, fd00::/8 ,192.168.7.9"))) == [
        "10.0.0.0/8",
        "fd00::/8",
        "192.168.7.9/32",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("10.0.0.0/8,office", "ALLOW_PRIVATE_NETWORKS: 'office' is not a network"),
        ("10.0.0.0/33", "ALLOW_PRIVATE_NETWORKS: '10.0.0.0/33' is not a network"),
        ("10.0.0.0/8,,fd00::/8", "ALLOW_PRIVATE_NETWORKS: '' is not a network"),
        ("fe80::1%eth0/64", "ALLOW_PRIVATE_NETWORKS: 'fe80::1%eth0/64' is not a network"),
        ("10.1.2.3/8", "'10.1.2.3/8' has bits set beyond its prefix; the network is 10.0.0.0/8"),
    ],
)
def test_a_wrong_network_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_networks(text)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_only_what_is_named_is_opened() -> None:
    guard = EgressGuard(parse_networks("10.1.0.0/16,fd00:1::/32"))
    assert guard.check_url("http://10.1.2.3:5432/")
    assert guard.check_url("http://[fd00:1::7]:6379/")
    assert "private" in refusal(guard, "http://10.2.0.1/")
    assert "private" in refusal(guard, "http://[fd00:2::7]/")
    assert "loopback" in refusal(guard, "http://127.0.0.1/")
    assert "metadata" in refusal(guard, "http://169.254.169.254/")
    assert "Port 5432" in refusal(guard, "http://8.8.8.8:5432/")
    assert "four decimal numbers" in refusal(guard, "http://10.1.515/")


def test_names_of_private_networks_pass_when_any_is_open_and_known_ones_only_with_theirs() -> None:
    guard = EgressGuard(parse_networks("10.0.0.0/8"))
    assert guard.check_url("http://billing:9000/")
    assert guard.check_url("http://billing.internal:5432/")
    assert "loopback" in refusal(guard, "http://localhost/")
    assert "loopback" in refusal(guard, "http://app.localhost/")
    assert "metadata" in refusal(guard, "http://metadata.google.internal/")
    assert EgressGuard(LOOPBACK).check_url("http://localhost:8000/")
    assert EgressGuard(parse_networks("::1")).check_url("http://app.localhost:8000/")


def test_an_address_that_carries_another_needs_both_open() -> None:
    nat64 = EgressGuard(parse_networks("64:ff9b::/96"))
    assert nat64.check_url("http://[64:ff9b::808:808]/")
    assert "private" in refusal(nat64, "http://[64:ff9b::10.0.0.1]/")
    everything_ipv6 = EgressGuard(parse_networks("::/0"))
    assert "metadata" in refusal(everything_ipv6, "http://[::ffff:169.254.169.254]/")
    assert "loopback" in refusal(everything_ipv6, "http://[2002:7f00:1::]/")
    both = EgressGuard(parse_networks("64:ff9b::/96,10.0.0.0/8"))
    assert both.check_url("http://[64:ff9b::10.0.0.1]/")


def test_a_private_name_may_use_any_port_but_not_one_that_leads_out() -> None:
    networks = parse_networks("10.0.0.0/8")
    inside = EgressGuard(networks, resolver=answering(["10.0.0.5"]))
    outside = EgressGuard(networks, resolver=answering([PUBLIC]))
    assert inside.check_url("http://db.example.com:5432/")
    assert asyncio.run(inside.resolve("db.example.com", 5432)) == [IPv4Address("10.0.0.5")]
    with pytest.raises(EgressRefused, match="Port 5432"):
        asyncio.run(outside.resolve("db.example.com", 5432))


def test_ports_can_be_named() -> None:
    guard = EgressGuard(ports=frozenset({443}))
    assert guard.check_url("https://example.com/")
    assert "Port 80 " in refusal(guard, "http://example.com/")
    assert "Port 8443 " in refusal(guard, "https://example.com:8443/")


def test_plain_http_can_be_kept_to_private_networks() -> None:
    guard = EgressGuard(parse_networks("10.0.0.0/8"), require_https=True)
    assert guard.check_url("https://example.com/")
    assert guard.check_url("http://10.0.0.1/")
    assert guard.check_url("http://billing/")
    for url in ("http://example.com/", "http://8.8.8.8/"):
        assert "https://" in refusal(guard, url)
