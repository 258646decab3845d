"""Everything that is wired, in plain sight: read models, policies and jobs; routes stand in
`api/routes.py`, since what answers no requests starts in half the time without them."""

from collections.abc import Mapping, Sequence

from application.kernel import Policy
from application.social.callbacks import CallingBack
from application.social.campaigning import Campaigning
from application.social.connecting import Connecting
from application.social.mentions import Listener
from application.social.notices import Noticing
from application.social.policies import POLICIES as SOCIAL_POLICIES
from application.social.publishing import Publishing
from application.social.responding import Responding
from application.social.trend_watching import TrendWatching
from domain.kernel import DomainEvent
from infrastructure.jobs import Work
from projections.compliance.audit import AuditTrail
from projections.kernel import ReadModel
from projections.social.analytics import Analytics
from projections.social.brand_voice import BrandVoices
from projections.social.campaigns import Campaigns
from projections.social.connections import Connections
from projections.social.mentions import Mentions
from projections.social.posts import Posts
from projections.social.response_templates import ResponseTemplates
from projections.social.responses import Responses
from projections.social.schedules import Schedules
from projections.social.trends import Trends
from projections.webhooks.endpoints import WebhookEndpoints

READ_MODELS: Sequence[ReadModel] = (
    Posts(),
    Schedules(),
    Analytics(),
    Connections(),
    Mentions(),
    Campaigns(),
    Responses(),
    ResponseTemplates(),
    BrandVoices(),
    Trends(),
    AuditTrail(),
    WebhookEndpoints(),
)

POLICIES: Mapping[type[DomainEvent], Policy] = {**SOCIAL_POLICIES}


def jobs(
    publishing: Publishing,
    connecting: Connecting,
    listener: Listener,
    noticing: Noticing,
    campaigning: Campaigning,
    responding: Responding,
    watching: TrendWatching,
    calling_back: CallingBack,
) -> Mapping[str, Work]:
    """What the queue may hold, by name."""
    return {
        "social.publish_post": publishing.publish_post,
        "social.catch_up": publishing.catch_up,
        "social.settle_post": publishing.settle_post,
        "social.measure_post": publishing.measure_post,
        "social.post_response": responding.post,
        "social.settle_response": responding.settle,
        "social.verify_connection": connecting.verify,
        "social.renew_connection": connecting.renew,
        "social.forget_credentials": connecting.forget,
        "social.erase_network_data": connecting.erase,
        "social.follow_callbacks": calling_back.follow,
        "social.remove_callback": calling_back.remove,
        "social.listen": listener.begin,
        "social.stop_listening": listener.end,
        "social.subscribe_account": noticing.subscribe,
        "social.pass_on_notice": noticing.pass_on,
        "social.fetch_mention": noticing.fetch,
        "social.want_trends": watching.want,
        "social.observe_trends": watching.observe,
        "social.detect_trends": watching.detect,
        "social.advance_campaign": campaigning.advance,
        "social.follow_campaign": campaigning.follow,
    }
