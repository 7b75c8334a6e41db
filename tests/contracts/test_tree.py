"""Does the source tree keep the shape that its readers rely on?"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from shardkit import errors

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path.relative_to(ROOT)
    for package in ("shardkit", "testapp")
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts
)
#: A module answers one question, and a body is read at one sight.
MODULE_LINES, BODY_LINES = 400, 40


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_opens_with_a_docstring(module: Path) -> None:
    tree = ast.parse((ROOT / module).read_text())
    holds_code = any(not isinstance(node, ast.ImportFrom) for node in tree.body)

    assert ast.get_docstring(tree) or not holds_code


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_is_short(module: Path) -> None:
    assert len((ROOT / module).read_text().splitlines()) <= MODULE_LINES


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_function_is_short(module: Path) -> None:
    tree = ast.parse((ROOT / module).read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    assert [] == [f"{each.name}: {body_lines(each)}" for each in functions if body_lines(each) > BODY_LINES]


def test_no_folder_is_named_for_what_is_left_over() -> None:
    names = {path.stem for path in (ROOT / "shardkit").iterdir()}

    assert names.isdisjoint({"base", "common", "core", "helpers", "utils"})


def test_the_tree_of_errors_is_the_one_its_docstring_draws() -> None:
    assert drawn_parents(errors.__doc__ or "") == {
        name: cls.__mro__[1].__name__
        for name, cls in vars(errors).items()
        if isinstance(cls, type) and issubclass(cls, errors.ShardkitError) and cls is not errors.ShardkitError
    }


def test_every_target_of_the_makefile_has_its_line_in_the_help() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    declared = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split()

    assert sorted(declared) == sorted(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))


def test_what_the_readme_tells_to_run_exists_and_ci_runs_it() -> None:
    readme, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    told = set(re.findall(r"\bmake ([a-z-]+)", readme))

    assert {"demo", "test"} <= told <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of *function*'s body, its docstring apart."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def drawn_parents(drawing: str) -> dict[str, str]:
    """Read a drawn tree: map each name to the one that it hangs from."""
    parents: dict[str, str] = {}
    above = {0: "ShardkitError"}
    for indent, name in re.findall(r"^ {4}([ │]*)[├└]── (\w+)", drawing, re.MULTILINE):
        depth = len(indent) // 4
        parents[name] = above[depth]
        above[depth + 1] = name
    return parents
