"""The words by which people speak of a tenant's brand: what networks are searched for."""

from uuid import NAMESPACE_URL, UUID, uuid5

from domain.kernel import Aggregate, acting, event


class BrandKeywords(Aggregate, topic="social.brand_keywords"):
    """One list for each tenant; without one, the names of its accounts stand in."""

    class Chosen(Aggregate.Created):
        TOPIC = "social.brand_keywords.chosen"
        keywords: tuple[str, ...]

    class Changed(Aggregate.Event):
        TOPIC = "social.brand_keywords.changed"
        keywords: tuple[str, ...]

    @staticmethod
    def create_id(tenant: str | None = None) -> UUID:
        """One stream per tenant, by default the one that is acting."""
        whose = tenant or acting.get().tenant
        return uuid5(NAMESPACE_URL, f"tidings:brand_keywords:{whose}")

    @event(Chosen)
    def __init__(self, keywords: tuple[str, ...]) -> None:
        self.keywords = keywords

    def change(self, keywords: tuple[str, ...]) -> None:
        """Listen for other words from now on; what was heard stays."""
        if keywords != self.keywords:
            self._changed(keywords)

    @event(Changed)
    def _changed(self, keywords: tuple[str, ...]) -> None:
        self.keywords = keywords
