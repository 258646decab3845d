"""What the files context says in public."""

from typing import Annotated

from application.webhooks.public import SOME_ID, Emissions, Instant, Payload, Webhook, like


class FileUploaded(Payload):
    """A file has been stored."""

    file_id: Annotated[str, like(f"file_{SOME_ID}")]
    file_name: Annotated[str, like("catalogue.pdf")]
    content_type: Annotated[str, like("application/pdf")]
    file_size: Annotated[int, like(482113)]
    visibility: Annotated[str, like("private")]
    uploaded_at: Instant


WEBHOOKS = (Webhook("file.uploaded", FileUploaded),)

EMISSIONS: Emissions = {}
