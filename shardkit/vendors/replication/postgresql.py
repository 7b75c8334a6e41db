"""Where is a PostgreSQL server in its write-ahead log?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from shardkit.positions.lsn import Lsn, end_of_records, parse
from shardkit.vendors.replication.base import ReplicaState, Sample, asked, cause_of

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper

#: The insert position covers commits that are not flushed yet (synchronous_commit = off). A server that was demoted to
#: a standby has neither it nor a timeline to write to.
_POSITION: Final = (
    "SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_insert_lsn()::text END,"
    " CASE WHEN pg_is_in_recovery() THEN NULL ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,"
    " (SELECT system_identifier FROM pg_control_system()), pg_last_wal_replay_lsn()::text,"
    " current_setting('transaction_read_only'), pg_size_bytes(current_setting('wal_segment_size'))"
)
#: The timeline of what was received is never older than that of what was replayed. A place before the switch is on both
#: timelines, and no position of the new one lies before it, so nothing is claimed that is not there. A standby that
#: went too far on the old timeline receives nothing of the new one. Who lacks pg_monitor sees no receiver, and takes
#: the timeline of the last restart point, which is only ever too old.
_STATE: Final = (
    "SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn()::text, (SELECT system_identifier FROM pg_control_system()),"
    " coalesce((SELECT received_tli FROM pg_stat_wal_receiver WHERE received_tli > 0),"
    " (SELECT timeline_id FROM pg_control_checkpoint())), pg_postmaster_start_time()::text"
)
_LIFE: Final = (
    "SELECT pg_is_in_recovery(), (SELECT system_identifier FROM pg_control_system()), pg_postmaster_start_time()::text"
)
_SERIALIZATION_FAILURE: Final = "40001"


class PostgreSQLReplication:
    """Streaming replication."""

    def position(self, connection: BaseDatabaseWrapper) -> Lsn:
        """Return the end of the log: every commit lies before it."""
        return self.sample(connection).position  # type: ignore[return-value]

    def sample(self, connection: BaseDatabaseWrapper, memo: Any = None) -> Sample:
        """Return the end of the log, or of what a server has replayed that is no primary any more."""
        del memo
        insert, timeline, system, replayed, read_only, file_size = asked(connection, _POSITION)
        if insert is None:
            return Sample(Lsn(_unsigned(system), 0, parse(replayed or "0/0")), is_writable=False)
        offset = end_of_records(parse(insert), file_size=int(file_size))
        return Sample(Lsn(_unsigned(system), int(timeline, 16), offset), is_writable=read_only != "on")

    def state(self, connection: BaseDatabaseWrapper, memo: Any = None) -> ReplicaState:
        """Return up to where the standby has replayed."""
        del memo
        is_replica, replayed, system, timeline, started = asked(connection, _STATE)
        position = None if replayed is None else Lsn(_unsigned(system), int(timeline), parse(replayed))
        return ReplicaState(position, f"{system} {started}", is_replica)

    def lives(self, connection: BaseDatabaseWrapper, life: str) -> bool:
        """Compare the system and the start of its server; a standby that was promoted lives no more."""
        is_replica, system, started = asked(connection, _LIFE)
        return bool(is_replica) and life == f"{system} {started}"

    def make_read_only(self, connection: BaseDatabaseWrapper) -> None:
        """Let every transaction of the session be read-only, also if the standby is promoted."""
        asked(connection, "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")

    def conflicts(self, error: BaseException) -> bool:
        """Know the error by which a standby cancels what would delay its replay."""
        return getattr(cause_of(error), "sqlstate", None) == _SERIALIZATION_FAILURE


def _unsigned(system: Any) -> int:
    return int(system) & 0xFFFFFFFFFFFFFFFF
