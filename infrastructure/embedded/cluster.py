"""PostgreSQL's data directory: made whole, of our version, and not held by the dead."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from infrastructure.embedded.directories import EmbeddedServerError, lines_since, open_log
from infrastructure.embedded.launch import Identity, launch

SUPERUSER = "postgres"


def check_version(data: Path, binary: Path) -> None:
    """Raise `EmbeddedServerError` when `data` is of another major version than `binary`."""
    try:
        found = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        return
    question: list[str | Path] = [binary, "--version"]
    answer = subprocess.run(question, capture_output=True, text=True, check=True)  # noqa: S603
    ours = re.findall(r"\d+", answer.stdout)[0]
    if found != ours:
        raise EmbeddedServerError(
            f"{data} was made by PostgreSQL {found} and cannot be used by PostgreSQL {ours}:"
            " dump it with the old release and load it into an empty data directory"
        )


def make(data: Path, binary: Path, whom: Identity | None, log_file: Path, *, durable: bool) -> None:
    """Make a cluster beside its place and move it there whole: half of one is never seen."""
    for unfinished in data.parent.glob("initdb-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    fresh = Path(tempfile.mkdtemp(prefix="initdb-", dir=data.parent))
    if whom is not None:
        os.chown(fresh, whom.uid, whom.gid)
    # The built-in provider sorts alike on every machine and under every C library.
    command = [
        *(binary.with_name("initdb"), "-D", fresh, "-U", SUPERUSER),
        *("--auth=trust", "--encoding=UTF8", "--locale-provider=builtin", "--locale=C.UTF-8"),
        *(() if durable else ("--no-sync",)),
    ]
    with open_log(log_file) as log:
        begin = log.tell()
        made = launch(command, whom=whom, on_parent_death=signal.SIGKILL, log=log)
        if made.wait() != 0:
            reason = complaint(log_file, begin)
            shutil.rmtree(fresh, ignore_errors=True)
            raise EmbeddedServerError(f"{data} cannot be made: {reason}")
    fresh.rename(data)


def complaint(log_file: Path, begin: int) -> str:
    """What PostgreSQL first gave as a reason in its log from byte `begin` on."""
    lines = lines_since(log_file, begin)
    for line in lines:
        # To those who ask too early it says that "the database system is starting up".
        if found := re.search(r"(?:error|FATAL|PANIC): +(?!the database system is )(.+)", line):
            return found[1]
    return lines[-1].strip() if lines else "it does not answer"


def stale_lock(data: Path, sockets: Path) -> dict[str, str]:
    """The environment that lets a server start in spite of what a killed one left.

    To be called when no server of ours is running. PostgreSQL refuses to start while the process
    id in an old lock file is in use, be it a stranger's, and when the file is empty. The variable
    is its own: the id in it is not taken for a server's (`CreateLockFile` in miscinit.c).
    """
    if sys.platform != "linux":  # there nobody looked whether a server of ours is running
        return {}
    (sockets / ".s.PGSQL.5432.lock").unlink(missing_ok=True)  # of a directory that is ours alone
    lock = data / "postmaster.pid"
    if not lock.exists():
        return {}
    holder = lock.read_text().partition("\n")[0].strip()
    if holder.isdecimal():
        return {"PG_GRANDPARENT_PID": holder}
    lock.unlink()
    return {}
