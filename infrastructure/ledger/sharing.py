"""A verification shared by several processes: hashing keeps one processor busy, a log has many
pieces, and this process takes its share of them beside the others."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace

import msgspec

from infrastructure import programs
from infrastructure.ledger import pieces
from infrastructure.ledger.pieces import Piece, Share

SILENCE = 300.0
"""Seconds without a piece, which takes a quarter of one: then a process is taken to hang."""

CHUNK = 65_536
"""Bytes read at once."""


class Unfinished(RuntimeError):
    """A process of the verification did not do its share: nothing is known."""


def in_turn(whole: Share, processes: int) -> Generator[Piece, None, None]:
    """Every piece of `whole` in order, up to the first that is not whole.

    Raises `Unfinished` when a process is lost. When this ends, is closed or raises, no process
    is left.
    """
    shares = [replace(whole, first=n, step=processes) for n in range(processes)]
    with ExitStack() as stack:
        others = [stack.enter_context(_process(share)) for share in shares[1:]]
        sources = [stack.enter_context(closing(pieces.examined(shares[0]))), *others]
        while True:
            for source in sources:
                piece = next(source)
                yield piece
                if piece.rows < whole.size:
                    return


@contextmanager
def _process(share: Share) -> Iterator[Iterator[Piece]]:
    process = subprocess.Popen(  # noqa: S603 - our own program
        programs.command(pieces.__name__),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=programs.environment(),
        # An interrupt from the keyboard is for this process, which ends the others.
        process_group=0,
    )
    assert process.stdin
    try:
        # By the pipe, not as an argument: the URL may hold a password. If nobody is there to take
        # it, that shows when pieces are asked for.
        with suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(share) + b"\n")
            process.stdin.flush()
        yield _told(process)
    finally:
        process.kill()
        process.communicate()  # until it has ended and its pipes are closed


def _told(process: subprocess.Popen[bytes]) -> Iterator[Piece]:
    assert process.stdout
    pipe, said = process.stdout.fileno(), b""
    news = select.poll()
    news.register(pipe, select.POLLIN)
    while True:
        line, whole, rest = said.partition(b"\n")
        if whole:
            said = rest
            yield msgspec.json.decode(line, type=Piece)
            continue
        if not news.poll(SILENCE * 1000):
            raise Unfinished(f"a process of the verification has said nothing for {SILENCE:.0f} s")
        if not (more := os.read(pipe, CHUNK)):  # one that was killed may leave half a line
            raise Unfinished("a process of the verification ended before its share was done")
        said += more
