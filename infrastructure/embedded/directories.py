"""Directories, locks and logs of the embedded servers."""

import fcntl
import hashlib
import importlib.util
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LONGEST_SOCKET_DIRECTORY = 85
"""Bytes. A socket's path may have 107 on Linux and 103 on macOS, and the file name follows."""

LARGEST_LOG = 10 * 1024 * 1024
"""Bytes after which a log is set aside at the next start."""


class EmbeddedServerError(Exception):
    """One line that names what cannot be used and why."""


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an `OSError` of the block into one line that names the path it happened at."""
    try:
        yield
    except OSError as error:
        where = os.fsdecode(error.filename) if error.filename else path
        raise EmbeddedServerError(f"{where} cannot be used: {error.strerror or error}") from error


@contextmanager
def locked(path: Path, patience: float) -> Iterator[None]:
    """Hold an exclusive lock on `path`; the kernel lets go of it however the holder ends.

    Raises `EmbeddedServerError` when another process keeps it for `patience` seconds.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        deadline = time.monotonic() + patience
        while not try_lock(descriptor):
            if time.monotonic() > deadline:
                raise EmbeddedServerError(f"{path} has been locked for {patience:.0f} seconds")
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Take an exclusive `flock` on an open file without waiting; says whether it was free."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def private_directory(path: Path, uid: int | None = None, gid: int = -1) -> None:
    """Make `path` a directory that only `uid` (default: this user) may enter.

    Raises `EmbeddedServerError` when somebody else owns it, `OSError` when it cannot be made.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    wanted = os.geteuid() if uid is None else uid
    owner = path.lstat().st_uid
    if owner not in {wanted, os.geteuid()}:
        raise EmbeddedServerError(f"{path} belongs to another user (id {owner})")
    # Through a descriptor, and never a link: the parent may be a directory open to everybody.
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if owner != wanted:
            os.fchown(descriptor, wanted, gid)
        os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)


def socket_directory(directory: Path) -> Path:
    """Where the sockets of a server in `directory` are: within it, unless its path is too long.

    The short one is under /tmp whatever TMPDIR says, because every process has to find it.
    """
    inside = directory / "run"
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_DIRECTORY:
        return inside
    return Path("/tmp") / f"tidings-{fingerprint(directory)}"  # noqa: S108 -- private, checked


def keeper_socket(data_dir: Path) -> Path:
    """Where the keeper of a data directory's servers listens."""
    return socket_directory(data_dir) / "keeper.sock"


def remove_short(sockets: Path, directory: Path) -> None:
    """Leave nothing behind in /tmp; a directory still in use stays."""
    if sockets.parent != directory:
        try:
            sockets.rmdir()
        except OSError:
            return


def fingerprint(directory: Path) -> str:
    """A short name for a path: 12 hexadecimal digits."""
    return hashlib.sha256(os.fsencode(directory)).hexdigest()[:12]


def package_file(package: str, pattern: str) -> Path:
    """A file of an installed package, found without importing the package."""
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or []) if spec else []:
        for found in Path(place).glob(pattern):
            return found
    raise EmbeddedServerError(f"The package {package} has no {pattern} for this machine")


def open_log(path: Path) -> IO[bytes]:
    """Open a server's log for appending; a large one is set aside first as `<name>.1`."""
    if path.exists() and path.stat().st_size > LARGEST_LOG:
        path.replace(path.with_name(f"{path.name}.1"))
    return path.open("ab")


def lines_since(log: Path, begin: int) -> list[str]:
    """The lines of a log from byte `begin` on."""
    with log.open("rb") as file:
        file.seek(begin)
        return file.read().decode(errors="replace").splitlines()
