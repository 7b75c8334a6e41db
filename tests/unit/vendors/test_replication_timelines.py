"""Which timeline is a standby believed to follow, in every case in which what it says is too old or too new?"""

from __future__ import annotations

from shardkit.vendors.replication.timelines import Followed

NEW = Followed("life")


def test_while_nothing_happens_both_say_the_same() -> None:
    assert NEW.seen(control=1, received=1, replayed=100, flushed=100).timeline == 1


def test_without_a_receiver_the_control_file_is_believed() -> None:
    """A cut link; a log that is shipped as files; a role that may not see the receiver."""
    assert NEW.seen(control=3, received=0, replayed=100, flushed=0).timeline == 3


def test_a_newer_timeline_is_believed_when_it_was_replayed() -> None:
    """A standby that goes on behind the new primary."""
    looked = NEW.seen(control=1, received=1, replayed=100, flushed=100)
    looked = looked.seen(control=1, received=2, replayed=100, flushed=100)
    assert looked.timeline is None
    looked = looked.seen(control=1, received=2, replayed=100, flushed=100)
    assert looked.timeline is None
    looked = looked.seen(control=1, received=2, replayed=101, flushed=101)

    assert looked.timeline == 2


def test_what_was_replayed_up_to_the_look_at_which_it_was_first_received_proves_nothing() -> None:
    looked = NEW.seen(control=1, received=2, replayed=90, flushed=100)  # and then it replayed the rest of the old one
    looked = looked.seen(control=1, received=2, replayed=100, flushed=100)

    assert looked.timeline is None


def test_a_newer_timeline_is_believed_when_the_control_file_says_so() -> None:
    looked = NEW.seen(control=1, received=2, replayed=100, flushed=100)

    assert looked.seen(control=2, received=2, replayed=100, flushed=100).timeline == 2


def test_a_standby_that_stands_still_beyond_the_fork_follows_nobody() -> None:
    """It was killed; its receiver comes and goes, since it can make nothing of what it is sent."""
    looked = NEW
    for received in (0, 2, 0, 2, 2, 0, 2):
        looked = looked.seen(control=1, received=received, replayed=150, flushed=400)

    assert looked.timeline is None


def test_what_comes_out_of_an_archive_proves_nothing() -> None:
    """The old primary lives on somewhere, and archives what it writes."""
    looked = NEW.seen(control=1, received=2, replayed=150, flushed=128)
    looked = looked.seen(control=1, received=2, replayed=150, flushed=128)

    assert looked.seen(control=1, received=2, replayed=160, flushed=128).timeline is None
    assert looked.seen(control=1, received=0, replayed=160, flushed=0).timeline is None


def test_a_timeline_that_was_proven_is_remembered_when_the_link_is_cut() -> None:
    looked = Followed("life", 2).seen(control=1, received=0, replayed=200, flushed=0)

    assert looked.timeline == 2


def test_a_second_failover_has_to_be_proven_too() -> None:
    looked = Followed("life", 2).seen(control=1, received=3, replayed=200, flushed=200)
    assert looked.timeline is None
    looked = looked.seen(control=1, received=3, replayed=200, flushed=200)

    assert looked.seen(control=1, received=3, replayed=201, flushed=201).timeline == 3


def test_two_failovers_in_a_row_begin_the_proof_anew() -> None:
    looked = NEW.seen(control=1, received=2, replayed=100, flushed=100)
    looked = looked.seen(control=1, received=2, replayed=100, flushed=100)
    looked = looked.seen(control=1, received=3, replayed=120, flushed=120)

    assert looked.timeline is None


def test_a_standby_of_an_older_primary_keeps_its_own_timeline() -> None:
    assert Followed("life", 2).seen(control=2, received=1, replayed=100, flushed=100).timeline == 2
