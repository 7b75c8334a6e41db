"""Is a statement that may write ever taken for a read?"""

from __future__ import annotations

import time

import pytest

from shardkit.consistency.statements import LONG, Effect, effect_of

#: What stays in its transaction until that is committed.
WRITES = [
    "INSERT INTO t VALUES (1)",
    "  update t set a = 1",
    "/* note */ DELETE FROM t",
    "REPLACE INTO t VALUES (1)",
]
#: What may be committed at once, or commit what was there before.
COMMITS = [
    "INSERT INTO t VALUES (1); COMMIT",
    "-- note\nMERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
    "WITH gone AS (DELETE FROM t RETURNING *) SELECT * FROM gone",
    "WITH new AS (UPDATE t SET a = 1 RETURNING *) SELECT * FROM new",
    'WITH new AS (UPDATE"t"SET a = 1 RETURNING *) SELECT * FROM new',
    "WITH new AS (UPDATE/**/t SET a = 1 RETURNING *) SELECT * FROM new",
    "SELECT * INTO copy FROM t",
    "SELECT 1; DROP TABLE t",
    "EXPLAIN ANALYZE INSERT INTO t VALUES (1)",
    "EXPLAIN ANALYZE EXECUTE plan",
    "EXPLAIN (ANALYZE, BUFFERS) EXECUTE plan",
    "EXPLAIN analyse CREATE TABLE copy AS SELECT 1",
    "COMMIT",
    "COMMIT PREPARED 'one'",
    "PREPARE TRANSACTION 'one'",
    "XA COMMIT 'one'",
    "CALL procedure()",
    "COPY t FROM STDIN",
    "COPY (DELETE FROM t RETURNING *) TO STDOUT",
    "TRUNCATE t",
    "DO $$ BEGIN PERFORM 1; END $$",
    "LOAD DATA INFILE 'x' INTO TABLE t",
    "EXECUTE plan",
    "ALTER TABLE t ADD COLUMN a int",
    "BEGIN NOT ATOMIC CALL work(); END",
    "SET autocommit = 1",
    "SET STATEMENT max_statement_time = 1 FOR UPDATE t SET a = 1",
    "SET STATEMENT max_statement_time = 1 FOR CALL work()",
    "PRAGMA user_version = 7",
    "PRAGMA user_version(7)",
    "",
    # A comment ends where it ends, whatever follows.
    "/* app */ CALL work(/* which */ (SELECT 1))",
    "/* app */ CREATE TABLE t AS /* all */ SELECT 1",
    "-- app\nCALL work(-- which\n(SELECT 1))",
    "/* app **/ CALL work()",
    "/* app */",
    "/* app",
    "-- app",
    # What is a comment for one database is none for another.
    "/* /* */ SELECT */ CALL work()",
    "/*! CALL work() */",
    "/*!50000 SET @a = 1 */",
    "/*M!100100 CALL work() */",
    "-- app\rCALL work() -- \nSELECT 1",
    "# app\rCALL work() # \nSELECT 1",
]
READS = [
    "SELECT 1",
    "(SELECT 1) UNION (SELECT 2)",
    "WITH one AS (SELECT 1) SELECT * FROM one",
    "SELECT * FROM t FOR UPDATE",
    "SELECT * FROM t FOR NO KEY UPDATE OF t SKIP LOCKED",
    "SELECT * FROM t LIMIT 1 FOR UPDATE NOWAIT",
    "SELECT * FROM (SELECT * FROM t FOR UPDATE) AS u",
    'SELECT "t"."updated" FROM t;',
    "SELECT $$ CALL work() $$",
    "EXPLAIN SELECT 1",
    "SHOW server_version",
    "FETCH 10 FROM c",
    "VALUES (1)",
    "COPY (SELECT * FROM t) TO STDOUT",
    "/* app */ /** more **/ -- and\n ( /* more */ SELECT 1)",
    "/*+ SeqScan(t) */ SELECT 1",
    "-- app\r\nSELECT 1",
    "# app\nSELECT 1",
]
NEITHER = [
    "SAVEPOINT one",
    "ROLLBACK TO SAVEPOINT one",
    "SET search_path = public",
    "PRAGMA foreign_keys",
    "PRAGMA main.journal_mode;",
    "DECLARE c CURSOR FOR SELECT * FROM t FOR UPDATE",
]
BEGINS = ["BEGIN", "/* app */ START TRANSACTION"]


@pytest.mark.parametrize("sql", WRITES)
def test_what_changes_rows_is_a_write(sql: str) -> None:
    assert Effect.WRITES is effect_of(sql)


@pytest.mark.parametrize("sql", COMMITS)
def test_what_cannot_be_told_for_a_read_is_a_write_that_may_be_committed(sql: str) -> None:
    assert Effect.WRITES | Effect.COMMITS is effect_of(sql)


@pytest.mark.parametrize("sql", READS)
def test_a_read_shows_something(sql: str) -> None:
    assert Effect.SHOWS is effect_of(sql)


@pytest.mark.parametrize("sql", NEITHER)
def test_what_only_steers_the_transaction_is_neither(sql: str) -> None:
    assert Effect.NOTHING is effect_of(sql)


@pytest.mark.parametrize("sql", BEGINS)
def test_what_begins_a_transaction_may_commit_the_one_before(sql: str) -> None:
    assert Effect.COMMITS is effect_of(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "/* a */" * 20_000 + "UPDATE t SET x = 1",
        "/* a */" * 20_000,
        "/*" + "*" * 200_000,
        "-- a\n" * 20_000 + "CALL work()",
        "( " * 100_000 + "CALL work()",
        "SELECT 1" + ";" + " " * 200_000,
        "SELECT " + "FOR " * 50_000 + "UPDATE",
        "SELECT " + "FOR NO KEY " * 20_000,
    ],
    ids=lambda sql: f"{sql[:12]}…{sql[-12:]}",
)
def test_the_longest_text_is_looked_at_in_a_moment(sql: str) -> None:
    assert len(sql) > LONG
    began = time.monotonic()
    effect_of(sql)

    assert time.monotonic() - began < 0.5
