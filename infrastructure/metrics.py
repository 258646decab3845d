"""What Prometheus may scrape. Names and labels of the source documents are kept as they are."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

http_requests = Counter("http_requests_total", "Requests answered", ["method", "route", "status"])
http_seconds = Histogram(
    "http_request_duration_seconds",
    "Time from the request to the end of its answer",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0),
)

append_seconds = Histogram(
    "tidings_append_seconds",
    "Time of one group commit",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0),
)
append_batch_size = Histogram(
    "tidings_append_batch_size", "Commands in one group commit", buckets=(1, 4, 16, 64, 128, 256)
)

webhook_attempts = Counter("tidings_webhook_attempts_total", "Deliveries tried", ["outcome"])
webhook_seconds = Histogram(
    "tidings_webhook_attempt_seconds",
    "Time from the request to its answer, or to the end of waiting for it",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0),
)
webhook_endpoints_disabled = Counter(
    "tidings_webhook_endpoints_disabled_total", "Endpoints given up on", ["reason"]
)

social_posts_created = Counter(
    "social_posts_created_total", "Posts created", ["platform", "status"]
)
social_engagement_rate = Histogram(
    "social_engagement_rate",
    "Engagement rate of published posts, 0 to 1",
    ["platform"],
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
)
follower_failures = Counter(
    "tidings_follower_failures_total", "Batches that a follower could not handle", ["follower"]
)
jobs_done = Counter("tidings_jobs_total", "Jobs carried out", ["job", "outcome"])
audit_dropped = Counter(
    "tidings_audit_dropped_total", "Notes for the audit trail that could not be kept"
)
