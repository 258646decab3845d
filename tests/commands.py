"""The commands of `tidings` as processes of their own that share what has been read in.

A forked process does what the installed command does, without the second that a new one takes to
import everything; that the installed ones start by themselves is seen in test_readme.py and
test_killed.py.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path
from subprocess import CompletedProcess, TimeoutExpired

TIDINGS = Path(sys.executable).parent / "tidings"
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["api.cli", "api.app", "api.work", "tests.webhooks.worker"])


def tidings(*arguments: object, **environment: str) -> CompletedProcess[str]:
    """Run a command to its end: its status, and what it printed."""
    given = [os.fspath(TIDINGS), *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        printed = [Path(folder, "out"), Path(folder, "err")]
        process = FORKS.Process(target=_main, args=(given, os.environ | environment, printed))
        process.start()
        process.join(60)
        if process.exitcode is None:
            process.kill()
            raise TimeoutExpired(given, 60)
        return CompletedProcess(given, process.exitcode, *(file.read_text() for file in printed))


def _main(arguments: list[str], environment: dict[str, str], printed: list[Path]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, file in enumerate(printed, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), descriptor)
    sys.argv = arguments
    from api.cli import main

    main()
