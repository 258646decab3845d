"""What compliance says in public: nothing; its events are in the audit trail."""

from collections.abc import Sequence

from application.webhooks.public import INTERNAL, Emissions, Webhook
from domain.compliance.erasures import Erasure, PersonalData

WEBHOOKS: Sequence[Webhook] = ()

EMISSIONS: Emissions = {
    Erasure.Begun: INTERNAL,
    Erasure.Completed: INTERNAL,
    PersonalData.Revealed: INTERNAL,
}
