"""What the social context says in public, by what it is about."""

from application.social.webhooks import (
    campaigns,
    connections,
    mentions,
    posts,
    schedules,
    trends,
)
from application.webhooks.public import Emissions

PARTS = (posts, schedules, connections, mentions, trends, campaigns)

WEBHOOKS = tuple(webhook for part in PARTS for webhook in part.WEBHOOKS)

EMISSIONS: Emissions = {kind: said for part in PARTS for kind, said in part.EMISSIONS.items()}
