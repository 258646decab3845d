"""Everything that is wired, in plain sight: routers, read models, policies and jobs."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter

from api import service, specifications
from api.compliance import audit, erasures
from api.social import analytics as social_analytics
from api.social import connections as social_connections
from api.social import posts as social_posts
from api.social import schedules as social_schedules
from api.webhooks import deliveries, endpoints, stream
from application.kernel import Policy
from application.social.connecting import Connecting
from application.social.policies import POLICIES as SOCIAL_POLICIES
from application.social.publishing import Publishing
from domain.kernel import DomainEvent
from infrastructure.jobs import Work
from projections.compliance.audit import AuditTrail
from projections.kernel import ReadModel
from projections.social.analytics import Analytics
from projections.social.connections import Connections
from projections.social.posts import Posts
from projections.social.schedules import Schedules
from projections.webhooks.endpoints import WebhookEndpoints

ROUTERS: Sequence[APIRouter] = (
    social_posts.router,
    social_schedules.router,
    social_analytics.router,
    social_connections.router,
    endpoints.router,
    deliveries.router,
    stream.router,
    specifications.router,
    audit.router,
    erasures.router,
    service.router,
)

READ_MODELS: Sequence[ReadModel] = (
    Posts(),
    Schedules(),
    Analytics(),
    Connections(),
    AuditTrail(),
    WebhookEndpoints(),
)

POLICIES: Mapping[type[DomainEvent], Policy] = {**SOCIAL_POLICIES}


def jobs(publishing: Publishing, connecting: Connecting) -> Mapping[str, Work]:
    """What the queue may hold, by name."""
    return {
        "social.publish_post": publishing.publish_post,
        "social.catch_up": publishing.catch_up,
        "social.settle_post": publishing.settle_post,
        "social.measure_post": publishing.measure_post,
        "social.verify_connection": connecting.verify,
        "social.renew_connection": connecting.renew,
        "social.forget_credentials": connecting.forget,
        "social.erase_network_data": connecting.erase,
    }
