"""What happens to personal data: a person is erased, clear text is shown to an operator."""

from uuid import NAMESPACE_URL, UUID, uuid5

from domain.kernel import Aggregate, event


class Erasure(Aggregate, topic="compliance.erasure"):
    """The erasure of one person. It never says who: `person` is the id of their key, which is no
    more, and `subject` a keyed hash in hexadecimal digits."""

    class Begun(Aggregate.Created):
        """The key was destroyed; read models blank what they hold of the person."""

        TOPIC = "compliance.erasure.begun"
        person: UUID
        subject: str

    class Completed(Aggregate.Event):
        """Every copy is purged."""

        TOPIC = "compliance.erasure.completed"
        person: UUID
        subject: str

    @staticmethod
    def create_id(person: UUID, subject: str) -> UUID:
        """One stream per key: an erasure that is taken up again is the same one."""
        return erasure_id(person)

    @event(Begun)
    def __init__(self, person: UUID, subject: str) -> None:
        self.person, self.subject = person, subject
        self.completed = False

    def complete(self) -> None:
        """Twice is once."""
        if not self.completed:
            self._completed(self.person, self.subject)

    @event(Completed)
    def _completed(self, person: UUID, subject: str) -> None:
        self.completed = True


def erasure_id(person: UUID) -> UUID:
    """The stream of a person's erasure."""
    return uuid5(NAMESPACE_URL, f"tidings:erasure:{person}")


class PersonalData(Aggregate, topic="compliance.personal_data"):
    """One look at personal data in the log in clear text, beside the API and its rules."""

    class Revealed(Aggregate.Created):
        TOPIC = "compliance.personal_data.revealed"
        selection: dict[str, str]

    @event(Revealed)
    def __init__(self, selection: dict[str, str]) -> None:
        self.selection = selection
