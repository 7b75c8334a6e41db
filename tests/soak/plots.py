"""What do the numbers of soak runs look like: ``python -m tests.soak.plots docs/explanation/plots``?

Read from ``soak-<vendor>.json`` and ``shares-<vendor>.json`` in that directory, which ``--kept`` has written.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from tests.benchmarks.plots import COLOURS, GREY, STYLE
from tests.benchmarks.results import VENDORS

RULES: Final = {"positions": "positions", "timer:2": "timer of 2 s", "timer:5": "timer of 5 s"}
RULE_STYLES: Final = {"positions": "-", "timer:2": "--", "timer:5": ":"}


def main() -> int:
    directory = Path(sys.argv[1])
    with mpl.rc_context(STYLE):
        for name, draw in (("shares", draw_shares), ("soak", draw_rules)):
            found = {vendor: _read(directory / f"{name}-{vendor}.json") for vendor in VENDORS}
            kept = {vendor: each for vendor, each in found.items() if each is not None}
            if kept:
                draw(kept).savefig(directory / f"{name}.svg", transparent=True, metadata={"Date": None})
    return 0


def draw_shares(found: dict[str, Any]) -> Figure:
    """Draw how much of the reading the replicas take: a panel for each share of writes."""
    points = [{**point, "vendor": vendor} for vendor, each in found.items() for point in each["points"]]
    writes = sorted({point["writes"] for point in points})
    figure = Figure(figsize=(8.4, 4.4), layout="constrained")
    panels = figure.subplots(1, len(writes), sharey=True, squeeze=False)[0]
    for axes, share in zip(panels, writes, strict=True):
        for vendor in found:
            for rule, style in RULE_STYLES.items():
                mine = [p for p in points if (p["vendor"], p["rule"], p["writes"]) == (vendor, rule, share)]
                label = f"{VENDORS[vendor]}: {RULES[rule]}"
                xs, ys = [p["lag"] for p in mine], [p["share"] * 100 for p in mine]
                axes.plot(xs, ys, style, marker="o", color=COLOURS[vendor], label=label)
                wrong = [p for p in mine if p["violations"]]
                axes.plot([p["lag"] for p in wrong], [p["share"] * 100 for p in wrong], "x", color=GREY, markersize=10)
        lags = sorted({point["lag"] for point in points})
        axes.set(title=f"{share:.0%} of requests write", xlabel="lag (s)", xscale="log", ylim=(0, 104))
        axes.set_xticks(lags, [f"{lag:g}" for lag in lags])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(color=GREY, alpha=0.2)
    panels[0].set_ylabel("reads taken by replicas (%)")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(found), fontsize=8)
    figure.suptitle("Crossed out: rows went back in time for users", fontsize=9)
    return figure


def draw_rules(found: dict[str, Any]) -> Figure:
    """Draw what each rule got wrong in the same run, and how much the replicas took."""
    figure = Figure(figsize=(8.4, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    height = 0.8 / len(found)
    for nth, (vendor, each) in enumerate(found.items()):
        rules = [rule for rule in RULES if rule in each["rules"]]
        rows = [row + (nth - (len(found) - 1) / 2) * height for row in range(len(rules))]
        told = [each["rules"][rule] for rule in rules]
        wrong = [sum(count for name, count in one.items() if name.startswith("violations")) for one in told]
        bars = left.barh(rows, wrong, height * 0.9, color=COLOURS[vendor], label=VENDORS[vendor])
        left.bar_label(bars, padding=2, fontsize=8)
        shares = [(one["share of replicas"] or 0) * 100 for one in told]
        right.bar_label(
            right.barh(rows, shares, height * 0.9, color=COLOURS[vendor]), fmt="%.0f", padding=2, fontsize=8
        )
        left.set_yticks(range(len(rules)), [RULES[rule] for rule in rules])
    left.set(title="Rows that went back in time", xlabel="rows of one run with faults")
    right.set(title="Reads taken by replicas", xlabel="%", xlim=(0, 108))
    right.set_yticks([])
    for axes in (left, right):
        axes.invert_yaxis()
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=len(found), fontsize=8)
    return figure


def _read(path: Path) -> Any:
    return json.loads(path.read_text()) if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
