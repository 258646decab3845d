"""Verification in a process of its own, so that one that answers requests goes on doing so."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from infrastructure import programs
from infrastructure.ledger.checkpoints import NotTrusted
from infrastructure.ledger.verification import Verdict, verify


async def verify_aside(url: str, public: Sequence[bytes], kept: Sequence[str] = ()) -> Verdict:
    """`verify`, as another process.

    Raises `NotTrusted` like it, and `RuntimeError` when the process ends without a verdict.
    """
    process = await asyncio.create_subprocess_exec(
        *programs.command(__name__),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env=programs.environment(),
    )
    given = {"url": url, "public": [each.hex() for each in public], "kept": list(kept)}
    try:
        said, _ = await process.communicate(json.dumps(given).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"verification ended with status {process.returncode}")
    answer = json.loads(said)
    if "not_trusted" in answer:
        raise NotTrusted(answer["not_trusted"])
    return Verdict(**answer)


def main() -> None:
    """One verification: JSON on standard input, JSON on standard output."""
    given = json.load(sys.stdin)
    public = [bytes.fromhex(each) for each in given["public"]]
    try:
        answer = asdict(verify(given["url"], public, given["kept"]))
    except NotTrusted as reason:
        answer = {"not_trusted": str(reason)}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
