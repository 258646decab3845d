"""What the reports context says in public."""

from typing import Annotated

from application.webhooks.public import SOME_ID, Emissions, Instant, Payload, Webhook, like


class ReportGenerated(Payload):
    """A report is available."""

    report_id: Annotated[str, like(f"rpt_{SOME_ID}")]
    report_type: Annotated[str, like("social_overview")]
    download_url: Annotated[str, like(f"https://tidings.example/files/rpt_{SOME_ID}")]


class ExportReady(Payload):
    """An export can be fetched, until its link expires."""

    export_id: Annotated[str, like(f"exp_{SOME_ID}")]
    export_type: Annotated[str, like("subscribers")]
    format: Annotated[str, like("csv")]
    download_url: Annotated[str, like(f"https://tidings.example/files/exp_{SOME_ID}")]
    record_count: Annotated[int, like(12000)]
    expires_at: Instant


WEBHOOKS = (
    Webhook("analytics.report.generated", ReportGenerated),
    Webhook("export.ready", ExportReady),
)

EMISSIONS: Emissions = {}
