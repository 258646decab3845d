"""PostgreSQL and Valkey that run beside the application and belong to its data directory."""

from infrastructure.embedded.directories import EmbeddedServerError
from infrastructure.embedded.postgres import EmbeddedPostgres
from infrastructure.embedded.servers import EmbeddedServers
from infrastructure.embedded.valkey import EmbeddedValkey

__all__ = ["EmbeddedPostgres", "EmbeddedServerError", "EmbeddedServers", "EmbeddedValkey"]
