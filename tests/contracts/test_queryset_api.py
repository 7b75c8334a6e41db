"""Does a test stand behind every public method that Django's ORM has, in the Django that is running?"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from django.db.models import Manager, Model, QuerySet

from shardkit.models import ShardedQuerySet
from tests.contracts.queryset_api import CALLED_BY_DJANGO, COVERED, NOT_METHODS
from tests.shop.models import Customer, Order, Product, Profile, Tagged

TESTS: Final = Path(__file__).parent.parent / "integration" / "orm"
DESCRIPTOR_METHODS: Final = {"__get__", "__set__"}


def _public(owner: Any) -> set[str]:
    return {name for name in dir(owner) if not name.startswith("_")} - NOT_METHODS


def _added(model: type[Model], relation: str) -> set[str]:
    """Return what the class of a related manager defines itself, beyond the manager that it extends."""
    cls = vars(model)[relation].related_manager_cls
    names = {name for name in vars(cls) if not name.startswith("_")}
    return (names | (_public(cls) - _public(Manager) - _public(ShardedQuerySet))) - NOT_METHODS


def _descriptor(owner: Any) -> set[str]:
    cls = type(owner)
    names = {name for name in dir(cls) if callable(getattr(cls, name, None)) and not name.startswith("_")}
    return (names | DESCRIPTOR_METHODS) - NOT_METHODS


def _generic_foreign_key() -> set[str]:
    """Return the methods of the descriptor, which is a class of its own from Django 6.1 on and a field before."""
    found = vars(Tagged)["target"]
    names = {"get_prefetch_querysets", "is_cached", "fetch_one", "fetch_many"} & set(dir(found))
    return _descriptor(found) if "Descriptor" in type(found).__name__ else names | DESCRIPTOR_METHODS


#: What the running Django has, for each table.
FOUND: Final[dict[str, Callable[[], set[str]]]] = {
    "QuerySet": lambda: _public(QuerySet),
    "Manager": lambda: _public(Manager),
    "Model": lambda: _public(Model) | {"get_next_by_created", "get_previous_by_created"},
    "reverse foreign key": lambda: _added(Product, "orders") | _added(Customer, "orders"),
    "many-to-many": lambda: _added(Order, "labels"),
    "generic relation": lambda: _added(Order, "tags"),
    "forward foreign key": lambda: _descriptor(vars(Order)["customer"]),
    "forward one-to-one": lambda: _descriptor(vars(Profile)["customer"]),
    "reverse one-to-one": lambda: _descriptor(vars(Customer)["profile"]),
    "generic foreign key": _generic_foreign_key,
}


@pytest.mark.parametrize("kind", FOUND)
def test_every_method_has_a_test(kind: str) -> None:
    """A method that a new Django brings fails here by its name."""
    assert [] == sorted(FOUND[kind]() - COVERED[kind].keys())


def test_every_table_is_held_against_django() -> None:
    assert COVERED.keys() == FOUND.keys()


@pytest.mark.parametrize("test", sorted({test for table in COVERED.values() for test in table.values()}))
def test_the_test_exists(test: str) -> None:
    file, _, function = test.partition("::")
    function, _, case = function.removesuffix("]").partition("[")

    assert function in _functions(file)
    assert not case or case in _words(file)


@pytest.mark.parametrize(("kind", "method"), [(kind, method) for kind, table in COVERED.items() for method in table])
def test_the_test_calls_the_method(kind: str, method: str) -> None:
    file = COVERED[kind][method].partition("::")[0]

    assert method in CALLED_BY_DJANGO or method in _attributes(file)


def test_a_method_that_no_test_names_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QuerySet, "brand_new", lambda self: self, raising=False)

    with pytest.raises(AssertionError, match="brand_new"):
        test_every_method_has_a_test("QuerySet")


@cache
def _tree(file: str) -> ast.Module:
    return ast.parse((TESTS / file).read_text())


def _functions(file: str) -> Iterable[str]:
    return [node.name for node in _tree(file).body if isinstance(node, ast.FunctionDef)]


def _words(file: str) -> set[str]:
    """Return the names of the cases in *file*: keywords, and keys of dictionaries."""
    nodes = list(ast.walk(_tree(file)))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return texts | {node.arg for node in nodes if isinstance(node, ast.keyword) and node.arg}


def _attributes(file: str) -> set[str]:
    nodes = list(ast.walk(_tree(file)))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return texts | {node.attr for node in nodes if isinstance(node, ast.Attribute)}
