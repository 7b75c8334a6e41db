"""Do Django's insides still look as `shardkit.orm._django` says?"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import pytest
from django.db import connections
from django.db.models import F, Q, QuerySet, Value
from django.db.models.base import ModelState
from django.db.models.expressions import Col, ColPairs
from django.db.models.fields.tuple_lookups import TupleIn
from django.db.models.query_utils import FilteredRelation
from django.db.models.sql.compiler import PositionRef, SQLCompiler
from django.db.models.sql.subqueries import InsertQuery, UpdateQuery
from django.db.transaction import Atomic
from django.utils.module_loading import import_string

import shardkit
from shardkit.fanout import _psycopg
from shardkit.orm._django import ATTRIBUTES, CALLABLES
from tests.shop.models import Customer, Order

#: Underscore names that Django documents, or that Python's own library does.
DOCUMENTED: Final = {"_meta", "_state", "_base_manager", "_default_manager", "_fields"}
#: Underscore names of Python and of the drivers.
OTHERS: Final = {"_getframe", "_read_gen", "_result"}


def _joined(where: str) -> Any:
    query = Order.objects.filter(customer__name="Ada", pk=7).query
    return query.alias_map[where]


def _compiled() -> SQLCompiler:
    compiler = connections["oracle"].ops.compiler("SQLCompiler")(Order.objects.all().query, connections["oracle"], None)
    compiler.pre_sql_setup()
    found: SQLCompiler = compiler
    return found


def _insert() -> InsertQuery:
    query = InsertQuery(Order)
    query.insert_values([], [], raw=True)
    return query


def _tuple_lookup() -> TupleIn:
    relation = Order._meta.get_field("customer")
    return TupleIn(ColPairs("shop_order", (relation,), (relation,), relation), [(1,), (2,)])


def _filtered_relation() -> Any:
    fresh = FilteredRelation("orders", condition=Q(orders__number=1))
    query = Customer.objects.annotate(fresh=fresh).filter(fresh__status="new").query
    return next(table.filtered_relation for table in query.alias_map.values() if getattr(table, "filtered_relation", 0))


#: An instance of each class that `ATTRIBUTES` names.
INSTANCES: Final[dict[str, Callable[[], Any]]] = {
    "django.db.transaction.Atomic": lambda: Atomic("default", savepoint=True, durable=False),
    "django.db.models.sql.query.Query": lambda: Order.objects.all().query,
    "django.db.models.sql.subqueries.InsertQuery": _insert,
    "django.db.models.sql.subqueries.UpdateQuery": lambda: UpdateQuery(Order),
    "django.db.models.sql.compiler.SQLCompiler": _compiled,
    "django.db.models.sql.compiler.PositionRef": lambda: PositionRef("1", "name", Value(1)),
    "django.db.models.expressions.OrderBy": lambda: F("name").asc(),
    "django.db.models.sql.where.WhereNode": lambda: Order.objects.filter(pk=7).query.where,
    "django.db.models.sql.datastructures.BaseTable": partial(_joined, "shop_order"),
    "django.db.models.sql.datastructures.Join": partial(_joined, "shop_customer"),
    "django.db.models.lookups.Exact": lambda: Order.objects.filter(pk=7).query.where.children[0],
    "django.db.models.fields.tuple_lookups.TupleIn": _tuple_lookup,
    "django.db.models.expressions.Col": lambda: Col("shop_order", Order._meta.pk),
    "django.db.models.expressions.ColPairs": lambda: _tuple_lookup().lhs,
    "django.db.models.query_utils.FilteredRelation": _filtered_relation,
    "django.db.models.query.QuerySet": lambda: QuerySet(Order),
    "django.db.models.base.ModelState": ModelState,
    "django.db.backends.base.base.BaseDatabaseWrapper": lambda: connections["oracle"],
}


@pytest.mark.parametrize("name", CALLABLES)
def test_a_callable_takes_what_we_give_it(name: str) -> None:
    parameters = list(inspect.signature(_found(name)).parameters)

    assert list(CALLABLES[name]) == parameters[: len(CALLABLES[name])]


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_an_instance_has_what_we_read(name: str) -> None:
    instance = INSTANCES[name]()

    assert isinstance(instance, import_string(name))
    assert [] == [attribute for attribute in ATTRIBUTES[name] if not hasattr(instance, attribute)]


def test_every_private_name_that_we_use_is_listed() -> None:
    """An underscore name is ours, Django's documentation has it, or `_django` or `_psycopg` lists it."""
    listed = {name.rpartition(".")[2] for name in (*CALLABLES, *_psycopg.CALLABLES)}
    listed |= {name for found in ATTRIBUTES.values() for name in found}
    ours, used = set[str](), dict[str, str]()
    for path in Path(shardkit.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text())
        ours |= set(_defined(tree))
        used |= dict.fromkeys(_used(tree), path.name)

    assert {} == {name: where for name, where in used.items() if name not in ours | listed | DOCUMENTED | OTHERS}


def _found(name: str) -> Any:
    """Return what *name* leads to; a class method as the function that it is."""
    owner, _, attribute = name.rpartition(".")
    found = getattr(_module_or_class(owner), attribute)
    return getattr(found, "__func__", found) if CALLABLES[name][0] == "cls" else found


def _module_or_class(name: str) -> Any:
    return import_string(name) if name.rpartition(".")[2][0].isupper() else import_module(name)


def _used(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            yield node.attr


def _defined(tree: ast.Module) -> Iterator[str]:
    """Yield the names of functions, classes and attributes that this module makes."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name):
            yield node.attr


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")
