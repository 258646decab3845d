"""`make bench`: each figure as a ratio of things measured side by side in one run.

`make bench ARGS=http` runs one part.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from tests.bench import http

PARTS: dict[str, Callable[[], dict[str, float]]] = {"http": http.run}


def main() -> int:
    wanted = sys.argv[1:] or list(PARTS)
    if unknown := set(wanted) - set(PARTS):
        print(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(PARTS)}.")
        return 2
    for name in wanted:
        print(f"== {name}")
        for what, ratio in PARTS[name]().items():
            print(f"  {what}: {ratio:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
