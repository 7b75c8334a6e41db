"""Is every row of the files in exactly one place, and in every place if the table is copied?

The files and each database are read as streams; what is remembered is one month's digests.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shardkit.routing.registry import databases_of
from testapp.flights.dataset.files import Part, SourceTable
from testapp.flights.dataset.stored import Digest, count_stored, digest_of, is_copied, owner_test, stored_rows

#: How many wrong rows of a table are named.
EXAMPLES: Final = 3


@dataclass
class Count:
    """What one database holds of a table."""

    found: int = 0
    #: Rows that the file does not have, or does not have so often.
    surplus: int = 0
    #: Rows that another shard should hold.
    misplaced: int = 0


@dataclass
class Group:
    """Databases that together hold every row of a table once: all shards, or one copy."""

    databases: dict[str, Count]
    missing: int = 0

    @property
    def total(self) -> Count:
        counts = self.databases.values()
        return Count(
            sum(count.found for count in counts),
            sum(count.surplus for count in counts),
            sum(count.misplaced for count in counts),
        )

    @property
    def is_exact(self) -> bool:
        total = self.total
        return not (self.missing or total.surplus or total.misplaced)


@dataclass
class Comparison:
    """How the databases and the file of one table differ."""

    table: SourceTable
    groups: list[Group]
    in_source: int = 0
    #: Some of the wrong rows, in words.
    examples: list[str] = field(default_factory=list)

    @property
    def is_exact(self) -> bool:
        return all(group.is_exact for group in self.groups)

    def tell(self, example: str) -> None:
        if len(self.examples) < EXAMPLES:
            self.examples.append(f"{self.table.name}: {example}")


def compare_table(
    table: SourceTable, folder: Path, months: Collection[int], *, advance: Callable[[int], None] = lambda _rows: None
) -> Comparison:
    """Compare the rows of *months* with all databases, telling *advance* how many more rows are dealt with."""
    aliases = databases_of(table.model)
    groups = [[alias] for alias in aliases] if is_copied(table.model) else [aliases]
    result = Comparison(table, [Group({alias: Count() for alias in group}) for group in groups])
    for part in table.parts(folder, months):
        lines = _lines_by_digest(part)
        rows = sum(map(len, lines.values()))
        for group in result.groups:
            _compare_part(part, {digest: [*found] for digest, found in lines.items()}, group, result)
        result.in_source += rows
        advance(rows)
    for group in result.groups:
        _count_the_rest(group, result)
    return result


def _lines_by_digest(part: Part) -> dict[Digest, list[int]]:
    """Remember on which lines of the file each row stands."""
    lines: dict[Digest, list[int]] = defaultdict(list)
    for line, row in part.rows:
        lines[digest_of(row)].append(line)
    return lines


def _compare_part(part: Part, expected: dict[Digest, list[int]], group: Group, result: Comparison) -> None:
    """Strike out of *expected* what the databases hold; what is left is missing."""
    for alias, count in group.databases.items():
        belongs = owner_test(part.table, alias)
        for pk, row in stored_rows(part, alias):
            count.found += 1
            lines = expected.get(digest_of(row))
            if lines:
                lines.pop()
            else:
                count.surplus += 1
                result.tell(f"the row with the key {pk!r} in {alias} is not in the file, or is there twice")
            if not belongs(pk, row):
                count.misplaced += 1
                result.tell(f"the row with the key {pk!r} in {alias} belongs to another shard")
    for lines in expected.values():
        for line in lines:
            group.missing += 1
            result.tell(f"line {line} of the file is missing from {' and '.join(group.databases)}")


def _count_the_rest(group: Group, result: Comparison) -> None:
    """Count the rows that belong to no part of the file: those of other months, say."""
    for alias, count in group.databases.items():
        rest = count_stored(result.table, alias) - count.found
        if rest:
            count.found += rest
            count.surplus += rest
            result.tell(f"{rest:,} rows in {alias} are about nothing in the files, or about other months")
