"""How do the numbers of runs get into the docs?

``make bench ARGS="--results docs/explanation/plots"`` adds what it measured to the numbers that are kept there, section
by section. ``python -m tests.benchmarks.publishing`` puts them into the tables of docs/explanation/benchmarks.md and
draws the plots. Sections of which no numbers are kept stay as they are.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.benchmarks import plots, results
from tests.benchmarks.report import table

DOCS: Final = Path(__file__).parents[2] / "docs" / "explanation"
PAGE: Final = DOCS / "benchmarks.md"
PLOTS: Final = DOCS / "plots"
#: The first lines of a table: its header, and the line below that.
HEAD: Final = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, nargs="?", default=PLOTS, help="where the runs kept their numbers")
    parser.add_argument("--png", type=Path, metavar="DIR", help="draw into DIR, to look at, and publish nothing")
    options = parser.parse_args()
    found = results.read(options.directory)
    if options.png:
        plots.draw_all(found, options.png, suffix=".png")
        return
    page = PAGE.read_text()
    for vendor, numbers in found.items():
        page = with_sections(page, results.VENDORS[vendor], numbers["sections"])
    PAGE.write_text(page)
    plots.draw_all(found, PLOTS)


def with_sections(page: str, heading: str, sections: Mapping[str, Any]) -> str:
    """Return *page* with *sections* in the table below *heading*."""
    found = re.search(rf"^## {heading}\n.*?(^\|.*?\n)(?=[^|]|\Z)", page, re.MULTILINE | re.DOTALL)
    if found is None:
        raise SystemExit(f"{PAGE} has no table below '## {heading}'. Add the heading and an empty table there.")
    now = {name: [line["cells"] for line in lines] for name, lines in sections.items()}
    merged = {**_sections(found[1]), **now}
    return page[: found.start(1)] + table(merged) + "\n" + page[found.end(1) :]


def _sections(text: str) -> dict[str, list[list[str]]]:
    """Read what `table` wrote."""
    sections: dict[str, list[list[str]]] = {}
    lines: list[list[str]] = []
    for row in text.splitlines()[HEAD:]:
        cells = [cell.strip() for cell in row[1:-1].split(" | ")]
        if not any(cells[1:]):
            lines = sections.setdefault(cells[0].strip("*"), [])
        else:
            lines.append(cells)
    return sections


if __name__ == "__main__":
    main()
