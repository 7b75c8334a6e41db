"""What do the pages say: which steps, entries and links?

A step is what a reader would do: a block of code under a comment that says so.

=========================  ===================================================================================
``<!-- project -->``       begin in a project that is set up for shardkit and has no models
``<!-- file: PATH -->``    write the block to this file
``<!-- append: PATH -->``  add the block to the end of this file
``<!-- run -->``           type what follows ``$`` or ``>>>``, and see what follows that
``<!-- fails -->``         the same, and the last command ends badly
``<!-- hidden: CMD -->``   run a command that needs no words
``<!-- servers: A B -->``    let a PostgreSQL with a database ``shop`` be at the host A, and standbys at all others
=========================  ===================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
PAGES: Final = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md")))

STEP: Final = re.compile(
    r"^<!-- (?P<kind>project|file|append|run|fails|hidden|servers)(: (?P<argument>.+?))? -->\n"
    r"(```(?P<language>\w+)\n(?P<body>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)
FENCED: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
#: A name in code at the beginning of a heading or of a table's line has its entry there.
ENTRY: Final = re.compile(r"^(?:#+|\|) ((?:`[^`]+`(?:, )?)+)", re.MULTILINE)
LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """One thing that a page tells its reader to do."""

    kind: str
    argument: str
    language: str
    body: str


def steps(page: Path) -> list[Step]:
    """List what *page* tells its reader to do."""
    return [
        Step(found["kind"], found["argument"] or "", found["language"] or "", found["body"] or "")
        for found in STEP.finditer(page.read_text())
    ]


def entries(page: Path) -> set[str]:
    """Return the names that have an entry on *page*: those in code at the head of a section or of a table's line."""
    heads = ENTRY.findall(_prose(page))
    return {name for head in heads for name in re.findall(r"`([^`]+)`", head)}


def links(page: Path) -> list[str]:
    """List the targets of the links on *page* that stay inside the project."""
    return [target for target in LINK.findall(_prose(page)) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """Return the fragments by which the headings of *page* can be linked."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in HEADING.findall(_prose(page))}


def table_rows(page: Path, *header: str) -> Iterator[list[str]]:
    """Yield the cells of every line of the tables on *page* whose header begins with *header*."""
    for table in re.findall(r"(?:^\|.*\n)+", _prose(page), re.MULTILINE):
        head, _rule, *rows = [_cells(line) for line in table.splitlines()]
        if tuple(head[: len(header)]) == header:
            yield from rows


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _prose(page: Path) -> str:
    return FENCED.sub("", page.read_text())
