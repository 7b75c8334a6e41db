"""Which timeline of its log has a PostgreSQL standby replayed?

No function says it to an ordinary role. What can be asked is either too old or too new:

- The *control file* names the timeline of the last restart point. The standby has replayed that one, and perhaps a
  later one since: minutes may pass before the file says so.
- The *receiver* names the timeline that it is sent. Usually the standby replays that one. But one that had replayed
  more of the old timeline than the new primary ever had, and was killed and started again, is sent the new timeline and
  can make nothing of it: it stands still, with rows that exist nowhere else, beyond the place where the two parted.

So a timeline that is newer than that of the control file is believed when the standby was seen to move on after it
asked for it: it asks for another timeline only when it has replayed all it has, so what it replays next is of the new
one. Until then nothing is believed. That is a moment after a failover, and the first write ends it.

Who may not see the receiver (that needs the role pg_read_all_stats, or pg_monitor) has only the control file. Right
after a failover its standbys are then of no use to a new primary, whose timeline they seem not to follow; and it takes
them for standbys of the old primary, as long as somebody still writes to that one although another was promoted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Followed:
    """What one life of a standby has shown so far."""

    life: str
    #: The newest timeline that it certainly replays. It never goes back to an older one.
    proven: int = 0
    #: A newer one that it was seen to receive; 0 for none.
    received: int = 0
    #: How far it had replayed at the look after that; None before it.
    replayed: int | None = None

    @property
    def timeline(self) -> int | None:
        """The timeline that it replays, None when that cannot be told."""
        return None if self.received else self.proven

    def seen(self, *, control: int, received: int, replayed: int, flushed: int) -> Followed:
        """Return what is known after one more look; *received* is 0 where no receiver is seen.

        Until *flushed* it has what it was sent of that timeline. What it replays beyond may come from an archive.
        """
        proven = max(self.proven, control)
        newest = max(self.received, received)
        if newest <= proven:
            return Followed(self.life, proven)
        if newest != self.received:  # how far it had replayed is asked in the same breath, so perhaps before
            return Followed(self.life, proven, newest)
        if self.replayed is None:
            return replace(self, proven=proven, replayed=replayed)
        if received == newest and self.replayed < replayed <= flushed:
            return Followed(self.life, newest)
        return replace(self, proven=proven)
