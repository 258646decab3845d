"""`docs/benchmarks.md` and its chart, written from the figures of a run."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from xml.sax.saxutils import escape

DOCS = Path(__file__).parents[2] / "docs"
SEED = 1
"""Of everything random in the benchmarks."""


@dataclass(frozen=True)
class Figure:
    """One measured value; None stands for `not available`. `group` and `what` name it."""

    group: str
    what: str
    value: float | None
    unit: str


def write(figures: Sequence[Figure], ratios: Mapping[str, float]) -> None:
    """Replace the page and the chart."""
    (DOCS / "benchmarks.md").write_text(_page(figures, ratios))
    (DOCS / "benchmarks.svg").write_text(chart(figures))


def _page(figures: Sequence[Figure], ratios: Mapping[str, float]) -> str:
    lines = [
        "# Benchmarks",
        "",
        "Made by `make bench`. What is compared ran side by side, in turns, in the same run: the",
        "ratios are to be trusted, the absolute figures depend on the machine.",
        "",
        *machine(),
        "",
        "![Appends a second](benchmarks.svg)",
        "",
        "| ratio | measured |",
        "| --- | ---: |",
        *(f"| {what} | {ratio:.2f} |" for what, ratio in ratios.items()),
    ]
    for group in dict.fromkeys(each.group for each in figures):
        lines += ["", f"## {group}", "", "| what | measured |", "| --- | ---: |"]
        lines += [f"| {e.what} | {_said(e)} |" for e in figures if e.group == group]
    return "\n".join(lines) + "\n"


def _said(figure: Figure) -> str:
    if figure.value is None:
        return "not available"
    places = 0 if figure.value >= 100 else 2
    return f"{figure.value:,.{places}f} {figure.unit}"


def machine() -> list[str]:
    """What it ran on, as a list."""
    model, memory = platform.machine(), "unknown"
    if (cpu := Path("/proc/cpuinfo")).exists():
        names = [line.split(":")[1].strip() for line in cpu.read_text().splitlines()
                 if line.startswith("model name")]  # fmt: skip
        model = names[0] if names else model
        memory = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    return [
        f"- {os.cpu_count()} processors ({model}), {memory} of memory, {platform.system()}",
        f"- Python {platform.python_version()}, psycopg {version('psycopg')}, eventsourcing"
        f" {version('eventsourcing')}; the embedded PostgreSQL, `synchronous_commit` on",
        f"- {datetime.now(UTC):%Y-%m-%d}, seed {SEED}, medians of interleaved rounds",
    ]


WIDTH, LEFT, BAR, GAP = 720, 220, 18, 6


def chart(figures: Sequence[Figure]) -> str:
    """Horizontal bars of all figures in appends a second, grouped, as SVG."""
    bars = [each for each in figures if each.unit == "appends/s"]
    most = max((each.value or 0 for each in bars), default=1) or 1
    parts, y = [], 16
    for group in dict.fromkeys(each.group for each in bars):
        parts.append(f'<text x="8" y="{y + 12}" font-weight="bold">{escape(group)}</text>')
        y += BAR + GAP
        for each in (each for each in bars if each.group == group):
            length = (each.value or 0) / most * (WIDTH - LEFT - 110)
            colour = "#2563eb" if each.what.startswith("Tidings") else "#94a3b8"
            parts += [
                f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(each.what)}</text>',
                f'<rect x="{LEFT}" y="{y}" width="{max(length, 1):.0f}" height="{BAR}"'
                f' fill="{colour}"/>',
                f'<text x="{LEFT + length + 6:.0f}" y="{y + 13}">{escape(_said(each))}</text>',
            ]
            y += BAR + GAP
        y += 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}"'
        f' viewBox="0 0 {WIDTH} {y}" font-family="sans-serif" font-size="12" fill="#334155">\n'
        f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )
