"""Processes that an earlier run left behind, found and ended without mistaking a stranger."""

import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

Arguments = list[bytes]
"""A process's command line as /proc shows it; a server may have replaced it by a title."""


def find(uid: int, is_ours: Callable[[Arguments], bool]) -> Iterator[int]:
    """The ids of living processes of user `uid` whose command line satisfies `is_ours`.

    Command lines, because everything else in /proc may be closed even to a container's root.
    Nothing is found where there is no /proc.
    """
    if sys.platform != "linux":
        return
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and _matches(entry, uid, is_ours):
            yield int(entry.name)


def kill(uid: int, is_ours: Callable[[Arguments], bool], patience: float) -> list[int]:
    """SIGKILL every such process and wait for their ends; returns those that would not go."""
    if sys.platform != "linux":
        return []
    return [pid for pid in list(find(uid, is_ours)) if not _kill(pid, uid, is_ours, patience)]


def _kill(pid: int, uid: int, is_ours: Callable[[Arguments], bool], patience: float) -> bool:
    # A number may pass to another process between the look and the signal; a descriptor cannot.
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if not _matches(Path("/proc") / str(pid), uid, is_ours):
            return True
        signal.pidfd_send_signal(process, signal.SIGKILL)
        return bool(select.select([process], [], [], patience)[0])
    except ProcessLookupError:
        return True
    finally:
        os.close(process)


def _matches(entry: Path, uid: int, is_ours: Callable[[Arguments], bool]) -> bool:
    try:
        arguments = (entry / "cmdline").read_bytes().rstrip(b"\0 ").split(b"\0")
        status = (entry / "status").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False
    return is_ours(arguments) and f"\nUid:\t{uid}\t".encode() in status
