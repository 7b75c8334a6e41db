"""Which parameters does a database take for the same?

Not those that Python calls equal: ``1 == 1.0 == True``, ``0.0 == -0.0`` and ``Decimal("1.0") == Decimal("1.00")``, and
each of them is other SQL, of another type or with other digits.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Iterable
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

#: Types of which equal values are the same in each respect.
_EQUAL: Final = frozenset({bool, int, str, bytes, type(None), UUID, dt.date, dt.timedelta})
#: Types of which values that are written alike are.
_WRITTEN: Final = frozenset({float, Decimal, dt.datetime, dt.time})


def as_sent(param: Any) -> Hashable:
    """Return what is equal for two parameters only where a database cannot tell them apart.

    It may differ where a database could not either: then something is done twice, or by a gather.
    """
    kind = type(param)
    if kind in _EQUAL:
        return kind, param
    if kind in _WRITTEN:
        return kind, repr(param)
    if isinstance(param, (dict, list, tuple)):
        return kind, all_as_sent(param.items() if isinstance(param, dict) else param)
    if isinstance(param, (bytearray, memoryview)):
        return kind, bytes(param)
    # Some write only the beginning of a long value, so it counts as well.
    return kind, repr(param), param if isinstance(param, Hashable) else object()


def all_as_sent(params: Iterable[Any]) -> tuple[Hashable, ...]:
    """Return what is equal for two lists of parameters only where a database cannot tell them apart."""
    return tuple(map(as_sent, params))
