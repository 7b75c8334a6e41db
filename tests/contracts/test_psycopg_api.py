"""Do psycopg's insides still look as `shardkit.fanout._psycopg` says?"""

from __future__ import annotations

import inspect
from typing import Any

import psycopg
import pytest
from django.utils.module_loading import import_string

from shardkit.fanout._psycopg import ATTRIBUTES, CALLABLES
from shardkit.shadows import copying

ALL_CALLABLES = CALLABLES | copying.CALLABLES


@pytest.mark.parametrize("name", ALL_CALLABLES)
def test_a_callable_takes_what_we_give_it(name: str) -> None:
    owner, _, attribute = name.rpartition(".")
    parameters = list(inspect.signature(getattr(import_string(owner), attribute)).parameters)

    assert list(ALL_CALLABLES[name]) == parameters[: len(ALL_CALLABLES[name])]


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_instance_has_what_we_read(name: str) -> None:
    kinds = [kind for kind in import_string(name).__mro__ if inspect.isfunction(vars(kind).get("__init__"))]
    made = "".join(inspect.getsource(kind.__init__) for kind in kinds)

    assert [] == [attribute for attribute in ATTRIBUTES[name] if f"self.{attribute} = " not in made]


@pytest.mark.parametrize("kind", [psycopg.Cursor, psycopg.ClientCursor])
def test_executing_is_a_generator_that_says_when_it_waits(kind: type[Any]) -> None:
    """What makes us trust the generator is that psycopg's own `execute` runs nothing else."""
    source = inspect.getsource(kind.execute)

    assert "self._conn.wait(" in source
    assert "self._execute_gen(query, params" in source
    assert "with self._conn.lock" in source
