"""Programs of ours that another of our processes starts, and that end with it.

A program takes what it is to do as a line on standard input, since a command line is there for
everybody to read, and tells on standard output what it has come to.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping, Sequence


def command(module: str) -> Sequence[str]:
    """What starts a module as a program."""
    return [sys.executable, "-m", module]


def environment() -> Mapping[str, str]:
    """This process's own, with what it finds its modules by."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def end_with_the_other_side() -> None:
    """From now on, end at once when standard input does: with whoever started this program."""
    threading.Thread(target=_end, daemon=True).start()


def _end() -> None:
    # Not by the buffer: its lock, held while this waits, would keep the interpreter from ending.
    os.read(0, 1)
    os._exit(1)
