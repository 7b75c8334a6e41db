"""How do facts become a table that people can read?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Align *rows* under *headers*: numbers to the right, everything else to the left."""
    given = [list(row) for row in rows]
    lines = [list(headers), *([_text(value) for value in row] for row in given)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headers))]
    right = [
        bool(given) and all(isinstance(row[column], int | float | None) for row in given)
        for column in range(len(headers))
    ]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def counted(number: int, what: str) -> str:
    """Say how many of *what* there are."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _text(value: object) -> str:
    """Write one cell."""
    match value:
        case None:
            return "-"
        case float():
            return f"{value:.2f}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)
