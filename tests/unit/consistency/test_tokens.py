"""Does a token bring back what went into it, and nothing that others made up?"""

from __future__ import annotations

import random
import string
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from types import MappingProxyType

import pytest
from django.core.signing import Signer
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from shardkit.consistency import tokens
from shardkit.consistency.tokens import TokenInvalid
from shardkit.consistency.vectors import UNKNOWN, Entry, Vector
from shardkit.positions.counter import Counter
from shardkit.positions.gtid import Gtids
from shardkit.positions.lsn import Lsn
from shardkit.positions.position import Position
from shardkit.topology.names import Alias
from shardkit.vendors.replication.base import name_of_life

NUMBERS = st.integers(0, 2**63 - 1)
POSITIONS: st.SearchStrategy[Position] = st.one_of(
    st.builds(Lsn, NUMBERS, st.integers(0, 2**31), NUMBERS), st.builds(Counter, NUMBERS, NUMBERS)
)
ENTRIES = st.builds(
    Entry, st.one_of(st.none(), st.just(UNKNOWN), POSITIONS), st.text(max_size=9), st.text(max_size=9), NUMBERS
)
VECTORS = st.builds(Vector, st.dictionaries(st.text(max_size=9).map(Alias), ENTRIES, max_size=9), NUMBERS)

#: The bytes that a browser takes for one cookie.
MOST_BYTES = 4096


@given(vector=VECTORS)
def test_what_went_in_comes_out(vector: Vector) -> None:
    assert vector == tokens.loads(tokens.dumps(vector))


@given(vector=VECTORS)
def test_a_token_needs_no_quoting_anywhere(vector: Vector) -> None:
    assert set(string.ascii_letters + string.digits + "-_.") >= set(tokens.dumps(vector))


def test_nothing_is_the_empty_text() -> None:
    assert "" == tokens.dumps(Vector())
    assert not tokens.loads("")


@given(vector=VECTORS.filter(bool), at=st.integers(0, 10_000), letter=st.sampled_from(string.ascii_letters + "._-"))
def test_a_token_with_another_letter_is_none(vector: Vector, at: int, letter: str) -> None:
    token = tokens.dumps(vector)
    at %= len(token)
    changed = token[:at] + letter + token[at + 1 :]

    if changed != token:
        with pytest.raises(TokenInvalid):
            tokens.loads(changed)


@given(text=st.text(min_size=1))
def test_no_text_of_a_client_is_a_token(text: str) -> None:
    with pytest.raises(TokenInvalid):
        tokens.loads(text)


@given(body=st.one_of(st.binary(), st.binary().map(b"\x01".__add__), st.binary().map(b"\x02".__add__)))
def test_what_another_version_signed_is_a_token_or_none(body: bytes) -> None:
    text = urlsafe_b64encode(body).decode().rstrip("=")
    signed = Signer(salt=tokens.SALT, sep=".").sign(text)

    with suppress(TokenInvalid):
        assert isinstance(tokens.loads(signed), Vector)


def test_a_token_is_signed_with_the_keys_of_the_project() -> None:
    vector, before, after = Vector(MappingProxyType({Alias("shard_0"): Entry(Counter(7, 9), since=1)})), "old", "new"
    with override_settings(SECRET_KEY=before):
        token = tokens.dumps(vector)

    with override_settings(SECRET_KEY=after, SECRET_KEY_FALLBACKS=[before]):
        assert vector == tokens.loads(token)
    with override_settings(SECRET_KEY=after), pytest.raises(TokenInvalid):
        tokens.loads(token)


@pytest.mark.parametrize(("shards", "most"), [(1, 130), (4, 290), (64, 3_000)])
@pytest.mark.parametrize("vendor", ["postgresql", "mysql", "sqlite"])
def test_a_token_of_many_shards_fits_a_cookie(vendor: str, shards: int, most: int) -> None:
    numbers = random.Random(shards)  # noqa: S311 - the same numbers each time
    made: dict[str, Callable[[], Position]] = {
        "postgresql": lambda: Lsn(numbers.getrandbits(63), 1, numbers.getrandbits(44)),
        "mysql": lambda: Gtids(((0, numbers.getrandbits(31), numbers.getrandbits(30)),)),
        "sqlite": lambda: Counter(numbers.getrandbits(63), numbers.getrandbits(20)),
    }
    entries = {
        Alias(f"shard_{at}"): Entry(
            made[vendor](), f"shard_{at}_replica_1", name_of_life(numbers.random()), 1_790_000_000 + at
        )
        for at in range(shards)
    }

    token = tokens.dumps(Vector(entries))

    assert len(token) <= most < MOST_BYTES
    assert entries == tokens.loads(token).entries


def test_equal_tokens_share_their_name_and_others_do_not() -> None:
    one, other = (tokens.dumps(Vector({Alias("a"): Entry(Counter(1, count))})) for count in (1, 2))

    assert tokens.name_of(one) != tokens.name_of(other)
    assert tokens.name_of(one) == tokens.name_of(tokens.dumps(tokens.loads(one)))
