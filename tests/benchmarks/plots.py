"""What do the numbers of a run look like?

The drawings are SVG with text as text and no background, in colours that can be read on white and on black.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from tests.benchmarks.results import VENDORS

#: What `results.read` returns: the numbers of each vendor.
Results = Mapping[str, Mapping[str, Any]]

GREY: Final = "#77818b"
COLOURS: Final = {"sqlite": "#b8860b", "postgresql": "#3b82f6", "mysql": "#d9548c"}
#: A way of asking has one style, a vendor one colour.
STYLES: Final = ("-", "--", ":")
STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "shardkit",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": GREY,
    "axes.labelcolor": GREY,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
}


@dataclass(frozen=True, slots=True)
class Curves:
    """A plot of what a run noted by `Report.add_point`."""

    title: str
    across: str
    upwards: str
    scales: tuple[str, str] = ("linear", "linear")

    def draw(self, name: str, results: Results) -> Figure:
        figure = Figure(figsize=(6.4, 3.8), layout="constrained")
        axes = figure.add_subplot()
        ticks: set[float] = set()
        for vendor, of_vendor in results.items():
            for (curve, points), style in zip(of_vendor["curves"].get(name, {}).items(), STYLES, strict=False):
                xs, ys = zip(*points, strict=True)
                label = f"{VENDORS[vendor]}: {curve}"
                axes.plot(xs, ys, style, marker="o", color=COLOURS[vendor], label=label)
                ticks.update(xs)
        axes.set(
            title=self.title, xlabel=self.across, ylabel=self.upwards, xscale=self.scales[0], yscale=self.scales[1]
        )
        axes.set_xticks(sorted(ticks))
        axes.xaxis.set_minor_locator(NullLocator())
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:,.10g}"))
        if self.scales[1] == "linear":
            axes.set_ylim(bottom=0)
        axes.grid(color=GREY, alpha=0.2)
        axes.legend()
        return figure


@dataclass(frozen=True, slots=True)
class Bars:
    """A plot of the ratios of some sections of the table."""

    title: str
    across: str
    #: How the headings of these sections begin.
    sections: Sequence[str]

    def draw(self, _name: str, results: Results) -> Figure:
        ratios: dict[str, dict[str, float]] = {}
        for vendor, of_vendor in results.items():
            for heading, lines in of_vendor["sections"].items():
                if heading.startswith(tuple(self.sections)):
                    for line in lines:
                        if line["ratio"] is not None:
                            ratios.setdefault(line["cells"][0], {})[vendor] = line["ratio"]
        vendors = [vendor for vendor in VENDORS if any(vendor in found for found in ratios.values())]
        figure = Figure(figsize=(7.6, 1.2 + len(ratios) * (0.14 + 0.16 * len(vendors))), layout="constrained")
        axes = figure.add_subplot()
        height = 0.8 / max(len(vendors), 1)
        for nth, vendor in enumerate(vendors):
            places = [(row, found[vendor]) for row, found in enumerate(ratios.values()) if vendor in found]
            rows, values = (
                [row + (nth - (len(vendors) - 1) / 2) * height for row, _ in places],
                [at for _, at in places],
            )
            bars = axes.barh(rows, values, height * 0.9, color=COLOURS[vendor], label=VENDORS[vendor])
            axes.bar_label(bars, fmt="%.2f", padding=2, fontsize=7)
        axes.axvline(1, color=GREY, linewidth=1)
        axes.set(title=self.title, xlabel=self.across)
        axes.set_yticks(range(len(ratios)), [_plain_text(name) for name in ratios], fontsize=8)
        axes.invert_yaxis()
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        if len(vendors) > 1:
            axes.legend(loc="lower right")
        return figure


PLOTS: Final[dict[str, Curves | Bars]] = {
    "memory": Curves(
        "Peak memory while rows are streamed in order", "rows streamed", "peak memory (MB)", ("log", "linear")
    ),
    "fanout": Curves("Statements that wait 5 ms each", "connections asked", "time until all have answered (ms)"),
    "cursors": Curves(
        "A page of 20 rows from four shards", "number of the page", "time of the page (ms)", ("log", "log")
    ),
    "groups": Bars(
        "Groups of 336,776 flights", "time on four shards / time on one database", ["Groups and aggregates"]
    ),
    "gather": Bars(
        "Gathering 100,000 rows",
        "time on four shards / time on one database",
        ["Gathering over four shards: 100,000", "Gathering against"],
    ),
    "coordinator": Bars(
        "The coordinator, 1,000,000 rows", "time of the coordinator / time of a gather", ["The coordinator"]
    ),
}


def draw_all(results: Results, directory: Path, *, suffix: str = ".svg") -> list[Path]:
    """Draw every plot of *results* into *directory*."""
    directory.mkdir(parents=True, exist_ok=True)
    drawn: list[Path] = []
    with mpl.rc_context(STYLE):
        for name, plot in PLOTS.items():
            path = directory / f"{name}{suffix}"
            kept: dict[str, Any] = {"metadata": {"Date": None}} if suffix == ".svg" else {"dpi": 110}
            plot.draw(name, results).savefig(path, transparent=suffix == ".svg", **kept)
            drawn.append(path)
    return drawn


def _plain_text(name: str) -> str:
    """Take Markdown out of *name*, and break it where it is long."""
    text = name.replace("`", "")
    if len(text) <= 44:
        return text
    at = text.rfind(" ", 0, len(text) // 2 + 8)
    return f"{text[:at]}\n{text[at + 1 :]}"
