"""Everything that is wired, in plain sight: routers, read models, policies and jobs."""

from collections.abc import Mapping, Sequence

from fastapi import APIRouter

from api import service
from api.social import posts as social_posts
from application.kernel import Policy
from application.social.policies import POLICIES as SOCIAL_POLICIES
from application.social.publishing import Publishing
from domain.kernel import DomainEvent
from infrastructure.jobs import Work
from projections.kernel import ReadModel
from projections.social.posts import Posts

ROUTERS: Sequence[APIRouter] = (
    social_posts.router,
    service.router,
)

READ_MODELS: Sequence[ReadModel] = (Posts(),)

POLICIES: Mapping[type[DomainEvent], Policy] = {**SOCIAL_POLICIES}


def jobs(publishing: Publishing) -> Mapping[str, Work]:
    """What the queue may hold, by name."""
    return {
        "social.publish_post": publishing.publish_post,
        "social.settle_post": publishing.settle_post,
        "social.measure_post": publishing.measure_post,
    }
