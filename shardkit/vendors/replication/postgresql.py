"""Where is a PostgreSQL server in its write-ahead log?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from shardkit.errors import PrimaryDemoted
from shardkit.positions.lsn import Lsn, end_of_records, parse
from shardkit.vendors.replication.base import Failure, ReplicaState, Sample, asked, cause_of, name_of_life
from shardkit.vendors.replication.timelines import Followed

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

#: The database of the connection: a standby has those of its primary, under the same numbers.
_DATABASE: Final = "(SELECT datname::text || '/' || oid::text FROM pg_database WHERE datname = current_database())"
#: The position at which the next record will be inserted: unlike pg_current_wal_lsn() it covers commits that are not
#: yet written (synchronous_commit = off). Functions about what is written raise an error on a standby. The control file
#: still names the old timeline right after a promotion, so the timeline is taken from the name of the log's file.
_POSITION: Final = (
    "SELECT system_identifier,"  # noqa: S608 - constants of ours
    " CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_insert_lsn()::text END,"
    " CASE WHEN NOT pg_is_in_recovery() THEN substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,"
    " CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_flush_lsn()::text END,"
    " current_setting('transaction_read_only') = 'off',"
    " pg_size_bytes(current_setting('wal_segment_size')), current_setting('wal_block_size')::integer,"
    f" {_DATABASE}"
    " FROM pg_control_system()"
)
#: What is inserted without a commit, such as the pruning of a page by a read, is flushed with the next commit; while
#: nobody commits, the server waits up to 15 seconds, and standbys cannot get there. This commits nothing, and has it
#: flushed by the server's own writer.
_FLUSH: Final = "SELECT pg_current_xact_id()"
#: What is new with every start. When one of its processes crashes, a standby starts again from its last restart point,
#: perhaps further behind than it was, and goes on under the same postmaster; but its statistics begin anew.
_START: Final = (
    "pg_is_in_recovery(), (SELECT system_identifier FROM pg_control_system()),"  # noqa: S608 - constants of ours
    " extract(epoch FROM pg_postmaster_start_time())::text,"
    " (SELECT extract(epoch FROM stats_reset)::text FROM pg_stat_bgwriter),"
    f" {_DATABASE}"
)
_LIFE: Final = f"SELECT {_START}"
_STATE: Final = (
    f"SELECT {_START}, pg_last_wal_replay_lsn()::text,"  # noqa: S608 - a constant of ours
    " greatest((SELECT timeline_id FROM pg_control_checkpoint()),"
    " (SELECT min_recovery_end_timeline FROM pg_control_recovery())),"
    " coalesce(received_tli, 0), coalesce(flushed_lsn::text, '0/0')"
    " FROM (SELECT 1) AS one LEFT JOIN pg_stat_wal_receiver ON true"
)
_UNPROVEN: Final = "it has not yet replayed anything of timeline {0}, which it receives"
_FAILURES: Final = {
    # A standby cancels what would delay its replay: as a failed serialization, or as a deadlock with the replay.
    "40001": Failure.CANCELLED,
    "40P01": Failure.CANCELLED,
    "42703": Failure.BEHIND,
    "42P01": Failure.BEHIND,
    "25006": Failure.READ_ONLY,
}


class PostgreSQLReplication:
    """Streaming replication."""

    def position(self, connection: BaseDatabaseWrapper) -> Lsn:
        """Return the end of the log: every commit lies before it."""
        end = _end_of_log(connection)
        if end is None:
            raise PrimaryDemoted(connection.alias)
        return end.position

    def sample(self, connection: BaseDatabaseWrapper, memo: Any = None) -> Sample:
        """Return the end of the log; a server that was demoted to a standby writes none.

        If the end of the last sample is not flushed by now, have it flushed: somebody may be waiting for it.
        """
        end = _end_of_log(connection)
        if end is None:
            return Sample(None, is_writable=False)
        if isinstance(memo, Lsn) and not end.flushed.includes(memo) and end.takes_writes:
            asked(connection, _FLUSH)
        return Sample(end.position, end.takes_writes, memo=end.position, database=end.database)

    def state(self, connection: BaseDatabaseWrapper, memo: Any = None) -> ReplicaState:
        """Return up to where the standby has replayed, on the timeline that it certainly follows."""
        is_replica, system, *start, database, replayed, control, received, flushed = asked(connection, _STATE)
        life = name_of_life(system, *start, database)
        if not is_replica or replayed is None:
            return ReplicaState(None, life, is_replica, database=database)
        offset = parse(replayed)
        known = memo if isinstance(memo, Followed) and memo.life == life else Followed(life)
        known = known.seen(control=control, received=received, replayed=offset, flushed=parse(flushed))
        if known.timeline is None:
            why = _UNPROVEN.format(known.received)
            return ReplicaState(None, life, memo=known, why=why, database=database)
        return ReplicaState(Lsn(_unsigned(system), known.timeline, offset), life, memo=known, database=database)

    def lives(self, connection: BaseDatabaseWrapper, life: str) -> bool:
        """Compare the system, the start of its server and the database; a promoted standby lives no more."""
        is_replica, *start = asked(connection, _LIFE)
        return bool(is_replica) and life == name_of_life(*start)

    def make_read_only(self, connection: BaseDatabaseWrapper) -> None:
        """Let every transaction of the session be read-only, also if the standby is promoted."""
        asked(connection, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")

    def failure(self, error: BaseException) -> Failure | None:
        """Know it by the code of the error."""
        cause = cause_of(error)
        return _FAILURES.get(getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None) or "")


@dataclass(frozen=True, slots=True)
class _End:
    """The end of a primary's log."""

    position: Lsn
    flushed: Lsn
    #: Whether transactions may write.
    takes_writes: bool
    database: str


def _end_of_log(connection: BaseDatabaseWrapper) -> _End | None:
    """Return the end of the log, None on a standby."""
    system, insert, timeline, flushed, takes_writes, file_size, page_size, database = asked(connection, _POSITION)
    if insert is None or timeline is None or flushed is None:
        return None
    offset = end_of_records(parse(insert), file_size=file_size, page_size=page_size)
    position = Lsn(_unsigned(system), int(timeline, 16), offset)
    return _End(position, replace(position, offset=parse(flushed)), takes_writes, database)


def _unsigned(system: int) -> int:
    return system & 0xFFFFFFFFFFFFFFFF
