"""Where does a real MariaDB come from, and how is it started?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from testapp.servers.process import Home, ServerMissing, find_program, free_port, server_home, speaks

#: Where systems keep the description of each time zone.
ZONEINFO = Path("/usr/share/zoneinfo")
#: The zones that the server knows by name. Django asks it to convert to them; all 600 would take seconds to load.
TIME_ZONES: Final = ("UTC", "America/New_York", "Europe/Berlin")

#: Quick rather than durable: nothing here outlives its test.
INNODB: Final = (
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=0",
    "--innodb-log-file-size=32M",
    "--innodb-buffer-pool-size=64M",
)
SETTINGS: Final = (
    *INNODB,
    "--innodb-flush-log-at-trx-commit=0",
    "--bind-address=127.0.0.1",
    "--character-set-server=utf8mb4",
    "--max-connections=200",
    "--performance-schema=0",
    "--skip-name-resolve",
)


@contextmanager
def mariadb_server(directory: Path | None = None) -> Iterator[str]:
    """Run one server inside the block, and yield its address, to which a database's name can be added.

    A *directory* is kept, and used again by the next server.
    """
    server, installer = _program("mariadbd"), _program("mariadb-install-db")
    with server_home("mysql", directory=directory) as home:
        data, socket = home.directory / "data", home.directory / "socket"
        own_tmpdir = f"--tmpdir={home.directory}"  # a server that starts deletes what temporary tables it finds there
        is_new = not (data / "mysql").exists()
        if is_new:
            home.run(
                installer,
                "--no-defaults",
                f"--datadir={data}",
                own_tmpdir,
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                *INNODB,
            )
        port = free_port()
        with home.serve(
            server,
            "--no-defaults",
            f"--datadir={data}",
            f"--socket={socket}",
            f"--pid-file={home.directory / 'pid'}",
            own_tmpdir,
            f"--port={port}",
            *SETTINGS,
            is_ready=lambda: speaks(port),
        ):
            if is_new:
                _load_time_zones(home, socket)
            yield f"mysql://root@127.0.0.1:{port}"


def _program(name: str) -> str:
    found = find_program(name)
    if found is None:
        raise ServerMissing(f"MariaDB not found: there is no {name} on this machine.")
    return found


def _load_time_zones(home: Home, socket: Path) -> None:
    describe, client = find_program("mariadb-tzinfo-to-sql"), find_program("mariadb")
    if describe is None or client is None:
        return
    for name in TIME_ZONES:
        if (ZONEINFO / name).exists():
            sql = home.run(describe, ZONEINFO / name, name)
            home.run(client, "--no-defaults", "--user=root", f"--socket={socket}", "mysql", stdin=sql)
