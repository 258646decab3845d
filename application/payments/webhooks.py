"""What the payments context says in public."""

from decimal import Decimal
from typing import Annotated

from application.webhooks.public import SOME_ID, Emissions, Number, Payload, Webhook, like

TransactionId = Annotated[str, like(f"txn_{SOME_ID}")]


class PaymentProcessed(Payload):
    """A charge has succeeded. `amount_minor` is the same amount in the currency's minor unit."""

    transaction_id: TransactionId
    amount: Annotated[Number, like(Decimal("129.95"))]
    amount_minor: Annotated[int, like(12995)]
    currency: Annotated[str, like("EUR")]
    status: Annotated[str, like("success")]


class PaymentFailed(Payload):
    """A charge has failed."""

    transaction_id: TransactionId
    error_code: Annotated[str, like("card_declined")]
    error_message: Annotated[str, like("The card was declined.")]


WEBHOOKS = (
    Webhook("payment.processed", PaymentProcessed),
    Webhook("payment.failed", PaymentFailed),
)

EMISSIONS: Emissions = {}
