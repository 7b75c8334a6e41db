"""How does a reader come from one page of a queryset to the next, and back?

A *cursor* is a signed text that names a place in an order: the values of a row's keys, and on which side of it the
page lies. It is readable, so it is no place for secrets; it cannot be made up, and it fits one query only.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from base64 import b64decode, b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeVar, overload
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.db.models import Model
from django.db.models.query import FlatValuesListIterable, ModelIterable, ValuesIterable, ValuesListIterable

from shardkit.errors import CursorInvalid, OrderNotPageable
from shardkit.orm.paging.keysets import Keyset
from shardkit.vendors.registry import vendor_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from django.db.models import QuerySet

_Row = TypeVar("_Row")

SALT: Final = "shardkit.cursor"
#: What an IN of any length looks like.
_LIST: Final = re.compile(r"\(%s(?:, %s)+\)")
#: How values travel that JSON does not have.
_WRITERS: Final[Mapping[type, tuple[str, Callable[[Any], str]]]] = {
    float: ("float", repr),
    Decimal: ("decimal", str),
    UUID: ("uuid", str),
    dt.datetime: ("datetime", dt.datetime.isoformat),
    dt.date: ("date", dt.date.isoformat),
    dt.time: ("time", dt.time.isoformat),
    dt.timedelta: ("timedelta", lambda value: str(value // dt.timedelta(microseconds=1))),
    bytes: ("bytes", lambda value: b64encode(value).decode()),
    memoryview: ("bytes", lambda value: b64encode(value).decode()),
}
_READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "float": float,
    "decimal": Decimal,
    "uuid": UUID,
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "time": dt.time.fromisoformat,
    "timedelta": lambda text: dt.timedelta(microseconds=int(text)),
    "bytes": b64decode,
}


@dataclass(frozen=True)
class Place:
    """A place in an order: before or behind a row, or at it."""

    values: tuple[Any, ...]
    #: The page lies before the row and not behind it.
    backward: bool = False
    #: The row itself would be on the page.
    inclusive: bool = False


class CursorPage(Sequence[_Row], Generic[_Row]):
    """A page of rows that knows the cursors of its neighbours (the interface of Django's `Page`, without numbers)."""

    def __init__(
        self, pager: Pager, rows: list[tuple[_Row, tuple[Any, ...]]], place: Place | None, *, more: bool
    ) -> None:
        """Take *rows* with the values of their keys, found from *place*, behind which there are *more* or not."""
        self.object_list: list[_Row] = [row for row, _values in rows]
        self._pager, self._values, self._place, self._more = pager, [values for _row, values in rows], place, more

    def has_next(self) -> bool:
        """Say whether there is a page behind this one."""
        return self._more if self._place is None or not self._place.backward else True

    def has_previous(self) -> bool:
        """Say whether there is a page before this one; its rows may be gone by the time they are asked for."""
        return self._place is not None and (self._more or not self._place.backward)

    def has_other_pages(self) -> bool:
        """Say whether there is any page but this one."""
        return self.has_next() or self.has_previous()

    @property
    def next_cursor(self) -> str | None:
        """The cursor of the next page, if there is one."""
        return self._neighbour(backward=False) if self.has_next() else None

    @property
    def previous_cursor(self) -> str | None:
        """The cursor of the previous page, if there is one."""
        return self._neighbour(backward=True) if self.has_previous() else None

    def cursor_at(self, position: int) -> str:
        """Return the cursor of the rows behind the one at *position* on this page."""
        return self._pager.token(Place(self._values[position]))

    def _neighbour(self, *, backward: bool) -> str:
        if self._values:
            return self._pager.token(Place(self._values[0 if backward else -1], backward=backward))
        # Nothing lies on this side of the place, so its other side begins with what this one left out.
        here = self._place or Place(())
        return self._pager.token(replace(here, backward=backward, inclusive=not here.inclusive))

    def __len__(self) -> int:
        return len(self.object_list)

    @overload
    def __getitem__(self, index: int) -> _Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[_Row]: ...
    def __getitem__(self, index: int | slice) -> _Row | list[_Row]:
        return self.object_list[index]

    def __repr__(self) -> str:
        return f"<CursorPage of {len(self)} rows>"


def page_of(
    queryset: QuerySet[Any, Any], *, size: int, cursor: str | None = None, after: Any = None, before: Any = None
) -> CursorPage[Any]:
    """Return a page of *queryset*: the first one, that of *cursor*, or the one next to a row or to its cursor."""
    if sum(bool(start) for start in (cursor, after, before)) > 1:
        raise TypeError("A page begins at a cursor, after a row or before one: give one of them.")
    if size < 1:
        raise ValueError(f"A page holds at least one row, not {size}.")
    pager = Pager(queryset)
    if cursor:
        return pager.page(size, pager.read(cursor))
    if after or before:
        return pager.page(size, pager.place_of(after or before, backward=bool(before)))
    return pager.page(size, None)


class Pager:
    """Pages of one queryset."""

    def __init__(self, queryset: QuerySet[Any, Any]) -> None:
        """See what *queryset* is ordered by; no row is asked for."""
        self.keyset = Keyset(queryset)
        self._rows = _reader(self.keyset)

    def page(self, size: int, place: Place | None) -> CursorPage[Any]:
        """Read the *size* rows next to *place*, the first ones without one."""
        keys = self.keyset.keys
        backward = place is not None and place.backward
        if backward:
            keys = tuple(key.reversed() for key in keys)
        found: list[tuple[Any, tuple[Any, ...]]] = []
        values, inclusive = (None, False) if place is None else (place.values, place.inclusive)
        for part in self.keyset.parts(keys, values, inclusive=inclusive):
            found += self._rows(part, size + 1 - len(found))
            if len(found) > size:
                break
        more = len(found) > size
        if more and found[size][1] == found[size - 1][1]:
            raise OrderNotPageable(
                self.keyset.label, "its joins give one row several times", "Let distinct() keep one of each."
            )
        rows = found[:size]
        return CursorPage(self, rows[::-1] if backward else rows, place, more=more)

    def place_of(self, row: Any, *, backward: bool) -> Place:
        """Return the place next to *row*, which is an instance or a cursor."""
        if isinstance(row, str):
            return Place(self.read(row).values, backward=backward)
        if not isinstance(row, Model) or row.pk is None:
            raise TypeError(f"Pages begin at a cursor or a saved {self.keyset.label}, not at {row!r}.")
        names = [key.attribute for key in self.keyset.keys]
        if isinstance(row, self.keyset.queryset.model) and all(name in vars(row) for name in names):
            return Place(tuple(vars(row)[str(name)] for name in names), backward=backward)
        for part in self.keyset.parts(self.keyset.keys, None, inclusive=False):
            for _row, values in self._rows(part.filter(pk=row.pk), 1):
                return Place(values, backward=backward)
        raise CursorInvalid(self.keyset.label, "the row to begin at is none of its rows")

    def token(self, place: Place) -> str:
        """Write *place* as a cursor."""
        values = [self._written(value) for value in place.values]
        return Signer(salt=SALT).sign_object([self._query, place.backward, place.inclusive, values], compress=True)

    def read(self, cursor: str) -> Place:
        """Read a *cursor*, or raise `CursorInvalid`."""
        try:
            query, backward, inclusive, values = Signer(salt=SALT).unsign_object(cursor)
            place = Place(tuple(map(_read, values)), backward=backward, inclusive=inclusive)
        except (BadSignature, TypeError, ValueError, KeyError, AttributeError) as error:
            raise CursorInvalid(self.keyset.label, "it is damaged, or was not made here") from error
        if self._query not in {query, ""} or len(place.values) != len(self.keyset.keys):
            raise CursorInvalid(self.keyset.label, "it was made by another query or for another order")
        return place

    @cached_property
    def _query(self) -> str:
        """What tells this query from others: its text, but not the values in its conditions."""
        text = self.keyset.text()
        if text is None:
            return ""
        shape = f"{self.keyset.label} {_LIST.sub('(%s)', text)}"
        return hashlib.sha256(shape.encode()).hexdigest()[:16]

    def _written(self, value: Any) -> Any:
        counting = vendor_of(self.keyset.connection).sorted_characters
        if isinstance(value, str) and counting is not None and len(value) > counting:
            self._refuse(f"only the first {counting} characters of a text are sure to count in the order")
        if isinstance(value, Decimal) and not value.is_finite():
            self._refuse(f"{value} is no number that Django could compare")
        if value is None or isinstance(value, (bool, int, str)):
            return value if type(value) in {bool, int, str, type(None)} else _plain(value)
        writer = next((_WRITERS[kind] for kind in type(value).__mro__ if kind in _WRITERS), None)
        if writer is None:
            self._refuse(f"values of the type {type(value).__name__} order it")
        name, write = writer
        return [name, write(value)]

    def _refuse(self, why: str) -> NoReturn:
        raise OrderNotPageable(self.keyset.label, why, "Order by other columns.")


def _plain(value: Any) -> Any:
    """Return a member of an enumeration, or the like, as the number or text that it is."""
    return str.__str__(value) if isinstance(value, str) else int(value)


def _read(value: Any) -> Any:
    if isinstance(value, list):
        name, text = value
        return _READERS[name](text)
    return value


def _reader(keyset: Keyset) -> Callable[[Any, int], list[tuple[Any, tuple[Any, ...]]]]:
    """Return what reads so many rows of a part of *keyset*, each with the values of its keys."""
    iterable = keyset.queryset._iterable_class
    if issubclass(iterable, ModelIterable):
        hidden = {n: f"_cursor_{n}" for n, key in enumerate(keyset.keys) if key.attribute is None}
        names = [hidden.get(n) or str(key.attribute) for n, key in enumerate(keyset.keys)]
        take: Callable[[Any], Any] = lambda row: _instance(row, names, set(hidden.values()))  # noqa: E731
    else:
        take = _taker(keyset, iterable)
        hidden = {n: f"_cursor_{n}" for n in range(len(keyset.keys))}

    def read(part: Any, count: int) -> list[tuple[Any, tuple[Any, ...]]]:
        for n, name in hidden.items():
            part.query.add_annotation(keyset.keys[n].expression, name, select=True)
        if issubclass(iterable, FlatValuesListIterable):
            part._iterable_class = ValuesListIterable
        return [take(row) for row in part[:count]]

    return read


def _instance(row: Any, names: list[str], hidden: set[str]) -> tuple[Any, tuple[Any, ...]]:
    values = tuple(vars(row)[name] for name in names)
    for name in hidden:
        del vars(row)[name]
    return row, values


def _taker(keyset: Keyset, iterable: type) -> Callable[[Any], Any]:
    count = len(keyset.keys)
    if iterable is ValuesIterable:
        return lambda row: (row, tuple([row.pop(f"_cursor_{n}") for n in range(count)]))
    if iterable is FlatValuesListIterable:
        return lambda row: (row[0], row[-count:])
    if iterable is ValuesListIterable:
        return lambda row: (row[:-count], row[-count:])
    raise OrderNotPageable(
        keyset.label, f"its rows are made by {iterable.__name__}", "Page through instances, values() or values_list()."
    )
