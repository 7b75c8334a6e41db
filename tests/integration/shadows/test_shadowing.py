"""Do shadows come, stay as long as they should, and leave nothing behind?"""

# ruff: noqa: S608 - the names are ours

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, Final

import pytest
from django.db import DatabaseError, connections, transaction
from django.db.migrations.recorder import MigrationRecorder
from django.test.utils import CaptureQueriesContext

from shardkit.errors import DatabasesDiffer, GatherLimitExceeded
from shardkit.shadows import Budget, Column, Shadow, Source, shadowed, sqlite, styles
from shardkit.shadows.statement import Way
from shardkit.topology.names import Alias
from tests.fix_queries import queries_by_database
from tests.integration.shadows.worlds import asked, coordinator

DATABASES: Final = ["default", "shard_0", "shard_1"]
inside_transactions = pytest.mark.django_db(databases=DATABASES)
outside_transactions = pytest.mark.django_db(databases=DATABASES, transaction=True)
both_ways = pytest.mark.parametrize("by", ["cte", "temporary tables"])

SHARDS: Final = (Alias("shard_0"), Alias("shard_1"))
PLENTY: Final = 10**9
#: One row for each number from 1 to what the parameter says.
NUMBERS: Final = {
    "postgresql": "SELECT n, 'number ' || n FROM generate_series(1, %s) AS n",
    "mysql": "SELECT seq, CONCAT('number ', seq) FROM (SELECT seq FROM seq_1_to_30000 LIMIT %s) AS s",
    "sqlite": "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM s LIMIT %s) SELECT n, 'number ' || n FROM s",
}
TEXT_KEY: Final = {"postgresql": "text", "mysql": "varchar(20)", "sqlite": "text"}
EXPLAIN: Final = {"postgresql": "EXPLAIN", "mysql": "EXPLAIN FORMAT=JSON", "sqlite": "EXPLAIN QUERY PLAN"}
TEXT: Final = {"postgresql": "text", "mysql": "longtext", "sqlite": "text"}


def numbers(name: str = "numbers", *, rows: int = 3, sources: tuple[Alias, ...] = SHARDS[:1]) -> Shadow:
    vendor = coordinator().vendor
    columns = (Column("n", "integer"), Column("name", TEXT[vendor]))
    return Shadow(name, columns, tuple(Source(alias, NUMBERS[vendor], (rows,)) for alias in sources))


def keyed(shadow: Shadow) -> Shadow:
    return Shadow(shadow.name, shadow.columns, shadow.sources, primary_key="n")


def broken(*, rows: int) -> Shadow:
    """Return a shadow of two sources, of which the second gives some rows, and then an error."""
    whole = numbers(rows=rows)
    sql = {
        "postgresql": "SELECT 1 / (20000 - n), 'x' FROM generate_series(1, 30000) AS n",
        "mysql": "SELECT seq, (SELECT 1 UNION SELECT 2) FROM seq_1_to_10",
        "sqlite": "SELECT 1, abs(-9223372036854775808)",
    }
    return Shadow(whole.name, whole.columns, (*whole.sources, Source(SHARDS[1], sql[coordinator().vendor])))


@contextmanager
def savepoints() -> Iterator[None]:
    """Let an error end no transaction of the test's."""
    with ExitStack() as stack:
        for alias in DATABASES:
            stack.enter_context(transaction.atomic(using=alias))
        yield


@contextmanager
def gathered(*shadows: Shadow, by: Way | None = None) -> Iterator[Any]:
    with shadowed(coordinator(), shadows, Budget(PLENTY, PLENTY), by=by) as found:
        yield found


def way(by: Way) -> Way:
    """Return how a statement finds shadows: on SQLite their tables have other names, so that it has to be told."""
    return "cte" if coordinator().vendor == "sqlite" else by


def is_there(name: str) -> bool:
    """Say whether the coordinator knows a table of that name."""
    try:
        with transaction.atomic(), coordinator().cursor() as cursor:
            cursor.execute(f"SELECT 1 FROM {coordinator().ops.quote_name(name)}")
    except DatabaseError:
        return False
    return True


def still_answers(alias: str) -> bool:
    return asked(connections[alias], "SELECT 1") == [(1,)]


@inside_transactions
@both_ways
def test_rows_of_all_sources_are_one_table(by: Way) -> None:
    with gathered(numbers(rows=2, sources=SHARDS), by=by) as shadows:
        assert [(1, "number 1"), (1, "number 1"), (2, "number 2"), (2, "number 2")] == asked(
            coordinator(), "SELECT * FROM numbers ORDER BY n", shadows
        )
        assert (way(by), 4) == (shadows.by, shadows.rows)


@inside_transactions
@pytest.mark.parametrize("others", [(), ("numbers", "odd%s"), ("",)], ids=str)
def test_a_table_has_the_indexes_that_it_should_have(others: tuple[str, ...]) -> None:
    """Also while another one stands, whatever it is called, and when one is used again that could not be dropped."""
    whole = numbers(rows=2000)
    shadow = Shadow(whole.name, whole.columns, whole.sources, indexes=(("n",), ("n", "n2")))
    shadow = replace(shadow, columns=(shadow.columns[0], Column("n2", TEXT_KEY[coordinator().vendor])))
    sql = f"{EXPLAIN[coordinator().vendor]} SELECT n2 FROM numbers WHERE n = 3 AND n2 = 'number 3'"

    with ExitStack() as stack:
        for name in others:
            if name:
                stack.enter_context(gathered(replace(shadow, name=name), by="temporary tables"))
            else:
                stack.enter_context(coordinator().cursor()).execute("SELECT 1 UNION SELECT 2")
        for _ in range(2):
            with gathered(shadow, by="temporary tables") as shadows:
                assert [("number 3",)] == asked(
                    coordinator(), "SELECT n2 FROM numbers WHERE n = 3 AND n2 = 'number 3'", shadows
                )
                assert "index" in str(asked(coordinator(), sql, shadows)).lower()


@inside_transactions
@both_ways
def test_a_shadow_may_have_no_rows(by: Way) -> None:
    with gathered(numbers(rows=0), by=by) as shadows:
        assert [(0, None)] == asked(coordinator(), "SELECT COUNT(*), SUM(n) FROM numbers", shadows)


@inside_transactions
@both_ways
def test_a_shadow_hides_the_permanent_table_of_its_name(by: Way) -> None:
    with gathered(numbers("auth_group", rows=2), by=by) as shadows:
        assert [(2,)] == asked(coordinator(), "SELECT COUNT(*) FROM auth_group", shadows)

    assert [(0,)] == asked(coordinator(), "SELECT COUNT(*) FROM auth_group")


@inside_transactions
@both_ways
def test_a_statement_may_mention_a_shadow_many_times(by: Way) -> None:
    sql = "SELECT a.n, (SELECT COUNT(*) FROM numbers WHERE n < b.n) FROM numbers a JOIN numbers b ON a.n = b.n"
    with gathered(numbers(), by=by) as shadows:
        assert [(1, 0), (2, 1), (3, 2)] == sorted(asked(coordinator(), sql, shadows))


@inside_transactions
@both_ways
@pytest.mark.parametrize(
    "sql",
    [
        "WITH few AS (SELECT n FROM numbers WHERE n < 3) SELECT n FROM few ORDER BY n",
        (
            "WITH RECURSIVE few(n) AS (SELECT 1 UNION ALL SELECT m.n FROM few JOIN numbers m ON m.n = few.n + 1 "
            "WHERE few.n < 2) SELECT n FROM few ORDER BY n"
        ),
        "SELECT n FROM numbers WHERE n = 1 UNION SELECT n FROM numbers WHERE n < 3 ORDER BY n",
        "(SELECT n FROM numbers WHERE n = 1) UNION ALL (SELECT n FROM numbers WHERE n = 2) ORDER BY n",
        " /* with */ select n from numbers where n % 3 <> 0 order by n",
    ],
)
def test_statements_may_begin_as_they_like(by: Way, sql: str) -> None:
    if coordinator().vendor == "sqlite" and sql.startswith("("):
        sql = f"SELECT * FROM {sql.replace(') UNION ALL (', ' UNION ALL ').replace(') ORDER', ') ORDER')}"
    with gathered(numbers(), by=by) as shadows, coordinator().cursor() as cursor:
        shadows.execute(cursor, sql, None)

        assert [(1,), (2,)] == list(cursor.fetchall())


@inside_transactions
@both_ways
def test_parameters_keep_their_order_and_their_per_cent_signs(by: Way) -> None:
    with gathered(numbers(), by=by) as shadows, coordinator().cursor() as cursor:
        shadows.execute(
            cursor, "SELECT n FROM numbers WHERE name LIKE 'n%%' AND n > %s AND name <> %s", (1, "number 3")
        )

        assert [(2,)] == list(cursor.fetchall())


@inside_transactions
def test_sources_may_have_per_cent_signs_and_no_parameters() -> None:
    columns = (Column("n", "integer"),)
    sql = {"mysql": "SELECT 7 %% 4", "sqlite": "SELECT 7 %% 4", "postgresql": "SELECT 7 %% 4"}[coordinator().vendor]
    with gathered(Shadow("rests", columns, (Source(SHARDS[0], sql),))) as shadows:
        assert [(3,)] == asked(coordinator(), "SELECT n FROM rests", shadows)


@inside_transactions
def test_an_explained_statement_is_the_one_with_the_shadows() -> None:
    explain = coordinator().ops.explain_query_prefix()
    with gathered(numbers(), by="cte") as shadows:
        assert asked(coordinator(), f"{explain} SELECT n FROM numbers", shadows)


@inside_transactions
def test_few_rows_are_part_of_the_statement_and_many_go_into_tables() -> None:
    few, many = numbers(rows=10), keyed(numbers(rows=20_000))
    with gathered(few) as shadows:
        assert "cte" == shadows.by
    with gathered(many) as shadows:
        assert (way("temporary tables"), 20_000) == (shadows.by, shadows.rows)
        assert [(20_000, 20_000 * 20_001 // 2)] == asked(coordinator(), "SELECT COUNT(*), SUM(n) FROM numbers", shadows)


@inside_transactions
def test_both_ways_and_all_sizes_give_the_same_answer() -> None:
    sql = "SELECT n, name, COUNT(*) FROM numbers GROUP BY n, name ORDER BY n, name"
    answers = []
    for by in ("cte", "temporary tables", None):
        with gathered(numbers(rows=2500, sources=SHARDS), by=by) as shadows:
            answers.append(asked(coordinator(), sql, shadows))

    assert 2500 == len(answers[0])
    assert answers[0] == answers[1] == answers[2]


@inside_transactions
def test_a_primary_key_lets_postgresql_group_by_it_alone() -> None:
    sql = "SELECT n, name, COUNT(*) FROM numbers GROUP BY n" + (
        ", name" if coordinator().vendor != "postgresql" else ""
    )
    with gathered(keyed(numbers()), by="temporary tables") as shadows:
        assert 3 == len(asked(coordinator(), sql, shadows))


@inside_transactions
@both_ways
def test_shadows_of_the_same_name_can_be_nested(by: Way) -> None:
    with gathered(numbers(rows=5), by=by) as outer, gathered(numbers(rows=2), by=by) as inner:
        assert [(2,)] == asked(coordinator(), "SELECT COUNT(*) FROM numbers", inner)
        assert [(5,)] == asked(coordinator(), "SELECT COUNT(*) FROM numbers", outer)


@inside_transactions
@both_ways
def test_several_shadows_can_be_joined(by: Way) -> None:
    shadows_of = (numbers("left side", rows=5, sources=SHARDS), numbers("right side", rows=3, sources=SHARDS))
    quoted = coordinator().ops.quote_name
    sql = f"SELECT COUNT(*) FROM {quoted('left side')} l JOIN {quoted('right side')} r ON l.n = r.n"
    with gathered(*shadows_of, by=by) as shadows:
        assert [(12,)] == asked(coordinator(), sql, shadows)


@inside_transactions
@both_ways
def test_rows_may_come_from_where_they_go(by: Way) -> None:
    with gathered(numbers(rows=3000, sources=(Alias("default"), SHARDS[0])), by=by) as shadows:
        assert [(6000,)] == asked(coordinator(), "SELECT COUNT(*) FROM numbers", shadows)


@inside_transactions
@both_ways
def test_every_database_is_asked_once(by: Way) -> None:
    with queries_by_database() as seen, gathered(numbers(sources=SHARDS), by=by) as shadows:
        before = seen["default"]
        asked(coordinator(), "SELECT 1 FROM numbers", shadows)

    assert [1, 1] == [seen[alias] for alias in SHARDS]
    assert before == 0 or by == "temporary tables"


@inside_transactions
def test_the_log_of_queries_shows_what_is_asked() -> None:
    with CaptureQueriesContext(connections[SHARDS[0]]) as log, gathered(numbers()):
        pass

    assert 1 == len(log)


@outside_transactions
def test_nothing_is_left_behind() -> None:
    for by in ("cte", "temporary tables"):
        with gathered(keyed(numbers()), by=by) as shadows:
            asked(coordinator(), "SELECT 1 FROM numbers", shadows)
        assert not is_there("numbers")

        with pytest.raises(DatabaseError), gathered(numbers(), by=by) as shadows:
            asked(coordinator(), "SELECT nonsense FROM numbers", shadows)
        assert not is_there("numbers")
        assert not coordinator().in_atomic_block

    with pytest.raises(DatabaseError), gathered(numbers(rows=20_000), broken(rows=10)):
        pass
    assert not is_there("numbers")
    assert [True, True, True] == [still_answers(alias) for alias in DATABASES]


@inside_transactions
@both_ways
def test_a_transaction_goes_on_after_a_statement_that_failed(by: Way) -> None:
    with pytest.raises(DatabaseError), transaction.atomic(), gathered(numbers(), by=by) as shadows:
        asked(coordinator(), "SELECT nonsense FROM numbers", shadows)

    assert not is_there("numbers")
    assert still_answers("default")


@inside_transactions
def test_tables_spare_the_transaction_around_them_an_error() -> None:
    with pytest.raises(DatabaseError), gathered(numbers(), by="temporary tables") as shadows:
        asked(coordinator(), "SELECT nonsense FROM numbers", shadows)

    assert still_answers("default")


@inside_transactions
@pytest.mark.parametrize("rows", [10, 20_000])
def test_a_source_that_fails_is_named_and_all_databases_go_on(rows: int) -> None:
    with pytest.raises(DatabaseError) as caught, savepoints(), gathered(broken(rows=rows)):
        pass

    assert any("'shard_1'" in note for note in caught.value.__notes__)
    assert not is_there("numbers")
    assert [True, True, True] == [still_answers(alias) for alias in DATABASES]


@inside_transactions
@pytest.mark.parametrize(("rows", "size"), [(100, PLENTY), (PLENTY, 1000)])
def test_a_budget_is_spent_while_rows_travel(rows: int, size: int) -> None:
    shadows = [numbers("few", rows=5), numbers("many", rows=30_000, sources=SHARDS)]
    budget = Budget(rows, size)
    with pytest.raises(GatherLimitExceeded) as caught, savepoints(), shadowed(coordinator(), shadows, budget):
        pass

    assert budget.spent_rows < 30_005, "it was not read to the end"
    assert tells(caught.value, budget)
    assert [True, True, True] == [still_answers(alias) for alias in DATABASES]


def tells(error: GatherLimitExceeded, budget: Budget) -> bool:
    """Say whether the message has every count, and both remedies."""
    message = str(error)
    counted = all(f"{count} of {name}" in message for name, count in budget.counts.items())
    return counted and "Filter on" in message and "GATHER_" in message


@inside_transactions
def test_a_budget_is_for_all_shadows_of_a_statement() -> None:
    budget = Budget(6, PLENTY)
    shadows = [numbers("first", rows=4), numbers("second", rows=4)]
    expected = r"more than 6 rows .*4 of first and 4 of second had come"
    with pytest.raises(GatherLimitExceeded, match=expected), shadowed(coordinator(), shadows, budget):
        pass


@inside_transactions
def test_a_budget_may_be_spent_to_the_last_row() -> None:
    with shadowed(coordinator(), [numbers(rows=5)], Budget(5, PLENTY)) as shadows:
        assert 5 == shadows.rows


@inside_transactions
@both_ways
def test_a_transaction_sees_what_it_has_written(by: Way) -> None:
    with connections[SHARDS[0]].cursor() as cursor:
        cursor.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('shadows', 'x', '2013-01-31')")
    columns = (Column("app", {"postgresql": "varchar(9)", "mysql": "varchar(255)", "sqlite": "text"}[vendor()]),)
    source = Source(SHARDS[0], "SELECT app FROM django_migrations WHERE app = %s", ("shadows",))
    with gathered(Shadow("written", columns, (source,)), by=by) as shadows:
        assert [("shadows",)] == asked(coordinator(), "SELECT app FROM written", shadows)


def vendor() -> str:
    return coordinator().vendor


@outside_transactions
def test_a_transaction_that_may_not_write_can_read_many_rows() -> None:
    read_only = {"postgresql": "SET TRANSACTION READ ONLY", "mysql": "START TRANSACTION READ ONLY"}.get(vendor())
    if read_only is None:
        pytest.skip("SQLite has no transactions that may not write.")
    with transaction.atomic():
        with coordinator().cursor() as cursor:
            cursor.execute(read_only)
        with gathered(numbers(rows=3000)) as shadows:
            assert "cte" == shadows.by
            assert [(3000,)] == asked(coordinator(), "SELECT COUNT(*) FROM numbers", shadows)


def only_postgresql() -> None:
    if vendor() != "postgresql":
        pytest.skip("Only PostgreSQL has this.")


@outside_transactions
def test_few_rows_can_be_gathered_in_a_transaction_that_will_be_prepared() -> None:
    begin, prepare, undo = {
        "postgresql": ("BEGIN", "PREPARE TRANSACTION 'shadows'", "ROLLBACK PREPARED 'shadows'"),
        "mysql": ("XA START 'shadows'", "XA END 'shadows'; XA PREPARE 'shadows'", "XA ROLLBACK 'shadows'"),
        "sqlite": ("BEGIN", "COMMIT", "SELECT 1"),
    }[vendor()]
    asked_for = [begin, *prepare.split("; ")]
    with coordinator().cursor() as cursor:
        cursor.execute(asked_for.pop(0))
        with gathered(numbers(rows=2000), by="cte") as shadows:
            assert [(2000,)] == asked(coordinator(), "SELECT COUNT(*) FROM numbers", shadows)
        for sql in (*asked_for, undo):
            cursor.execute(sql)


@inside_transactions
@both_ways
def test_a_statement_that_the_server_prepared_before_finds_the_shadow(by: Way) -> None:
    only_postgresql()
    sql = "SELECT COUNT(*) FROM auth_group"
    driver: Any = coordinator().connection
    driver.prepare_threshold = 0
    try:
        assert [[(0,)], [(0,)]] == [asked(coordinator(), sql), asked(coordinator(), sql)]
        with gathered(numbers("auth_group"), by=by) as shadows:
            assert [(3,)] == asked(coordinator(), sql, shadows)
        assert 0 == driver.prepare_threshold
    finally:
        driver.prepare_threshold = None


@inside_transactions
def test_a_search_path_that_names_temporary_tables_last_does_not_hide_shadows() -> None:
    only_postgresql()
    with coordinator().cursor() as cursor:
        cursor.execute("SET LOCAL search_path = public, pg_temp")
    with gathered(keyed(numbers("auth_group")), by="temporary tables") as shadows:
        assert [(3,)] == asked(coordinator(), "SELECT COUNT(*) FROM auth_group", shadows)
        assert "cte" == shadows.by, "the statement names the table, which has no primary key then"


@inside_transactions
@pytest.mark.parametrize(
    ("setting", "value"), [("DateStyle", "SQL, DMY"), ("IntervalStyle", "sql_standard"), ("extra_float_digits", "0")]
)
def test_databases_that_write_values_differently_are_refused(setting: str, value: str) -> None:
    only_postgresql()
    styles._exact.discard(connections[SHARDS[0]].connection)
    with connections[SHARDS[0]].cursor() as cursor:
        cursor.execute(f"SET LOCAL {setting} = '{value}'")

    with (
        pytest.raises(DatabasesDiffer, match=f"'shard_0' has {setting} = '{value}'"),
        gathered(numbers()),
    ):
        pass


@inside_transactions
@pytest.mark.parametrize("rows", [5, 3000])
def test_shadows_come_and_go_while_something_else_is_read(rows: int) -> None:
    MigrationRecorder.Migration.objects.using("default").create(app="shadows", name="x")
    is_stepwise = vendor() == "sqlite"  # whose cursors stay open until they are read
    reading: Any = MigrationRecorder.Migration.objects.using("default").iterator(chunk_size=1)
    for count, _ in enumerate(islice(reading, 5), 1):
        with gathered(numbers(rows=rows)) as shadows:
            assert [(rows,)] == asked(coordinator(), "SELECT COUNT(*) FROM numbers", shadows)
        if is_stepwise and count > 1:
            assert 1 == len(sqlite._left[coordinator()]), "tables that cannot be dropped are used again"
    reading.close()

    with gathered(numbers()):
        pass
    assert not is_stepwise or {} == sqlite._left[coordinator()]


@inside_transactions
@both_ways
def test_a_column_may_hold_more_than_its_field_says(by: Way) -> None:
    """A table that Django does not manage is what somebody else made it."""
    columns = (Column("name", "varchar(3)"), Column("price", "numeric(4, 1)"))
    cast = {"sqlite": "12345.678"}.get(vendor(), "CAST(12345.678 AS decimal(10, 3))")
    source = Source(SHARDS[0], f"SELECT 'abcdefghi', {cast}")
    with gathered(Shadow("wide", columns, (source,)), by=by) as shadows:
        assert [("abcdefghi", True)] == asked(coordinator(), f"SELECT name, price = {cast} FROM wide", shadows)
