"""Where does a WITH clause go in a statement that may begin in many ways?"""

from __future__ import annotations

import pytest

from shardkit.shadows.statement import with_expressions

T = '"t" ("id") AS (SELECT 1)'


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT 0", f"WITH {T} SELECT 0"),
        ("(SELECT 1) UNION (SELECT 2)", f"WITH {T} (SELECT 1) UNION (SELECT 2)"),
        ("WITH x AS (SELECT 2) SELECT 3", f"WITH {T}, x AS (SELECT 2) SELECT 3"),
        ("with\nrecursive x AS (SELECT 2) SELECT 3", f"WITH RECURSIVE {T}, x AS (SELECT 2) SELECT 3"),
        ("/* WITH */ -- WITH\n SELECT 1", f"/* WITH */ -- WITH\n WITH {T} SELECT 1"),
        ("SELECT 'WITH'", f"WITH {T} SELECT 'WITH'"),
        ("WITHIN", f"WITH {T} WITHIN"),
        ("EXPLAIN SELECT 1", f"EXPLAIN WITH {T} SELECT 1"),
        ("EXPLAIN QUERY PLAN SELECT 1", f"EXPLAIN QUERY PLAN WITH {T} SELECT 1"),
        ("EXPLAIN (ANALYZE true, FORMAT JSON) SELECT 1", f"EXPLAIN (ANALYZE true, FORMAT JSON) WITH {T} SELECT 1"),
        ("EXPLAIN (SELECT 1) UNION (SELECT 2)", f"EXPLAIN WITH {T} (SELECT 1) UNION (SELECT 2)"),
        (
            "EXPLAIN FORMAT=JSON WITH x AS (SELECT 2) SELECT 3",
            f"EXPLAIN FORMAT=JSON WITH {T}, x AS (SELECT 2) SELECT 3",
        ),
        ("ANALYZE FORMAT=JSON SELECT 1", f"ANALYZE FORMAT=JSON WITH {T} SELECT 1"),
    ],
)
def test_the_clause_stands_where_the_whole_statement_sees_it(statement: str, expected: str) -> None:
    assert expected == with_expressions(statement, [T])


def test_a_statement_that_needs_no_clause_gets_none() -> None:
    assert "SELECT 1" == with_expressions("SELECT 1", [])
