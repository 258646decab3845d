"""Which addresses of callers are taken on, to be called later."""

import asyncio

import pytest

from domain.kernel import Invalid
from infrastructure import admission
from infrastructure.admission import admit
from infrastructure.egress import EgressGuard


def guard(addresses):
    """A guard that has names resolved to `addresses`; None is an answer that never comes."""

    async def resolve(host, port):
        if addresses is None:
            await asyncio.sleep(60)
        return addresses

    return EgressGuard(require_https=True, resolver=resolve)


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["93.184.216.34", "127.0.0.1"]])
def test_a_name_that_leads_inside_is_refused_by_its_field(addresses):
    with pytest.raises(Invalid) as refused:
        asyncio.run(admit(guard(addresses), "https://example.com/hook", "webhook_url"))
    assert (refused.value.field, refused.value.reason) == ("webhook_url", "url_refused")
    assert "example" not in refused.value.message


def test_a_bad_text_is_refused_without_a_look():
    with pytest.raises(Invalid):
        asyncio.run(admit(guard(None), "http://example.com/hook", "webhook_url"))


@pytest.mark.parametrize("addresses", [["93.184.216.34"], [], None])
def test_a_name_that_leads_nowhere_now_may_lead_somewhere_later(addresses, monkeypatch):
    monkeypatch.setattr(admission, "LOOK_UP_SECONDS", 0.05)
    asyncio.run(admit(guard(addresses), "https://example.com/hook", "webhook_url"))
