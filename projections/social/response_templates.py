"""The templates that tenants have written."""

from typing import Any

from domain.social.response_templates import ResponseTemplate
from projections.kernel import DomainEvent, Query, ReadModel, Rows, Table

TEMPLATES = Table("response_templates", {"text": str}, key={"name": str})


class ResponseTemplates(ReadModel):
    """One row for each template in use."""

    name = "response_templates"
    version = 1
    tables = (TEMPLATES,)
    events = (ResponseTemplate.Written, ResponseTemplate.Rewritten, ResponseTemplate.Discarded)

    def project(self, event: DomainEvent, rows: Rows) -> None:
        match event:
            case ResponseTemplate.Written(name=name, text=text):
                rows(TEMPLATES)[name].put(text=text)
            case ResponseTemplate.Rewritten(name=name, text=text):
                rows(TEMPLATES)[name].put(text=text)
            case ResponseTemplate.Discarded(name=name):
                rows(TEMPLATES)[name].delete()


def own_templates() -> Query[dict[str, Any]]:
    """All of them by name."""
    return Query(
        ResponseTemplates,
        "SELECT name, text FROM read.response_templates WHERE tenant = %(tenant)s ORDER BY name",
    )
