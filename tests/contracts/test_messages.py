"""Do messages say what happened, where, and what to do?"""

from __future__ import annotations

import ast
import pickle
import re
from collections import Counter
from inspect import signature

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.paginator import InvalidPage
from django.db import DatabaseError
from django.db.transaction import TransactionManagementError

from shardkit import errors
from shardkit.errors import ShardkitError
from tests.handbook.pages import ROOT

ERRORS = sorted(
    (
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, ShardkitError) and value.__subclasses__() == []
    ),
    key=lambda error: error.__name__,
)
#: Django's and Python's classes, one of which every error is too.
KNOWN_CLASSES = (
    DatabaseError,
    ImproperlyConfigured,
    InvalidPage,
    TransactionManagementError,
    LookupError,
    TypeError,
    ValueError,
)
#: Arguments whose text is the remedy, written where the error is raised.
REMEDIES = ("remedy", "hint")
#: What tells somebody to do something.
ADVICE = re.compile(
    r"\b(set|use|leave|let|begin|create|run|upgrade|restore|read|filter|ask|bring|name|give|repair|declares)\b"
    r"|\bshardkit knows\b",
    re.IGNORECASE,
)
#: Errors that only say a fact: a programming error, or a limit that is in the sentence.
FACTS = {"BucketNotInSql", "InvalidSharding", "UnknownBucket", "UnknownShard"}


def sample(error: type[ShardkitError]) -> ShardkitError:
    """Make an *error* whose every argument can be told in its message."""
    parameters = signature(error).parameters.values()
    arguments: list[object] = [
        1000 + position if "int" in str(parameter.annotation) else f"Name the {parameter.name} <{position}>."
        for position, parameter in enumerate(parameters)
    ]
    return error(*arguments)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_pickles(error: type[ShardkitError]) -> None:
    original = sample(error)

    copy = pickle.loads(pickle.dumps(original))  # noqa: S301 - our own

    assert (type(copy), str(copy), vars(copy)) == (error, str(original), vars(original))


@pytest.mark.parametrize("error", ERRORS)
def test_a_message_tells_all_that_the_error_knows(error: type[ShardkitError]) -> None:
    original = sample(error)

    assert [] == [argument for argument in original.args if str(argument) not in str(original)]


@pytest.mark.parametrize("error", [error for error in ERRORS if error.__name__ not in FACTS])
def test_a_message_says_what_to_do(error: type[ShardkitError]) -> None:
    takes_remedy = any(name in REMEDIES for name in signature(error).parameters)

    assert takes_remedy or ADVICE.search(error.template)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_is_also_of_the_class_that_django_or_python_has_for_its_meaning(error: type[ShardkitError]) -> None:
    assert issubclass(error, KNOWN_CLASSES)


@pytest.mark.parametrize("error", ERRORS)
def test_a_message_is_made_of_sentences(error: type[ShardkitError]) -> None:
    message = str(sample(error))

    assert re.match(r"[A-Z]", message)
    assert message.endswith((".", ">"))


def test_every_check_has_one_meaning() -> None:
    """The tables in the modules' docstrings say each id once, in its one module."""
    tables = [path.read_text() for path in (ROOT / "shardkit").rglob("*.py")]
    declared = Counter(
        check for text in tables for check in re.findall(r"^(shardkit\.[EW]\d{3})  ", text, re.MULTILINE)
    )

    assert [] == [check for check, times in declared.items() if times > 1]


def test_every_check_that_is_raised_is_declared_where_it_is_raised() -> None:
    modules = {path: path.read_text() for path in (ROOT / "shardkit").rglob("*.py")}
    declared = {
        check for text in modules.values() for check in re.findall(r"^(shardkit\.[EW]\d{3})  ", text, re.MULTILINE)
    }
    raised = {check for text in modules.values() for check in re.findall(r'"(shardkit\.[EW]\d{3})"', text)}

    by_constant = {"shardkit.E050", "shardkit.W003", "shardkit.W006"}
    assert raised - declared == by_constant, "those are told by CATALOG_ERROR, STICKY_WARNING and TASKS_WARNING"
    assert declared <= raised


def test_every_check_has_a_remedy() -> None:
    calls = [
        node
        for path in (ROOT / "shardkit").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"Problem", "Finding"}
    ]

    assert calls
    assert [] == [
        ast.unparse(call) for call in calls if len(call.args) < 3 or ast.unparse(call.args[2]) in {"''", "None"}
    ]
