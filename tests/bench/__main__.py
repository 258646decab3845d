"""`make bench`: each figure as a ratio of things measured side by side in one run.

`make bench ARGS=http` runs one part. A run of all parts, or one with `--write`, also writes
docs/benchmarks.md and its chart.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

from tests.bench import analytics, http, ledger, log, personal, projections, report, webhooks

PARTS: dict[str, Callable[[], dict[str, float]]] = {
    "log": log.run,
    "projections": projections.run,
    "http": http.run,
    "ledger": ledger.run,
    "personal": personal.run,
    "analytics": analytics.run,
    "webhooks": webhooks.run,
}


def main() -> int:
    wanted = [each for each in sys.argv[1:] if each != "--write"]
    if unknown := set(wanted) - set(PARTS):
        print(f"There is no benchmark {', '.join(unknown)}; there are {', '.join(PARTS)}.")
        return 2
    random.seed(report.SEED)
    ratios: dict[str, float] = {}
    for name in wanted or PARTS:
        print(f"== {name}", flush=True)
        found = PARTS[name]()
        ratios |= found
        for what, ratio in found.items():
            print(f"  {what}: {ratio:.2f}", flush=True)
    if not wanted or "--write" in sys.argv:
        report.write([*log.figures, *projections.figures], ratios)
    return 0


if __name__ == "__main__":
    sys.exit(main())
