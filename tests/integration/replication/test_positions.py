"""Does a replica that includes a position have everything that was committed before the position was asked for?"""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing
from itertools import pairwise
from typing import Any

import pytest
from django.core.management.color import no_style
from django.db import DatabaseError, OperationalError, connections, transaction

from shardkit.errors import PositionUnknown, PrimaryDemoted
from shardkit.positions.lsn import Lsn, end_of_records, parse
from shardkit.positions.position import Position
from shardkit.vendors.replication.base import Failure
from shardkit.vendors.replication.mysql import YOUNG
from shardkit.vendors.replication.registry import replication_of
from tests.fix_replicas import PATIENCE, PRIMARY, REPLICAS, VENDOR, Family, Servers
from tests.waiting import wait_for

#: Of PostgreSQL's log, in bytes.
PAGE = 8192

only_on = {
    vendor: pytest.mark.skipif(VENDOR != vendor, reason=f"it is about {vendor}")
    for vendor in ("postgresql", "mysql", "sqlite")
}


def test_a_replica_that_includes_the_position_after_a_commit_has_the_row(family: Family) -> None:
    for count in range(1, 31):
        family.write()
        position = family.position()
        family.wait_until_has(position)

        assert family.count() == count


def test_a_replica_that_lacks_the_row_does_not_include_the_position(family: Family) -> None:
    before = family.position()
    family.wait_until_has(before)
    family.pause()
    family.write()
    position = family.position()
    family.wait_until_has(position, 1)

    assert not family.has(position)
    assert family.has(before)
    assert family.count() == 0

    family.resume()
    family.wait_until_has(position)
    assert family.count() == 1


def test_a_transaction_that_is_not_committed_is_in_no_position_that_a_replica_lacks(family: Family) -> None:
    with transaction.atomic(using=PRIMARY):
        family.write()
        with closing(connections.create_connection(PRIMARY)) as other:
            if VENDOR != "sqlite":  # where the writer holds the whole file
                other.ensure_connection()
                position = replication_of(other).position(other)
                family.wait_until_has(position)

        assert family.count() == 0


def test_positions_grow(family: Family) -> None:
    found = [family.position()]
    for _ in range(5):
        family.write()
        found.append(family.position())

    for earlier, later in pairwise(found):
        assert later.includes(earlier)
        assert not earlier.includes(later)


def test_a_position_is_one_statement_that_django_neither_counts_nor_logs(
    family: Family, django_assert_num_queries: Any
) -> None:
    connection = family.connection(PRIMARY)
    with django_assert_num_queries(0, connection=connection):
        replication_of(connection).position(connection)


def test_a_sample_includes_what_was_committed_before_it(family: Family) -> None:
    sampler = connections.create_connection(PRIMARY)
    with closing(sampler):
        sampler.ensure_connection()
        sample = replication_of(sampler).sample(sampler)
        for count in range(1, 4):
            family.write()
            earlier, sample = sample, replication_of(sampler).sample(sampler, sample.memo)
            assert sample.is_writable
            assert sample.position is not None
            family.wait_until_has(sample.position)

            assert sample.position.includes(earlier.position)  # type: ignore[arg-type]
            assert family.count() == count


def test_a_replica_is_one_and_says_so(family: Family) -> None:
    state = family.state()

    assert state.is_replica
    assert state.position is not None
    assert not state.why


def test_everybody_calls_the_life_of_a_replica_the_same(family: Family) -> None:
    life = family.state().life
    with closing(connections.create_connection(REPLICAS[0])) as other:
        other.ensure_connection()

        assert replication_of(other).state(other).life == life
        assert replication_of(other).lives(other, life)
    assert len(life) == 8


def test_two_replicas_have_two_lives(family: Family) -> None:
    one, other = family.state(0).life, family.state(1).life

    assert one != other
    assert not family.lives(one, 1)
    assert not family.lives("", 0)


def test_a_life_goes_on_while_the_replica_waits(family: Family) -> None:
    life = family.state().life
    family.pause()
    family.write()
    family.resume()
    family.catch_up()

    assert family.state().life == life
    assert family.lives(life)


def test_a_connection_that_is_read_only_refuses_to_write_through_django(family: Family) -> None:
    connection = family.connection(REPLICAS[0])
    replication_of(connection).make_read_only(connection)

    for statement in ("INSERT INTO thing VALUES (2)", "DELETE FROM thing", "CREATE TABLE other (id int)"):
        with pytest.raises(DatabaseError):
            family.sql(REPLICAS[0], statement)
    with pytest.raises(DatabaseError), transaction.atomic(using=REPLICAS[0]):
        family.sql(REPLICAS[0], "INSERT INTO thing VALUES (2)")
    assert family.count() == 0


@pytest.mark.parametrize(
    ("statement", "failure"),
    [
        ("SELECT * FROM absent", Failure.BEHIND),
        ("SELECT absent FROM thing", Failure.BEHIND),
        ("SELECT absent(id) FROM thing", None),
        ("SELEKT", None),
        ("INSERT INTO thing VALUES (2)", Failure.READ_ONLY),
    ],
)
def test_it_is_known_which_errors_another_database_would_not_have(
    family: Family, statement: str, failure: Failure | None
) -> None:
    connection = family.connection(REPLICAS[0])
    replication_of(connection).make_read_only(connection)
    with pytest.raises(DatabaseError) as raised:
        family.sql(REPLICAS[0], statement)

    assert failure is replication_of(connection).failure(raised.value)


@pytest.mark.django_db
def test_a_replica_of_another_database_includes_nothing_of_this_one(family: Family) -> None:
    connection = connections["default"]
    if VENDOR == "mysql":
        pytest.skip("the server of the other tests writes no binary log")
    connection.ensure_connection()

    assert not family.has(replication_of(connection).position(connection))


# Servers.


def test_a_replica_that_was_killed_and_started_lives_another_life(servers: Servers) -> None:
    known = servers.state()
    servers.restart()
    state = servers.state(memo=known.memo)

    assert state.life != known.life
    assert not servers.lives(known.life)
    assert servers.lives(state.life)


def test_a_cut_link_is_no_other_life_and_the_position_stays(servers: Servers) -> None:
    known = servers.state()
    servers.cut()
    servers.write()
    position = servers.position()
    servers.wait_until_has(position, 1)
    state = servers.state(memo=known.memo)

    assert state.life == known.life
    assert state.is_replica
    assert state.position is not None
    assert not state.position.includes(position)
    assert known.position is not None
    assert state.position.includes(known.position)


def test_a_replica_that_was_promoted_follows_nobody(servers: Servers) -> None:
    known = servers.state()
    servers.promote()
    state = servers.state(memo=known.memo)

    assert not state.is_replica


def test_positions_of_the_old_primary_are_not_those_of_the_new_one(servers: Servers) -> None:
    servers.write()
    old = servers.position()
    servers.fail_over()
    servers.write()
    new = servers.position()

    assert not new.includes(old)
    assert not old.includes(new)
    assert new.joined(old) is None

    follower = servers.connection(REPLICAS[1])
    memo: Any = None

    def has_followed() -> bool:
        """Write, so that there is something to follow, and look as the monitor does, who keeps the memo."""
        nonlocal memo
        servers.write()
        state = replication_of(follower).state(follower, memo)
        memo = state.memo
        assert state.position is None or not (state.position.includes(new) and state.position.includes(old))
        return state.position is not None and state.position.includes(new)

    wait_for(has_followed, PATIENCE)
    assert servers.count(1) >= 2


def test_a_primary_that_takes_no_writes_says_so(servers: Servers) -> None:
    """The alias of the primary leads to a server that is a replica by now."""
    connection = servers.connection(REPLICAS[0])
    sample = replication_of(connection).sample(connection)

    assert not sample.is_writable


# PostgreSQL.


@only_on["postgresql"]
def test_a_standby_is_no_primary(servers: Servers) -> None:
    connection = servers.connection(REPLICAS[0])

    assert replication_of(connection).sample(connection).position is None
    with pytest.raises(PrimaryDemoted):
        replication_of(connection).position(connection)


@only_on["postgresql"]
def test_a_commit_that_is_not_yet_flushed_is_in_its_position(servers: Servers) -> None:
    servers.sql(PRIMARY, "SET synchronous_commit = off")
    servers.pause()
    is_late = False
    for _ in range(20):
        servers.write()
        position = servers.position()
        ((written,),) = servers.sql(PRIMARY, "SELECT pg_current_wal_lsn()::text")
        is_late |= not Lsn(position.system, position.timeline, parse(written)).includes(position)  # type: ignore[attr-defined]

        assert not servers.has(position)
    assert is_late, "Every commit was flushed at once, so this has shown nothing."

    servers.resume()
    servers.wait_until_has(position)
    assert servers.count() == 20


@only_on["postgresql"]
def test_a_record_that_ends_with_its_page_is_reached_while_nobody_writes(servers: Servers) -> None:
    insert = _write_to_the_end_of_a_page(servers)
    position = servers.position()
    assert isinstance(position, Lsn)
    assert position.offset == end_of_records(insert) < insert

    wait_for(lambda: servers.has(position), 5)

    ((replayed,),) = servers.sql(REPLICAS[0], "SELECT pg_last_wal_replay_lsn()::text")
    assert parse(replayed) == position.offset, "The place after the header would not have been reached."


def _write_to_the_end_of_a_page(servers: Servers) -> int:
    """Commit until the next record is to be inserted right after a header, and return that place."""
    beside_the_text = 0
    for _ in range(500):
        before = _insert_lsn(servers)
        room = PAGE - before % PAGE
        length = room - beside_the_text if room > PAGE // 2 else room + 100
        servers.sql(PRIMARY, f"SELECT pg_logical_emit_message(true, '', repeat('x', {length}))")
        insert = _insert_lsn(servers)
        if insert != end_of_records(insert):
            return insert
        if insert - before < room:
            beside_the_text = insert - before - length
        elif room > PAGE // 2:
            beside_the_text += 8  # it was a little too much
    pytest.fail("No record has ended with its page.")


@only_on["postgresql"]
def test_what_is_inserted_without_a_commit_does_not_keep_replicas_away_while_nobody_writes(servers: Servers) -> None:
    """A read prunes a page, or a transaction is rolled back: that alone would not be flushed for up to 15 s."""
    servers.sql(PRIMARY, "SELECT pg_logical_emit_message(false, '', 'not flushed')")
    position = servers.position()
    connection = servers.connection(PRIMARY)
    began = time.monotonic()
    memo = None
    while not servers.has(position):
        memo = replication_of(connection).sample(connection, memo).memo
        time.sleep(0.05)

    assert time.monotonic() - began < 5


@only_on["postgresql"]
def test_samples_of_a_server_that_has_flushed_everything_write_nothing(servers: Servers) -> None:
    connection = servers.connection(PRIMARY)
    servers.catch_up()
    known = replication_of(connection).sample(connection)
    ((before,),) = servers.sql(PRIMARY, "SELECT txid_snapshot_xmax(txid_current_snapshot())")
    for _ in range(20):
        known = replication_of(connection).sample(connection, known.memo)

    assert servers.sql(PRIMARY, "SELECT txid_snapshot_xmax(txid_current_snapshot())") == [(before,)]


def _insert_lsn(servers: Servers) -> int:
    ((insert,),) = servers.sql(PRIMARY, "SELECT pg_current_wal_insert_lsn()::text")
    return parse(insert)


@only_on["postgresql"]
def test_a_crash_of_one_process_is_another_life_of_the_standby(servers: Servers) -> None:
    """The standby starts again from its last restart point, under the same postmaster."""
    known = servers.state()
    ((pid, started),) = servers.sql(REPLICAS[0], "SELECT pg_backend_pid(), pg_postmaster_start_time()")
    os.kill(pid, signal.SIGKILL)
    connections[REPLICAS[0]].close()
    wait_for(lambda: _answers(servers), 30)

    assert servers.sql(REPLICAS[0], "SELECT pg_postmaster_start_time()") == [(started,)]
    assert not servers.lives(known.life)
    assert servers.state(memo=known.memo).life != known.life


def _answers(servers: Servers) -> bool:
    try:
        servers.count()
    except DatabaseError:
        connections[REPLICAS[0]].close()
        return False
    return True


@only_on["postgresql"]
def test_how_a_session_writes_times_is_nothing_to_a_life(servers: Servers) -> None:
    life = servers.state().life
    servers.sql(REPLICAS[0], "SET TIME ZONE 'Asia/Tokyo'")
    servers.sql(REPLICAS[0], "SET DateStyle = 'German'")

    assert servers.lives(life)


@only_on["postgresql"]
def test_a_detached_standby_of_the_old_primary_claims_nothing_of_the_new_timeline(servers: Servers) -> None:
    """It has replayed more of the old timeline than the new primary has, it is killed, and is started again."""
    servers.cut(0)
    for _ in range(200):
        servers.write(7)  # these rows are lost
    lost = servers.position()
    servers.wait_until_has(lost, 1)
    _promote_with_what_it_has(servers)
    servers.write(8)
    new = servers.position()
    assert new.offset < lost.offset  # type: ignore[attr-defined]

    _watch(servers, claims_nothing_of=new)
    servers.restart(1)
    wait_for(lambda: servers.sql(REPLICAS[1], RECEIVED) == [(2,)], PATIENCE)
    _watch(servers, claims_nothing_of=new)
    for _ in range(400):
        servers.write(8)
    assert servers.position().offset > lost.offset  # type: ignore[attr-defined]
    try:
        _watch(servers, claims_nothing_of=new)
    except OperationalError:  # a record came that does not fit its rows, and PostgreSQL has ended it
        connections[REPLICAS[1]].close()
        with pytest.raises(OperationalError):
            servers.count(1)
        return

    assert servers.sql(REPLICAS[1], "SELECT count(*) FROM thing WHERE id = 7") == [(200,)]
    assert servers.sql(REPLICAS[1], "SELECT count(*) FROM thing WHERE id = 8") == [(0,)]


def _promote_with_what_it_has(servers: Servers) -> None:
    """Lose the primary, and let replica 0 take its place although it lacks something."""
    servers.is_used_up = True
    group = servers.group
    group.primary.kill()
    group.replicas[0].promote()
    group.primary = group.replicas[0]
    group.name_primary()
    connections[PRIMARY].close()
    connections[REPLICAS[0]].close()
    link = group.replicas[1].link
    assert link is not None
    link.lead_to(group.primary.port)


#: The timeline that a standby is sent.
RECEIVED = "SELECT max(received_tli) FROM pg_stat_wal_receiver"


def _watch(servers: Servers, *, claims_nothing_of: Position) -> None:
    """Look often, with and without a memory: its receiver comes and goes."""
    memo: Any = None
    until = time.monotonic() + 3
    while time.monotonic() < until:
        for known in (memo, None):
            state = servers.state(1, known)
            assert state.position is None or not state.position.includes(claims_nothing_of)
        memo = servers.state(1, memo).memo


@only_on["postgresql"]
def test_a_read_that_delays_the_replay_is_cancelled_as_a_conflict(servers: Servers) -> None:
    for _ in range(10):
        servers.write()
    servers.catch_up()
    with pytest.raises(DatabaseError) as raised:
        _read_while_rows_go_away(servers)

    assert Failure.CANCELLED is replication_of(connections[REPLICAS[0]]).failure(raised.value)


def _read_while_rows_go_away(servers: Servers) -> None:
    with transaction.atomic(using=REPLICAS[0]):
        servers.sql(REPLICAS[0], "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        servers.count()
        servers.sql(PRIMARY, "TRUNCATE thing")
        servers.sql(REPLICAS[0], "SELECT pg_sleep(20)")


@only_on["postgresql"]
def test_a_role_without_grants_may_ask_everything(servers: Servers) -> None:
    servers.sql(PRIMARY, "DROP ROLE IF EXISTS app")
    servers.sql(PRIMARY, "CREATE ROLE app")
    servers.catch_up()
    known = servers.state()
    for alias in (PRIMARY, REPLICAS[0]):
        servers.sql(alias, "SET ROLE app")

    position, state = servers.position(), servers.state()
    assert state.life == known.life
    assert servers.lives(known.life)
    servers.wait_until_has(position)


# MariaDB.


@only_on["mysql"]
@pytest.mark.django_db
def test_a_primary_without_a_binary_log_has_no_position() -> None:
    connection = connections["default"]
    connection.ensure_connection()

    with pytest.raises(PositionUnknown, match="log_bin"):
        replication_of(connection).position(connection)
    with pytest.raises(PositionUnknown):
        replication_of(connection).sample(connection)


@only_on["mysql"]
def test_a_server_that_was_just_started_is_not_read_yet(servers: Servers) -> None:
    """Of two starts within one second nobody could tell which is which."""
    servers.restart()
    connection = servers.connection(REPLICAS[0])
    ((age,),) = servers.sql(
        REPLICAS[0], "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = 'UPTIME'"
    )
    if int(age) < YOUNG - 1:
        assert replication_of(connection).state(connection).position is None

    wait_for(lambda: servers.state().position is not None)


@only_on["mysql"]
def test_a_replica_that_may_be_written_to_is_one_as_long_as_it_follows(servers: Servers) -> None:
    servers.machine().ask("SET GLOBAL read_only = 0")
    try:
        assert servers.state().is_replica
        servers.pause()
        assert not servers.state().is_replica
    finally:
        servers.machine().ask("SET GLOBAL read_only = 1")


@only_on["mysql"]
def test_a_primary_that_has_numbered_nothing_has_no_position(servers: Servers) -> None:
    """The empty set would be included by a replica that lacks everything."""
    servers.is_used_up = True
    servers.group.primary.ask("RESET MASTER")
    connection = servers.connection(PRIMARY)

    with pytest.raises(PositionUnknown, match="numbered no transaction"):
        servers.position()
    sample = replication_of(connection).sample(connection)
    assert (None, True) == (sample.position, sample.is_writable)
    servers.write()
    assert replication_of(connection).sample(connection).position == servers.position()


@only_on["mysql"]
def test_a_replica_that_has_applied_nothing_has_no_position(servers: Servers) -> None:
    servers.is_used_up = True
    for statement in ("STOP SLAVE", "RESET MASTER", "SET GLOBAL gtid_slave_pos = ''"):
        servers.machine().ask(statement)
    state = servers.state()

    assert (None, "it has applied nothing yet") == (state.position, state.why)


@only_on["mysql"]
def test_one_that_logs_nothing_of_what_it_applies_is_where_it_has_applied_to_when_it_is_promoted(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end of its own log is that of the time when it logged, or none."""
    from tests.soak import mariadb

    monkeypatch.setattr(mariadb, "OURS", tuple(option for option in mariadb.OURS if "slave-updates" not in option))
    servers.restart()
    servers.write()
    old = servers.position()
    wait_for(lambda: servers.state().position)
    servers.wait_until_has(old)
    servers.promote()
    connection = servers.connection(REPLICAS[0])

    assert old == replication_of(connection).position(connection)
    servers.sql(REPLICAS[0], "INSERT INTO thing VALUES (2)")
    assert not servers.has(replication_of(connection).position(connection), 1)


# SQLite.


@only_on["sqlite"]
def test_looking_at_an_idle_file_writes_nothing(family: Family) -> None:
    connection = family.connection(PRIMARY)
    sample = replication_of(connection).sample(connection)
    for _ in range(5):
        assert replication_of(connection).sample(connection, sample.memo) == sample


@only_on["sqlite"]
def test_a_file_without_a_counter_gets_one(family: Family) -> None:
    family.sql(PRIMARY, "DROP TABLE shardkit_commits")
    position = family.position()

    family.wait_until_has(position)


@only_on["sqlite"]
def test_a_flush_does_not_touch_the_counter(family: Family) -> None:
    position = family.position()
    connection = connections[PRIMARY]
    tables = connection.introspection.django_table_names(only_existing=True)
    connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), tables))

    assert family.position().includes(position)


@only_on["sqlite"]
def test_a_copy_that_was_deleted_and_made_anew_has_to_be_opened_anew(family: Family) -> None:
    life = family.state().life
    family.write()
    family.pause()
    for suffix in ("", "-wal", "-shm"):
        _delete(f"{family.entry(REPLICAS[0])['NAME']}{suffix}")
    family.resume()
    with pytest.raises(DatabaseError, match="replaced"):
        family.lives(life)
    with pytest.raises(DatabaseError, match="replaced"):
        family.state()
    connections[REPLICAS[0]].close()
    family.catch_up()

    assert not family.lives(life)
    assert family.count() == 1


def _delete(path: str) -> None:
    if os.path.exists(path):  # noqa: PTH110
        os.unlink(path)  # noqa: PTH108


@only_on["sqlite"]
def test_a_file_that_is_gone_is_an_error(family: Family) -> None:
    family.state()
    family.pause()
    for suffix in ("", "-wal", "-shm"):
        _delete(f"{family.entry(REPLICAS[0])['NAME']}{suffix}")

    with pytest.raises(DatabaseError, match="deleted"):
        family.state()
    connections[REPLICAS[0]].close()
