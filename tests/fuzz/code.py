"""How is a question written down, so that it can be asked, printed, pasted into a test, and made smaller?

A question is a tree of calls, as small as the Python expression that it prints as.
"""

from __future__ import annotations

import datetime as dt
import decimal
import operator
import uuid
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from django.apps import apps
from django.contrib.postgres import aggregates as postgres
from django.db import models
from django.db.models import expressions, functions, lookups

#: Whose models are called by their names alone.
APPS: Final = ("shop", "nasty", "flights")

Arguments = tuple[Any, ...]
Named = tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A class or function of Django, called: ``Count("pk", distinct=True)``."""

    name: str
    args: Arguments = ()
    kwargs: Named = ()

    def __repr__(self) -> str:
        return f"{self.name}({_arguments(self.args, self.kwargs)})"


@dataclass(frozen=True, slots=True)
class Op:
    """Two parts and what is between them: ``Q(a=1) | Q(b=2)``."""

    symbol: str
    left: Any
    right: Any

    def __repr__(self) -> str:
        return f"({source(self.left)} {self.symbol} {source(self.right)})"


@dataclass(frozen=True, slots=True)
class Not:
    inside: Any

    def __repr__(self) -> str:
        return f"~{source(self.inside)}"


@dataclass(frozen=True, slots=True)
class Step:
    """A method of a queryset, called, or a slice of it, whose method is ``[]``."""

    method: str
    args: Arguments = ()
    kwargs: Named = ()

    def __repr__(self) -> str:
        if self.method == "[]":
            return "[" + ":".join("" if bound is None else str(bound) for bound in self.args) + "]"
        return f".{self.method}({_arguments(self.args, self.kwargs)})"


@dataclass(frozen=True, slots=True)
class Chain:
    """A queryset of a model: its manager and what is called on it, one after the other."""

    model: str
    steps: tuple[Step, ...] = ()

    def __repr__(self) -> str:
        manager = model_named(self.model)._default_manager.name
        return f"{self.model}.{manager}" + "".join(map(repr, self.steps))

    def then(self, method: str, *args: Any, **kwargs: Any) -> Chain:
        """Return the chain that goes on with this call."""
        return replace(self, steps=(*self.steps, Step(method, args, tuple(kwargs.items()))))


def call(name: str, *args: Any, **kwargs: Any) -> Call:
    """Write down a call."""
    return Call(name, args, tuple(kwargs.items()))


# Printing.


def source(value: Any) -> str:
    """Return the Python expression of *value*."""
    match value:
        case float() if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - NaN is not itself
            return f"float('{value}')"
        case list():
            return f"[{', '.join(map(source, value))}]"
        case tuple():
            return f"({', '.join(map(source, value))}{',' * (len(value) == 1)})"
        case dict():
            return "{" + ", ".join(f"{source(key)}: {source(inside)}" for key, inside in value.items()) + "}"
    return repr(value)


def _arguments(args: Arguments, kwargs: Named) -> str:
    keywords = [f"{name}={source(value)}" for name, value in kwargs]
    if any(not name.isidentifier() for name, _ in kwargs):
        keywords = ["**" + source(dict(kwargs))]
    return ", ".join([*map(source, args), *keywords])


# Asking.

_OPERATORS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "&": operator.and_,
    "|": operator.or_,
    "^": operator.xor,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def build(code: Any) -> Any:
    """Do what *code* says and return what comes out: a queryset that was not evaluated yet, or an answer."""
    match code:
        case Chain():
            return _follow(code)
        case Call(name, args, kwargs):
            return NAMES[name](*map(build, args), **{key: build(inside) for key, inside in kwargs})
        case Op(symbol, left, right):
            return _OPERATORS[symbol](build(left), build(right))
        case Not(inside):
            return ~build(inside)
    return type(code)(map(build, code)) if isinstance(code, (list, tuple)) else code


def _follow(code: Chain) -> Any:
    value: Any = model_named(code.model)._default_manager.all()
    for step in code.steps:
        value = _take(value, step)
    return value


def _take(value: Any, step: Step) -> Any:
    args = [build(argument) for argument in step.args]
    if step.method == "[]":
        return value[slice(*args)]
    return getattr(value, step.method)(*args, **{key: build(inside) for key, inside in step.kwargs})


def model_named(name: str) -> type[models.Model]:
    """Return the model called *name* of the apps that are asked."""
    found = _MODELS.get(name)
    if found is None:
        for app in APPS:
            _MODELS.update({model.__name__: model for model in apps.get_app_config(app).get_models()})
        found = _MODELS[name]
    return found


_MODELS: Final[dict[str, type[models.Model]]] = {}

#: What an expression may name.
NAMES: Final[Mapping[str, Any]] = {
    **{name: vars(module)[name] for module in (postgres, functions) for name in vars(module) if name[0].isupper()},
    **{name: getattr(models, name) for name in models.__all__},
    "RawSQL": expressions.RawSQL,
    **{name: getattr(lookups, name) for name in ("Exact", "GreaterThan", "In", "Range")},
    "ZoneInfo": zoneinfo.ZoneInfo,
}


def read(text: str) -> Any:
    """Evaluate a question that was printed, as `build` does with the question itself."""
    names = {model.__name__: model for app in APPS for model in apps.get_app_config(app).get_models()}
    known = {**names, **NAMES, "datetime": dt, "UUID": uuid.UUID, "Decimal": decimal.Decimal, "zoneinfo": zoneinfo}
    return eval(text, {**known})  # noqa: S307 - it is what this program printed


# Making smaller.


def smaller(code: Any) -> Iterator[Any]:
    """Yield what is left of *code* when one part of it is taken out, the largest parts first."""
    match code:
        case Chain(model, steps):
            yield from (Chain(model, rest) for rest in _shorter(steps))
            yield from (Chain(model, other) for other in _with_one_smaller(steps))
        case Step(method, args, kwargs) | Call(method, args, kwargs):
            kind = type(code)
            yield from (kind(method, args, rest) for rest in _shorter(kwargs))
            yield from (kind(method, rest, kwargs) for rest in _shorter(args) if method != "[]")
            yield from (kind(method, other, kwargs) for other in _with_one_smaller(args))
            for place, (name, value) in enumerate(kwargs):
                for less in smaller(value):
                    yield kind(method, args, (*kwargs[:place], (name, less), *kwargs[place + 1 :]))
        case Op(symbol, left, right):
            yield from (left, right)
            yield from (Op(symbol, less, right) for less in smaller(left))
            yield from (Op(symbol, left, less) for less in smaller(right))
        case Not(inside):
            yield inside
            yield from map(Not, smaller(inside))
        case list():
            yield from map(list, _shorter(tuple(code)))
            yield from map(list, _with_one_smaller(tuple(code)))


def _shorter(parts: Arguments) -> Iterator[Arguments]:
    for place in reversed(range(len(parts))):
        yield (*parts[:place], *parts[place + 1 :])


def _with_one_smaller(parts: Arguments) -> Iterator[Arguments]:
    for place, part in enumerate(parts):
        for less in smaller(part):
            yield (*parts[:place], less, *parts[place + 1 :])


def calls(code: Any) -> Iterator[str]:
    """Yield the name of everything that *code* calls, keywords of annotations left out."""
    inside: Iterable[Any] = ()
    match code:
        case Chain(_, steps):
            inside = steps
        case Step(name, args, kwargs) | Call(name, args, kwargs):
            yield name
            inside = (*args, *(value for _, value in kwargs))
        case Op(_, left, right):
            inside = (left, right)
        case Not(part):
            inside = (part,)
        case list() | tuple():
            inside = code
    for part in inside:
        yield from calls(part)
