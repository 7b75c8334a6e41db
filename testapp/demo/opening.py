"""How is the site opened, with the databases as the demo leaves them?"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from testapp.demo.screen import Screen
from testapp.demo.show import Guests

HOST: Final = "127.0.0.1"


def explain(screen: Screen, guests: Guests, command: str, port: int) -> None:
    """Say where the site is once *command* runs, and who may sign in."""
    site = f"http://{HOST}:{port}"
    screen.line(command)
    screen.line(f"{site}/           look up the plane {guests.plane}")
    screen.line(f"{site}/sign-in/   traveller number {guests.traveller.pk}, email {guests.traveller.email}")
    screen.line(f"{site}/admin/     user {guests.staff.name}, password {guests.staff.password}")


def command_to_open(port: int, forgotten: Sequence[str]) -> str:
    """Return the command that serves the files of this demo, past the *forgotten* variables of the environment."""
    return " ".join([*_environment(forgotten), _python(), "-m testapp runserver", str(port)])


def command_to_follow(forgotten: Sequence[str]) -> str:
    """Return the command that copies the files of this demo to their replicas."""
    return " ".join([*_environment(forgotten), "SHARDKIT_REPLICAS=1", _python(), "-m testapp replicate_sqlite --lag 2"])


def _environment(forgotten: Sequence[str]) -> list[str]:
    variables = [f"-u {name}" for name in forgotten]
    if "SHARDKIT_HOME" in os.environ:
        variables.append(f"SHARDKIT_HOME={shlex.quote(os.environ['SHARDKIT_HOME'])}")
    return ["env", *variables] if variables else []


def command_to_stay(engine: str) -> str:
    """Return the command that repeats the demo on servers of *engine*, and goes on as the site."""
    return f"make demo ENGINE={engine} SERVE=1"


def serve(port: int, environment: Mapping[str, str]) -> int:
    """Run the site until somebody stops it, and return its exit code; *environment* names the replicas."""
    command = [sys.executable, "-m", "testapp", "runserver", "--noreload", f"{HOST}:{port}"]
    with subprocess.Popen(command, env={**os.environ, **environment}) as site:  # noqa: S603 - our own site
        try:
            return site.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            site.terminate()


def _python() -> str:
    """Return the path of this Python as somebody would type it here."""
    path = Path(sys.executable)
    return shlex.quote(str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path))
