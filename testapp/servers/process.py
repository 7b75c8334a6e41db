"""How does a real server live beside a test or a demo, and no longer?

A server gets a directory and, when we are root, an account of its own: PostgreSQL refuses to run as root, and so do
its friends. It dies with us, even when we are killed: `setpriv` asks the kernel for that where there is one.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

#: How long a server may take to answer its first question, in seconds. A loaded machine needs a few.
START_SECONDS = 60.0
#: How long a server may take to stop before it is killed, in seconds.
STOP_SECONDS = 20.0
#: How long to sleep between two questions whether a server is ready, in seconds.
POLL_SECONDS = 0.02
#: Where a distribution keeps its daemons, although an ordinary PATH does not say so.
DAEMON_PATH = ("/usr/local/sbin", "/usr/sbin", "/sbin")


class ServerMissing(RuntimeError):
    """The server's programs are not installed on this machine."""


class ServerFailed(RuntimeError):
    """The server or its set-up stopped by itself; the message ends with what it said."""


def find_program(name: str) -> str | None:
    """Return the path of the program *name*, daemons included, or None."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *DAEMON_PATH)))


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def speaks(port: int, question: bytes = b"") -> bool:
    """Say whether a server at *port* greets a new connection, or answers the *question* it waits for."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(question)
            return connection.recv(1) != b""
    except OSError:
        return False


@dataclass(frozen=True, kw_only=True)
class Home:
    """The directory a server lives in, and the account it runs as: None means ours."""

    directory: Path
    account: pwd.struct_passwd | None

    def run(self, *command: str | Path, stdin: bytes = b"") -> bytes:
        """Run *command* to its end and return what it said, or raise `ServerFailed` with that."""
        process = self._popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        said, _ = process.communicate(stdin)
        if process.returncode:
            raise ServerFailed(
                f"{command[0]} failed with {process.returncode}: {said.decode(errors='replace')[-2000:]}"
            )
        return said

    @contextmanager
    def serve(
        self, *command: str | Path, is_ready: Callable[[], bool], stop_signal: signal.Signals = signal.SIGTERM
    ) -> Iterator[None]:
        """Run *command* in the background inside the block; enter it when *is_ready*, leave it by *stop_signal*."""
        log = self.directory / "server.log"
        with log.open("ab") as output:
            process = self._popen((*_dies_with_us(stop_signal), *command), stdout=output)
        try:
            _wait_until_ready(process, is_ready, log)
            yield
        finally:
            _stop(process, stop_signal)

    def can_reach(self, path: Path) -> bool:
        """Say whether the account may enter the directory *path*, and every one on the way to it."""
        whole = path.resolve()
        return self.account is None or all(self._may_enter(step.stat()) for step in (whole, *whole.parents))

    def _may_enter(self, directory: os.stat_result) -> bool:
        owns_it = self.account is not None and directory.st_uid == self.account.pw_uid
        return bool(directory.st_mode & (0o100 if owns_it else 0o001))

    def _popen(
        self, command: tuple[str | Path, ...], *, stdout: int | IO[bytes], stdin: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(word) for word in command],
            cwd=self.directory,
            stdin=stdin,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            user=self.account and self.account.pw_uid,
            group=self.account and self.account.pw_gid,
            extra_groups=None if self.account is None else [],
            start_new_session=True,  # a Ctrl-C is ours: the server stops after the tests that still use it
        )


@contextmanager
def server_home(*accounts: str, directory: Path | None = None) -> Iterator[Home]:
    """Make a home for one server: *directory*, which is kept, or else a temporary one. Root gives it to *accounts*."""
    account = _unprivileged(accounts)
    path = Path(tempfile.mkdtemp(prefix="shardkit-")) if directory is None else directory
    try:
        path.mkdir(parents=True, exist_ok=True)
        if account is not None:
            os.chown(path, account.pw_uid, account.pw_gid)
        home = Home(directory=path, account=account)
        if not home.can_reach(path):
            raise ServerFailed(f"The account {account and account.pw_name} cannot enter {path}: choose another place.")
        yield home
    finally:
        if directory is None:
            shutil.rmtree(path, ignore_errors=True)


def _unprivileged(names: tuple[str, ...]) -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in (*names, "nobody") if name in known)


@cache
def _dies_with_us(stop_signal: signal.Signals) -> tuple[str, ...]:
    """Return the words before a command that stop it when its parent is gone, none where that cannot be had."""
    words = ("setpriv", "--pdeathsig", stop_signal.name.removeprefix("SIG"))
    try:
        works = subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        works = False
    return words if works else ()


def _wait_until_ready(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            state = "does not answer" if process.returncode is None else f"stopped with {process.returncode}"
            raise ServerFailed(f"{process.args!r} {state}: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(POLL_SECONDS)


def _stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals) -> None:
    process.send_signal(stop_signal)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
