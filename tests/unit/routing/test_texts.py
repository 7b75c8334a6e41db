"""Is text taken for what it may do, and are the tables that it reads found by whatever name?"""

from __future__ import annotations

import pytest

from shardkit.routing.texts import is_of_one_row, strangers_in, tables_named


@pytest.mark.parametrize(
    "sql",
    [
        "number + 1",
        "COALESCE(number, 0)",
        "CASE WHEN (a IN (1, 2)) THEN ROUND(b, 2) ELSE CAST(c AS numeric(10, 2)) END",
    ],
)
def test_text_about_one_row(sql):
    assert is_of_one_row(sql)


@pytest.mark.parametrize(
    "sql",
    [
        *("SUM(number)", "my_function (number)", "(SELECT COUNT(*) FROM t)", "rank OVER w", "ROW_NUMBER() over (w)"),
        *("CURRENT_TIMESTAMP", "x < localtime", "now()", "@number := @number + 1", "@@hostname"),
    ],
)
def test_text_that_may_be_about_more(sql):
    assert not is_of_one_row(sql)


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("(SELECT COUNT(*) FROM a)", {"a"}),
        ("SELECT 1 FROM a, b x JOIN c ON b.x = c.x, d WHERE e.f = 1", {"a", "b", "c", "d"}),
        ("SELECT 1 FROM (a JOIN b ON 1 = 1), (SELECT 2 FROM c) AS d", {"a", "b", "c"}),
        ("SELECT 1 FROM a UNION SELECT 2 FROM b ORDER BY c, d", {"a", "b"}),
        ("SELECT f(x, y), z FROM s.a LEFT JOIN ONLY b ON 1 = 1", {"s.a", "b"}),
        ('SELECT 1 FROM "A b" JOIN `c``d` ON 1 = 1', {"A b", "c`d"}),
        ("(TABLE a)", {"a"}),
        ("WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x", {"a"}),
    ],
)
def test_names_that_stand_where_tables_do(sql, names):
    assert names == strangers_in(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "EXTRACT(YEAR FROM created) + TRIM(BOTH ' ' FROM name)",
        "(SELECT 1 WHERE a IS NOT DISTINCT FROM b)",
        "SELECT 1 FROM generate_series(1, 3) g, LATERAL json_each(g.x), (VALUES (g.y)) v",
        "WITH RECURSIVE a (x, y) AS MATERIALIZED (SELECT 1, 2), b AS (SELECT 1) SELECT 1 FROM a, B, dual",
        "'FROM a' || \"from b\" -- FROM c",
        "/* JOIN a */ $tag$ FROM b $tag$",
        "(SELECT 1 FROM shop_order o, Shop_Country)",
    ],
)
def test_names_that_are_no_strangers(sql):
    assert frozenset() == strangers_in(sql)


def test_a_quote_after_a_backslash_is_read_both_ways():
    assert {"a", "b"} <= strangers_in(r"(SELECT 'x\' FROM a) + (SELECT 'y' FROM b)")


def test_a_table_is_known_by_its_name_in_any_case_and_quotes():
    assert {"shop_order", "shop_country"} == tables_named('x IN (SELECT 1 FROM Shop_Order, "shop_country")')
