"""How the embedded servers are started: as whom, and that they end with who started them."""

import ctypes
import errno
import os
import pwd
import signal
import stat
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from infrastructure.embedded.directories import EmbeddedServerError

# Loaded before any fork: between fork and exec nothing may be imported or looked up.
_LIBC = ctypes.CDLL(None, use_errno=True)

# <linux/prctl.h>, <linux/securebits.h>, <linux/capability.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1


@dataclass(frozen=True)
class Identity:
    """Whom root becomes to run a server that refuses to run as root."""

    uid: int
    gid: int
    passes_walls: bool
    """Whether it keeps root's right to reach files (CAP_DAC_OVERRIDE), and no other right.

    Needed where a directory above its files is closed to everybody but root, as /root is.
    That same directory keeps all others of this identity away from those files.
    """


def identity(directory: Path, data: Path, binary: Path) -> Identity | None:
    """Whom to run a server as whose data directory is `data`, below `directory`.

    None is this user. Root becomes the data directory's owner, else `postgres`, else `nobody`.
    """
    if os.geteuid() != 0:
        return None
    uid, gid = _owner(data) or _account()
    reachable = _may_enter(directory, uid, gid) and _may_run(binary, uid, gid)
    return Identity(uid, gid, passes_walls=not reachable)


def _owner(data: Path) -> tuple[int, int] | None:
    if not data.exists():
        return None
    status = data.stat()
    return (status.st_uid, status.st_gid) if status.st_uid else None


def _account() -> tuple[int, int]:
    for name in ("postgres", "nobody"):
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return account.pw_uid, account.pw_gid
    raise EmbeddedServerError("Root needs a user `postgres` or `nobody` to run PostgreSQL as")


def _may_enter(directory: Path, uid: int, gid: int) -> bool:
    return all(_permits(each, uid, gid, stat.S_IXOTH) for each in (directory, *directory.parents))


def _may_run(binary: Path, uid: int, gid: int) -> bool:
    wanted = stat.S_IROTH | stat.S_IXOTH
    return _permits(binary, uid, gid, wanted) and _may_enter(binary.parent, uid, gid)


def _permits(path: Path, uid: int, gid: int, wanted: int) -> bool:
    """Whether the mode of `path` grants the `S_I*OTH` bits `wanted` to this user."""
    status = path.stat()
    shift = 6 if status.st_uid == uid else 3 if status.st_gid == gid else 0
    return (status.st_mode >> shift) & wanted == wanted


def launch(
    command: Sequence[str | Path],
    *,
    whom: Identity | None,
    on_parent_death: signal.Signals,
    log: IO[bytes],
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a server in a session of its own, with its output in `log`.

    The server gets `on_parent_death` when this process ends, however it ends (Linux only). It
    is really this *thread* whose end counts (prctl(2)), hence only the main one may call.
    Its environment is bare: what the caller's holds are secrets, or settings meant for others.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("a server ends with the thread that starts it: use the main thread")
    parent = os.getpid()

    def prepare() -> None:
        if whom is not None:
            _become(whom)
        end_with_parent(parent, on_parent_death)

    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    try:
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            env={"PATH": os.defpath, **kept, **(environment or {})},
            start_new_session=True,
            preexec_fn=prepare,
        )
    except subprocess.SubprocessError as error:
        raise EmbeddedServerError(
            f"{command[0]}: root may not become another user here, or not let it pass the"
            " directories that are closed to it"
        ) from error


def end_with_parent(parent: int, on_parent_death: signal.Signals) -> None:
    """Have the kernel send this process a signal once `parent` is gone (prctl(2), Linux only).

    To be called after any change of user, which would undo it.
    """
    if sys.platform != "linux":
        return
    _call("prctl", _PR_SET_PDEATHSIG, int(on_parent_death), 0, 0, 0)
    if os.getppid() != parent:  # it ended before the kernel was told
        os._exit(1)


def _become(whom: Identity) -> None:
    if whom.passes_walls:
        # Without this bit the kernel drops capabilities with uid 0, and access(2), by which
        # PostgreSQL finds its own files, does not count them (capabilities(7)).
        _call("prctl", _PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setresgid(whom.gid, whom.gid, whom.gid)
    os.setresuid(whom.uid, whom.uid, whom.uid)
    if whom.passes_walls:
        keep = 1 << _CAP_DAC_OVERRIDE
        header = struct.pack("Ii", _CAPABILITY_VERSION_3, 0)
        # effective, permitted, inheritable of capabilities 0-31, then of 32-63
        _call("capset", header, struct.pack("6I", keep, keep, keep, 0, 0, 0))
        _call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def _call(name: str, *arguments: int | bytes) -> None:
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, f"{name} is a call of Linux")
    passed = [ctypes.c_ulong(each) if isinstance(each, int) else each for each in arguments]
    if getattr(_LIBC, name)(*passed) != 0:
        failure = ctypes.get_errno()
        raise OSError(failure, f"{name}: {os.strerror(failure)}")
