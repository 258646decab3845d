"""The process that keeps the embedded servers of one data directory.

Commands come and go and may be killed, and each may find the servers running or not. So none of
them is the servers' parent: the first one starts this keeper, and every one holds a connection to
it for as long as it uses the servers. The kernel closes that connection however its holder ends.
When the last one is closed the keeper stops the servers and leaves; when the keeper is killed the
servers get their parent-death signal and the users, whose connections break, start a new keeper.

The protocol: a user sends the names of the servers it wants and a newline, and gets `ready` or
`error <line>`. It says that it leaves by closing its sending side; the keeper answers `kept` at
once when others remain, else `stopped` when the servers have ended.
"""

import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infrastructure.embedded.directories import (
    EmbeddedServerError,
    keeper_socket,
    locked,
    naming,
    private_directory,
    remove_short,
)
from infrastructure.embedded.postgres import EmbeddedPostgres
from infrastructure.embedded.valkey import EmbeddedValkey
from infrastructure.supervisor import Server, Supervisor

PREDECESSOR_SECONDS = 60.0
"""How long the keeper before this one may take to stop its servers."""

USER_SECONDS = 5.0
"""How long a user may take to read or send its one line."""

log = logging.getLogger(__name__)


class Keeper:
    """Keeps the servers of `data_dir` while anybody is connected; see the module."""

    def __init__(self, data_dir: Path, first_user: socket.socket) -> None:
        self.servers: dict[str, Server] = {
            "postgres": EmbeddedPostgres(data_dir / "postgres"),
            "valkey": EmbeddedValkey(data_dir / "valkey"),
        }
        self.data_dir = data_dir
        self.path = keeper_socket(data_dir)
        self.users: list[socket.socket] = []
        self.leaving: list[socket.socket] = []
        self._admit(first_user)

    def run(self) -> None:
        """Return when the last user has left or a signal said to stop, with the servers stopped."""
        # Nested so: whoever comes while the servers are being stopped finds nobody listening,
        # and starts the next keeper.
        with Supervisor() as supervisor, self._listening() as listener:
            while self.users and not supervisor.stopping:
                for ready in supervisor.wait([listener, *self.users]):
                    if ready is listener:
                        self._admit(listener.accept()[0])
                    else:
                        self._serve(ready, supervisor)
                if self.users:
                    self._dismiss("kept")
                supervisor.check()
        self._dismiss("stopped")
        remove_short(self.path.parent, self.data_dir)

    @contextmanager
    def _listening(self) -> Iterator[socket.socket]:
        private_directory(self.path.parent)
        self.path.unlink(missing_ok=True)  # a killed keeper's; we hold its lock now
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.fspath(self.path))
            listener.listen(128)
            try:
                yield listener
            finally:
                self.path.unlink(missing_ok=True)

    def _admit(self, user: socket.socket) -> None:
        user.settimeout(USER_SECONDS)
        self.users.append(user)

    def _serve(self, user: socket.socket, supervisor: Supervisor) -> None:
        try:
            if wanted := user.recv(4096).decode().split():
                user.sendall(self._provide(wanted, supervisor).encode())
                return
        except OSError as error:
            log.warning("a user was lost: %s", error)
        self.users.remove(user)
        self.leaving.append(user)

    def _provide(self, wanted: list[str], supervisor: Supervisor) -> str:
        try:
            for name in wanted:
                supervisor.start(self.servers[name])
        except EmbeddedServerError as error:
            return f"error {error}\n"
        return "ready\n"

    def _dismiss(self, answer: str) -> None:
        while self.leaving:
            with self.leaving.pop() as user, suppress(OSError):  # it may have been killed
                user.sendall(f"{answer}\n".encode())


def main() -> None:
    """`python -m infrastructure.embedded.keeper DATA_DIR DESCRIPTOR`, by `EmbeddedServers`."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    data_dir, first_user = Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2]))
    try:
        with naming(data_dir), locked(data_dir / "keeper.lock", PREDECESSOR_SECONDS):
            Keeper(data_dir, first_user).run()
    except EmbeddedServerError as error:
        log.error("%s", error)
        with suppress(OSError):
            first_user.sendall(f"error {error}\n".encode())
        sys.exit(1)


if __name__ == "__main__":
    main()
