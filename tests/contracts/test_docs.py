"""Do the pages say what is so, and all of it?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.dispatch import Signal

import shardkit
from shardkit import directories, environment, errors, middleware, models, pagination, signals, testing
from shardkit.conf import problems
from shardkit.conf.shapes import KNOWN_KEYS
from tests.handbook.following import Reader
from tests.handbook.pages import DOCS, PAGES, ROOT, anchors, entries, links, steps, table_rows

REFERENCE = DOCS / "reference"
#: The sentence in which a message names a page.
NAMED_PAGE = re.compile(r"docs/[\w/-]+\.md")
#: Pages whose steps are followed; the README and the tables of operations have tests of their own.
FOLLOWED = [page for page in PAGES if page.is_relative_to(DOCS) and steps(page) and page.name != "querysets.md"]
#: What the tables of operations call the databases that are asked.
ALL_SHARDS = {"shard_0", "shard_1", "shard_2", "shard_3"}
COMMANDS = ("dumpdata", "explain", "flush", "loaddata", "migrate", "migrate_shards", "replicate_sqlite", "shards")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", FOLLOWED, ids=name)
def test_what_a_page_tells_to_do_comes_out_as_it_shows(page: Path, tmp_path: Path) -> None:
    Reader(tmp_path).follow(page)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.parent.name in {"how-to", "tutorial"} or page.name == "README.md"], ids=name
)
def test_no_code_is_shown_that_is_not_run(page: Path) -> None:
    shown = re.findall(r"^```\w+\n", page.read_text(), re.MULTILINE)

    assert len(shown) == sum(bool(step.body) for step in steps(page))


def test_the_example_of_settings_has_no_problem() -> None:
    example = re.findall(r"^```python\n(.*?)^```$", (REFERENCE / "settings.md").read_text(), re.MULTILINE | re.DOTALL)[
        0
    ]
    written: dict[str, Any] = {}

    exec(example, written)  # noqa: S102 - it stands in our own documentation

    assert [] == problems(written["SHARDKIT"], written["DATABASES"], routers=written["DATABASE_ROUTERS"])
    assert "shardkit" in written["INSTALLED_APPS"]


def test_every_operation_asks_the_databases_that_the_table_says(tmp_path: Path) -> None:
    page = REFERENCE / "querysets.md"
    rows = list(table_rows(page, "Operation", "Asks"))
    session = "".join(step.body for step in steps(page) if step.language == "pycon")
    reader = Reader(tmp_path)
    for step in steps(page):
        if step.language != "pycon":
            reader.do(step)

    answer = reader.shell(session, [row[0].strip("`") for row in rows])

    assert not answer["complaints"]
    assert [] == [
        (row[0], row[1], asked) for row, asked in zip(rows, answer["asked"], strict=True) if not agrees(row[1], asked)
    ]


def agrees(said: str, asked: list[str]) -> bool:
    """Say whether the databases *asked* are those that a table calls *said*."""
    shards, others = set(asked) & ALL_SHARDS, set(asked) - ALL_SHARDS
    expected: dict[str, bool] = {
        "one shard": len(shards) == 1 and not others,
        "their shards": len(shards) == 2 and not others,
        "shards in turn": bool(shards) and not others,
        "every shard": shards == ALL_SHARDS and not others,
        "`default` and every shard": shards == ALL_SHARDS and others == {"default"},
        "nothing": not asked,
    }
    return expected.get(said, said == ", ".join(f"`{found}`" for found in asked))


def test_every_exported_model_and_field_has_its_entry() -> None:
    assert set(models.__all__) <= entries(REFERENCE / "models.md")


def test_every_name_that_the_package_exports_has_its_entry() -> None:
    plans = {public for public in shardkit.__all__ if not public.islower()}
    page = (REFERENCE / "querysets.md").read_text()

    assert {"from_env", "use_primary"} == set(shardkit.__all__) - plans
    assert {"use_primary()"} <= entries(REFERENCE / "querysets.md")
    assert "from_env()" in entries(REFERENCE / "settings.md")
    assert not [plan for plan in plans if f"| `{plan}` |" not in page]


def test_every_function_on_directories_has_its_entry() -> None:
    page = (REFERENCE / "models.md").read_text()

    assert not [public for public in directories.__all__ if f"| `{public}(" not in page]


def test_every_queryset_method_of_ours_has_its_entry() -> None:
    assert {"route()", "cursor_page()", "explain()", "primary()", "replica()"} <= entries(REFERENCE / "querysets.md")


def test_every_name_for_pages_has_its_entry() -> None:
    assert set(pagination.__all__) <= entries(REFERENCE / "pagination.md")


def test_every_error_has_its_entry_and_there_are_no_others() -> None:
    own = {found.__name__ for found in vars(errors).values() if is_error(found)}

    assert own == {entry for entry in entries(REFERENCE / "errors.md") if entry.isidentifier()}


def is_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, errors.ShardkitError)


def test_every_signal_has_its_entry() -> None:
    own = {public for public, value in vars(signals).items() if isinstance(value, Signal)}

    assert own <= entries(REFERENCE / "signals.md")


def test_the_middleware_and_its_stores_have_their_entries() -> None:
    stores = {f'"{store}"' for store in ("cookie", "header", "cache")}

    assert {*middleware.__all__, "current()", "session_scope()", *stores} <= entries(REFERENCE / "sessions.md")


def test_every_tool_for_tests_has_its_entry() -> None:
    assert set(testing.__all__) <= entries(REFERENCE / "testing.md")


def test_every_setting_has_its_entry_and_there_are_no_others() -> None:
    settings = {entry for entry in entries(REFERENCE / "settings.md") if entry.isupper()}

    assert set(KNOWN_KEYS) == settings


def test_every_environment_variable_has_its_entry_and_there_are_no_others() -> None:
    drawn = re.findall(r"^([A-Z][A-Z_<>]+)  ", environment.__doc__ or "", re.MULTILINE)
    named = set(drawn) | set(environment.OPTION_VARIABLES)

    assert named == {entry for entry in entries(REFERENCE / "environment.md") if entry == entry.upper()}


def test_every_check_has_its_entry_and_there_are_no_others() -> None:
    found = {check for path in (ROOT / "shardkit").rglob("*.py") for check in check_ids(path)}

    assert found == entries(REFERENCE / "checks.md")


def test_every_check_has_one_entry() -> None:
    listed = Counter(row[0] for row in table_rows(REFERENCE / "checks.md", "Check"))

    assert [] == [check for check, times in listed.items() if times > 1]


def check_ids(path: Path) -> list[str]:
    return re.findall(r"\bshardkit\.[EW]\d{3}\b", path.read_text())


def test_every_command_has_its_entry() -> None:
    ours = {command for command, app in get_commands().items() if app == "shardkit"}

    assert ours == set(COMMANDS)
    assert ours <= entries(REFERENCE / "commands.md")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_of_a_command_has_its_entry(command: str) -> None:
    assert set(options_beyond(command, BaseCommand())) <= entries(REFERENCE / "commands.md") | set(
        django_options(command)
    )


def options_beyond(command: str, base: BaseCommand) -> Iterator[str]:
    """Yield the long names of the options that *command* has and *base* has not."""
    common = {option for action in base.create_parser("", "")._actions for option in action.option_strings}
    for action in load_command_class("shardkit", command).create_parser("", command)._actions:
        names = [option for option in action.option_strings if option.startswith("--") and option not in common]
        if names:
            yield names[0]


def django_options(command: str) -> Iterator[str]:
    """Yield the options that *command* takes over as they are from Django's command of that name."""
    if command in {"dumpdata", "flush", "loaddata", "migrate"}:
        yield from options_of(import_module(f"django.core.management.commands.{command}").Command())


def options_of(command: BaseCommand) -> Iterator[str]:
    for action in command.create_parser("", "")._actions:
        yield from (option for option in action.option_strings if option != "--database")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    lost = []
    for link in links(page):
        path, _hash, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (fragment and fragment not in anchors(target)):
            lost.append(link)

    assert lost == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.is_relative_to(DOCS)], ids=name)
def test_every_page_can_be_reached_from_the_contents(page: Path) -> None:
    contents = DOCS / "README.md"
    linked = {(contents.parent / link.partition("#")[0]).resolve() for link in links(contents)}

    assert page in {contents, *linked}


def test_every_page_that_a_message_names_exists() -> None:
    named = {page for path in (ROOT / "shardkit").rglob("*.py") for page in NAMED_PAGE.findall(path.read_text())}

    assert named
    assert [] == [page for page in sorted(named) if not (ROOT / page).exists()]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_line_holds_one_sentence(page: Path) -> None:
    prose = re.sub(r"^```.*?^```$|^\|.*$|`[^`\n]*`|\([^)\n]*\)", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)

    assert [] == re.findall(r"^.*[a-z)]\. [A-Z].*$", prose, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_advertises_nothing_that_is_not_there(page: Path) -> None:
    assert [] == re.findall(r"fan_out\(|GlobalUnique|move_to\(", page.read_text())
