"""The writing rules that answers follow."""

from api.kernel import ADMINS, EVERYONE, AtDesk, AtReads, Router
from application.kernel import Answer
from application.social.brand_voice import SetBrandVoice, as_set, set_voice
from domain.social.brand_voice import NO_RULES, BrandVoice
from projections.social.brand_voice import brand_voice

router = Router(prefix="/api/v1/social/brand-voice", tags=["Social brand voice"])


@router.get("", id="social.brand_voice.read", roles=EVERYONE, limit="300/hour")
async def read_brand_voice(reads: AtReads) -> SetBrandVoice:
    """The rules as they stand; without any, those that change nothing."""
    rows = await reads.all(brand_voice(BrandVoice.create_id(reads.caller.tenant)))
    return SetBrandVoice(**rows[0]) if rows else as_set(NO_RULES)


@router.put("", id="social.brand_voice.set", roles=ADMINS, limit="60/hour")
async def set_brand_voice(command: SetBrandVoice, desk: AtDesk) -> Answer[SetBrandVoice]:
    """Set the rules, all of them, in place of those before."""
    return await set_voice(desk, command)
