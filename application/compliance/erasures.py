"""Commands about personal data: a person's erasure, and clear text shown to an operator."""

from uuid import UUID

from application.kernel import Command
from domain.compliance.erasures import Erasure, PersonalData


class BeginErasure(Command):
    """The key of `person` was destroyed; `subject` is their keyed hash."""

    person: UUID
    subject: str

    def handle(self) -> Erasure:
        return Erasure(person=self.person, subject=self.subject)


class CompleteErasure(Command):
    """Every copy is purged."""

    def handle(self, erasure: Erasure) -> None:
        erasure.complete()


class NoteReveal(Command):
    """An operator is about to see personal data of the log; `selection` is what was asked for."""

    selection: dict[str, str]

    def handle(self) -> PersonalData:
        return PersonalData(selection=self.selection)
