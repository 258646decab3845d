"""Every route, in plain sight."""

from collections.abc import Sequence

from fastapi import APIRouter

from api import service, specifications
from api.compliance import audit, erasures
from api.social import analytics as social_analytics
from api.social import brand_voice as social_brand_voice
from api.social import campaigns as social_campaigns
from api.social import connections as social_connections
from api.social import mentions as social_mentions
from api.social import network_webhooks as social_network_webhooks
from api.social import posts as social_posts
from api.social import response_templates as social_response_templates
from api.social import responses as social_responses
from api.social import schedules as social_schedules
from api.social import trends as social_trends
from api.webhooks import deliveries, endpoints, stream

ROUTERS: Sequence[APIRouter] = (
    social_posts.router,
    social_schedules.router,
    social_analytics.router,
    social_connections.router,
    social_mentions.router,
    social_network_webhooks.router,
    social_campaigns.router,
    social_responses.router,
    social_response_templates.router,
    social_brand_voice.router,
    social_trends.router,
    endpoints.router,
    deliveries.router,
    stream.router,
    specifications.router,
    audit.router,
    erasures.router,
    service.router,
)
