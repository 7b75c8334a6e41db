"""Is a statement that may write ever taken for a read?"""

from __future__ import annotations

import pytest

from shardkit.consistency.observing import _saw, _wrote, effect_of

WRITES = [
    "INSERT INTO t VALUES (1)",
    "  update t set a = 1",
    "/* note */ DELETE FROM t",
    "-- note\nMERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone",
    "WITH new AS (UPDATE t SET a = 1 RETURNING *) SELECT * FROM new",
    "SELECT * INTO copy FROM t",
    "SELECT 1; DROP TABLE t",
    "EXPLAIN ANALYZE INSERT INTO t VALUES (1)",
    "COMMIT",
    "COMMIT PREPARED 'one'",
    "PREPARE TRANSACTION 'one'",
    "XA COMMIT 'one'",
    "CALL procedure()",
    "COPY t FROM STDIN",
    "TRUNCATE t",
    "DO $$ BEGIN PERFORM 1; END $$",
    "REPLACE INTO t VALUES (1)",
    "LOAD DATA INFILE 'x' INTO TABLE t",
    "EXECUTE plan",
    "",
]
READS = [
    "SELECT 1",
    "(SELECT 1) UNION (SELECT 2)",
    "WITH one AS (SELECT 1) SELECT * FROM one",
    "SELECT * FROM t FOR UPDATE",
    "SELECT * FROM t FOR NO KEY UPDATE OF t SKIP LOCKED",
    "SELECT * FROM t LIMIT 1 FOR UPDATE NOWAIT",
    'SELECT "t"."updated" FROM t;',
    "EXPLAIN SELECT 1",
    "SHOW server_version",
    "FETCH 10 FROM c",
    "VALUES (1)",
]
NEITHER = ["BEGIN", "SAVEPOINT one", "ROLLBACK TO SAVEPOINT one", "SET search_path = public", "PRAGMA foreign_keys"]


@pytest.mark.parametrize("sql", WRITES)
def test_what_cannot_be_told_for_a_read_is_a_write(sql: str) -> None:
    assert effect_of(sql) is _wrote


@pytest.mark.parametrize("sql", READS)
def test_a_read_shows_something(sql: str) -> None:
    assert effect_of(sql) is _saw


@pytest.mark.parametrize("sql", NEITHER)
def test_what_only_steers_the_transaction_is_neither(sql: str) -> None:
    assert effect_of(sql) is None
