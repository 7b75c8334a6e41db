"""What happens to somebody who does what a page says?"""

from __future__ import annotations

import doctest
import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack, closing
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
from django.core.management import call_command

from testapp.servers.postgresql import postgresql_server, postgresql_standby
from tests.handbook.pages import Step, steps

#: How long one command may take, in seconds.
COMMAND_SECONDS: Final = 60
#: Variables of this run that would tell the reader's project which databases it has.
OURS: Final = ("TESTAPP_", "DATABASE_", "SHARD", "DJANGO_", "PYTEST_", "COVERAGE_")
#: What the tutorial adds to the settings that `startproject` makes.
CONFIGURED: Final = """
import environ
import shardkit

INSTALLED_APPS += ["shardkit", "shop"]
DATABASES, SHARDKIT = shardkit.from_env(environ.Env())
DATABASE_ROUTERS = ["shardkit.routers.ShardRouter"]
"""


class Reader:
    """Does what pages say, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        #: Where the hosts that a page names really are.
        self.hosts: dict[str, str] = {}
        self.servers = ExitStack()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        path = os.pathsep.join([str(Path(sys.executable).parent), inherited.get("PATH", "")])
        self.environment = {**inherited, "PATH": path, "PYTHONPATH": str(directory), "NO_COLOR": "1"}

    def follow(self, page: Path) -> None:
        """Do every step of *page* in turn, and fail where the page does not come true."""
        with self.servers:
            self._follow(page)

    def _follow(self, page: Path) -> None:
        for is_session, together in groupby(steps(page), key=lambda step: step.language == "pycon"):
            if is_session:
                complaints = self.shell("".join(step.body for step in together))["complaints"]
                assert not complaints, complaints
                continue
            for step in together:
                self.do(step)

    def do(self, step: Step) -> None:
        """Do one *step*."""
        match step.kind:
            case "project":
                self.start_project()
            case "file" | "append":
                path = self.directory / step.argument
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("a" if step.kind == "append" else "w") as file:
                    file.write(self._really(step.body))
            case "servers":
                self.start_servers(*step.argument.split())
            case "hidden":
                self.run(step.argument, "")
            case "run" | "fails":
                for command, shown in _commands(step.body):
                    self.run(command, shown, fails=step.kind == "fails")
            case _:
                raise AssertionError(step)

    def start_project(self) -> None:
        """Make a project that is set up for shardkit, with an app without models."""
        shop = self.directory / "shop"
        shop.mkdir()
        call_command("startproject", "mysite", str(self.directory))
        call_command("startapp", "shop", str(shop))
        with (self.directory / "mysite" / "settings.py").open("a") as settings:
            settings.write(CONFIGURED)

    def start_servers(self, primary: str, *standbys: str) -> None:
        """Start a server for each host: the first with a database called shop, and standbys that follow it."""
        address = self.servers.enter_context(postgresql_server())
        with closing(psycopg.connect(f"{address}/postgres", autocommit=True)) as connection:
            connection.execute("CREATE DATABASE shop")
        self.hosts[primary] = urlsplit(address).netloc.rpartition("@")[2]
        for host in standbys:
            standby = self.servers.enter_context(postgresql_standby(address, delay=0.3))
            self.hosts[host] = urlsplit(standby).netloc.rpartition("@")[2]

    def _really(self, text: str) -> str:
        for host, place in self.hosts.items():
            text = text.replace(host, place)
        return text

    def run(self, command: str, shown: str, *, fails: bool = False) -> None:
        """Run *command*, and fail if it does not end as told, or shows something else than *shown*, if that is said."""
        shell = shutil.which("sh") or "sh"
        done = subprocess.run(
            [shell, "-c", command],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        assert fails == bool(done.returncode), f"{command}: {done.returncode}\n{done.stdout}"
        options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        is_shown = not shown or doctest.OutputChecker().check_output(shown, done.stdout, options)
        assert is_shown, f"{command}\n--- the page shows\n{shown}\n--- but it is\n{done.stdout}"

    def shell(self, session: str, expressions: list[str] | None = None) -> dict[str, Any]:
        """Type *session* in the project's shell, and then ask which databases each of *expressions* asks."""
        done = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("shell.py"))],
            cwd=self.directory,
            env=self.environment,
            input=json.dumps({"session": session, "expressions": expressions or []}),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer


def _commands(block: str) -> list[tuple[str, str]]:
    """Split *block* into commands, each with what it shows."""
    parts = f"\n{block}".split("\n$ ")[1:]
    split = [part.partition("\n") for part in parts]
    return [(command, shown) for command, _newline, shown in split]
