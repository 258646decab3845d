"""Everything that is wired, in plain sight: routers, read models, policies and jobs."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter

from api import service, specifications
from api.compliance import audit
from api.social import posts as social_posts
from api.webhooks import deliveries, endpoints, stream
from application.kernel import Policy
from application.social.policies import POLICIES as SOCIAL_POLICIES
from application.social.publishing import Publishing
from domain.kernel import DomainEvent
from infrastructure.jobs import Work
from projections.compliance.audit import AuditTrail
from projections.kernel import ReadModel
from projections.social.posts import Posts
from projections.webhooks.endpoints import WebhookEndpoints

ROUTERS: Sequence[APIRouter] = (
    social_posts.router,
    endpoints.router,
    deliveries.router,
    stream.router,
    specifications.router,
    audit.router,
    service.router,
)

READ_MODELS: Sequence[ReadModel] = (Posts(), AuditTrail(), WebhookEndpoints())

POLICIES: Mapping[type[DomainEvent], Policy] = {**SOCIAL_POLICIES}


def jobs(publishing: Publishing) -> Mapping[str, Work]:
    """What the queue may hold, by name."""
    return {
        "social.publish_post": publishing.publish_post,
        "social.settle_post": publishing.settle_post,
        "social.measure_post": publishing.measure_post,
    }
