"""What can a statement do on each vendor that shows when it ran, and beside which others?"""

# ruff: noqa: S608 - tokens and numbers of our own

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from typing import Any, ClassVar, Final

import pytest
from django.db import connections, transaction
from django.test import override_settings

from shardkit.fanout import Job
from shardkit.routing import owners
from tests import settings

#: A statement that nobody else ends runs as long as this. No test waits for it.
FOR_EVER: Final = 600
#: How long the statements of a barrier wait for one another before they give up.
PATIENCE: Final = 20


class World(ABC):
    """One vendor's SQL."""

    #: A statement that fails at once.
    failing: ClassVar[str]
    #: A statement that does not end by itself.
    endless: ClassVar[str]
    #: A statement that lasts long enough for another one to begin.
    short: ClassVar[str]
    #: What the server calls the session that asks, and how that session is ended.
    session: ClassVar[str]
    ending: ClassVar[str]

    @abstractmethod
    def meeting(self, token: str, number: int, members: int) -> str:
        """Write a statement that ends when *members* statements of this *token* have begun; it is the one *number*."""


class PostgreSQLWorld(World):
    """The name of an application is seen on every database of the server, and stays after the statement."""

    failing = "SELECT 1 / 0"
    endless = f"SELECT pg_sleep({FOR_EVER})"
    short = "SELECT 1 FROM pg_sleep(0.02)"
    session = "SELECT pg_backend_pid()"
    ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = {number}"

    def meeting(self, token: str, number: int, members: int) -> str:
        return f"""
            DO $$ DECLARE arrived bigint; BEGIN
                PERFORM set_config('application_name', '{token}-{number}', false);
                FOR round IN 1..{PATIENCE * 200} LOOP
                    PERFORM pg_stat_clear_snapshot();
                    SELECT count(*) INTO arrived FROM pg_stat_activity WHERE application_name LIKE '{token}-%';
                    IF arrived = {members} THEN RETURN; END IF;
                    PERFORM pg_sleep(0.005);
                END LOOP;
                RAISE EXCEPTION 'alone';
            END $$"""


class MariaDBWorld(World):
    """A named lock is seen on every database of the server, and stays after the statement."""

    failing = "SELECT * FROM no_such_table"
    endless = f"SELECT SLEEP({FOR_EVER})"
    short = "SELECT SLEEP(0.02)"
    session = "SELECT CONNECTION_ID()"
    ending = "KILL {number}"

    def meeting(self, token: str, number: int, members: int) -> str:
        others = " AND ".join(f"IS_USED_LOCK('{token}-{other}') IS NOT NULL" for other in range(members))
        return f"""
            BEGIN NOT ATOMIC
                DECLARE round INT DEFAULT 0;
                DO GET_LOCK('{token}-{number}', 0);
                WHILE NOT ({others}) DO
                    SET round = round + 1;
                    IF round > {PATIENCE * 200} THEN SIGNAL SQLSTATE '45000'; END IF;
                    DO SLEEP(0.005);
                END WHILE;
            END"""


class SQLiteWorld(World):
    """Nothing runs beside anything."""

    failing = "SELECT * FROM no_such_table"
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    short = "SELECT 1"
    session = ending = "SELECT 0"

    def meeting(self, token: str, number: int, members: int) -> str:
        raise NotImplementedError


_WORLDS: Final[dict[str, World]] = {
    "postgresql": PostgreSQLWorld(),
    "mysql": MariaDBWorld(),
    "sqlite": SQLiteWorld(),
}
WORLD: Final = _WORLDS[connections["default"].vendor]
IS_SERIAL: Final = connections["default"].vendor == "sqlite"
runs_together = pytest.mark.skipif(IS_SERIAL, reason="SQLite runs in our own process, one statement after another")
IS_IN_FLIGHT: Final = connections["default"].vendor == "postgresql"


def shards() -> list[Any]:
    return list(owners.all_aliases())


def job(alias: Any, sql: str, params: Any = None, *, chunked: bool = False, on: Any = connections) -> Job:
    connection = on[alias]
    return Job(alias, connection.chunked_cursor() if chunked else connection.cursor(), sql, params)


def jobs(*statements: str, params: Any = None, on: Any = connections) -> list[Job]:
    """Make a job of each statement, on one shard after the other."""
    return [job(alias, sql, params, on=on) for alias, sql in zip(shards(), statements, strict=False)]


def everywhere(sql: str, params: Any = None) -> list[Job]:
    return jobs(*[sql] * len(shards()), params=params)


def values(done: list[Job]) -> list[Any]:
    """Fetch the first column of the first row of each job."""
    return [each.cursor.fetchone()[0] for each in done]


def asked(alias: Any, sql: str = "SELECT 7", *, on: Any = connections) -> Any:
    """Ask a database something: its connection is usable."""
    with on[alias].cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def in_blocks() -> ExitStack:
    """Open a block on every shard, so that the test's own transaction survives a failure inside."""
    stack = ExitStack()
    for alias in shards():
        stack.enter_context(transaction.atomic(using=alias))
    return stack


def fan_out_settings(**changed: Any) -> override_settings:
    return override_settings(SHARDKIT={**settings.SHARDKIT, **changed})
