"""How does a story become readable?

Colours are for terminals only, and each database keeps its own.
"""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, TextIO

from django.core.management.color import supports_color
from django.utils.termcolors import colorize

#: How wide a paragraph is, in characters.
WIDTH: Final = 110
INDENT: Final = "  "
#: How wide the first columns of a table are at least, so that tables below each other are aligned.
COLUMNS: Final = (8, 36)
#: The colours of the shards, in turn; other databases have none of these.
COLOURS: Final = ("green", "yellow", "blue", "magenta", "cyan")


class Screen:
    """Writes headings, sentences and tables."""

    def __init__(
        self, aliases: Iterable[str], *, out: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.out = out or sys.stdout
        self.clock = clock
        self.began = clock()
        self.aliases = tuple(aliases)
        self.coloured = self.out.isatty() and supports_color()
        shards = [alias for alias in self.aliases if alias.startswith("shard_")]
        self.colours: Mapping[str, str] = {alias: COLOURS[number % len(COLOURS)] for number, alias in enumerate(shards)}

    @property
    def seconds(self) -> float:
        """How long the story has been going on."""
        return self.clock() - self.began

    def chapter(self, title: str) -> None:
        """Begin a part of the story."""
        self._write(f"\n{self._paint(title, 'bold')}  (after {self.seconds:.1f} s)\n", flush=True)

    def say(self, text: str, *, apart: bool = False) -> None:
        """Write a paragraph, *apart* from what is above."""
        self._write(
            "\n" * apart + textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False) + "\n", flush=True
        )

    def line(self, text: str) -> None:
        """Write one line as it is: somebody may copy it."""
        self._write(f"{INDENT}{text}\n", flush=True)

    def step(self, number: int, title: str, what: str) -> None:
        """Begin one step."""
        self._write(f"\n{self._paint(f'{number:>2}. {title}', 'bold')}  {what}\n")

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Align *rows*; names of databases get their colours, and the last column may be long."""
        cells = [list(headers), *map(list, rows)]
        least = (*COLUMNS, *[0] * len(headers))
        widths = [max(least[column], *(len(row[column]) for row in cells)) for column in range(len(headers))]
        for number, row in enumerate(cells):
            padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            shown = [self._cell(cell, is_header=not number) for cell in padded]
            self._write(INDENT * 2 + "  ".join(shown).rstrip() + "\n")
        self.out.flush()

    def quote(self, code: str, answer: str, *, is_bad: bool) -> None:
        """Show *code*, and below it what came of it."""
        self._write(f"{INDENT}{self._paint(code, 'bold')}\n")
        for line in _wrapped(answer, WIDTH - 2 * len(INDENT)):
            self._write(f"{INDENT * 2}{self._paint(line, fg='red' if is_bad else 'green')}\n", flush=True)

    def remark(self, text: str) -> None:
        """Say something about what was quoted above."""
        for line in _wrapped(text, WIDTH - 2 * len(INDENT)):
            self._write(f"{INDENT * 2}{line}\n", flush=True)

    def _cell(self, cell: str, *, is_header: bool) -> str:
        if is_header:
            return self._paint(cell, "underscore")
        colour = self.colours.get(cell.strip())
        return self._paint(cell, fg=colour) if colour else cell

    def _paint(self, text: str, *options: str, fg: str | None = None) -> str:
        if not self.coloured:
            return text
        return colorize(text, options, fg=fg) if fg else colorize(text, options)

    def _write(self, text: str, *, flush: bool = False) -> None:
        self.out.write(text)
        if flush:
            self.out.flush()


def _wrapped(text: str, width: int) -> list[str]:
    """Break *text* between words only: a path or a name is copied as a whole."""
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
