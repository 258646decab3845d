from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench import report
from tests.bench.report import Figure

FIGURES = [
    Figure("Append, 8 callers", "Tidings", 6000.0, "appends/s"),
    Figure("Append, 8 callers", "a & b", 1500.0, "appends/s"),
    Figure("Append, 8 callers", "message-db", None, "appends/s"),
    Figure("Reading", "bare", 0.5, "ms"),
]


def test_the_chart_shows_each_figure_in_proportion() -> None:
    svg = ElementTree.fromstring(report.chart(FIGURES))
    bars = [float(each.attrib["width"]) for each in svg.iter("{http://www.w3.org/2000/svg}rect")][
        1:
    ]
    assert len(bars) == 3
    assert abs(bars[0] / bars[1] - 4) < 0.1
    texts = [each.text for each in svg.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Append, 8 callers", "a & b", "not available", "6,000 appends/s"} <= set(texts)
    assert "bare" not in texts


def test_the_page_names_machine_seed_and_what_could_not_be_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "DOCS", tmp_path)
    report.write(FIGURES, {"ours / theirs": 4.0})
    page = (tmp_path / "benchmarks.md").read_text()
    assert "| message-db | not available |" in page
    assert "| ours / theirs | 4.00 |" in page
    assert f"seed {report.SEED}" in page
    assert "processors" in page
    assert (tmp_path / "benchmarks.svg").exists()
