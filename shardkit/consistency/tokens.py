"""How does what a caller has written and read become a text that nobody else can write?

A *token* is a vector in binary, squeezed where that helps, as signed base64: letters, digits, ``-``, ``_`` and one dot,
so it travels in cookies, headers and URLs as it is. It is signed and not encrypted: whoever has it can read the aliases
of databases and their positions, and nothing else. With the position and the replica of one shard it has about 130
bytes, with those of 64 shards on PostgreSQL not quite 3,000, where a browser takes 4,096.
"""

from __future__ import annotations

import binascii
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from django.conf import settings
from django.core.signing import BadSignature, Signer

from shardkit.consistency.vectors import UNKNOWN, Entry, Unknown, Vector
from shardkit.positions import coding, varints
from shardkit.positions.position import Position
from shardkit.topology.names import Alias

#: How many tokens a process remembers to have read: a browser sends the same one again and again.
REMEMBERED: Final = 1024
SALT: Final = "shardkit.session"
#: The first byte: how the rest is written.
PLAIN, SQUEEZED = b"\x01", b"\x02"
#: Fewer bytes than this do not get smaller by squeezing.
SQUEEZED_FROM: Final = 64
#: How an entry's requirement is written when it is no position; a position's first byte is none of these.
NOTHING, ANYTHING = b"", b"\x00"


class TokenInvalid(BadSignature):
    """A token is damaged or forged, or of a version that this process does not read. It never leaves shardkit."""


def dumps(vector: Vector) -> str:
    """Write *vector* as a token; one that demands nothing is the empty text."""
    if not vector:
        return ""
    packed = _pack(vector)
    squeezed = _squeezed(packed) if len(packed) >= SQUEEZED_FROM else packed
    body = SQUEEZED + squeezed if len(squeezed) < len(packed) else PLAIN + packed
    return _signer().sign(urlsafe_b64encode(body).decode().rstrip("="))


def loads(token: str) -> Vector:
    """Read one token, or raise `TokenInvalid`."""
    if not token:
        return Vector()
    return _loads(token, settings.SECRET_KEY, tuple(settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=REMEMBERED)
def _loads(token: str, *_keys: object) -> Vector:
    """Read a token that is signed with one of the keys of the settings, which are what was read depends on, too."""
    try:
        text = _signer().unsign(token)
        body = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return _unpack(_plain(body[:1], body[1:]))
    except (BadSignature, ValueError, IndexError, binascii.Error, zlib.error) as error:
        raise TokenInvalid("The token of a session is damaged, forged, or of another version.") from error


def name_of(token: str) -> str:
    """Return a name for *token* that only equal tokens share: its signature."""
    return token.rpartition(".")[2]


def _signer() -> Signer:
    return Signer(salt=SALT, sep=".")


def _squeezed(packed: bytes) -> bytes:
    squeezer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    return squeezer.compress(packed) + squeezer.flush()


def _plain(version: bytes, rest: bytes) -> bytes:
    if version == PLAIN:
        return rest
    if version == SQUEEZED:
        return zlib.decompress(rest, wbits=-zlib.MAX_WBITS)
    raise ValueError("an unknown version")


def _pack(vector: Vector) -> bytes:
    """Write column after column: what is alike stands together."""
    aliases = sorted(vector.entries)
    entries = [vector.entries[alias] for alias in aliases]
    earliest = min((entry.since for entry in entries), default=0)
    moments = (*(entry.since - earliest for entry in entries), *(entry.left for entry in entries))
    numbers = (len(entries), vector.open_until, earliest, *moments)
    texts = (*aliases, *(entry.replica for entry in entries), *(entry.life for entry in entries))
    parts = (*(text.encode() for text in texts), *map(_required, entries))
    return b"".join((*map(varints.write, numbers), *(varints.write(len(part)) + part for part in parts)))


def _unpack(packed: bytes) -> Vector:
    reader = _Reader(packed)
    count, open_until, earliest = reader.numbers(3)
    since, left = reader.numbers(count), reader.numbers(count)
    aliases, replicas, lives = ([part.decode() for part in reader.parts(count)] for _column in range(3))
    moments = [earliest + later for later in since]
    columns = zip(map(_position, reader.parts(count)), replicas, lives, moments, left, strict=True)
    entries = [Entry(*column) for column in columns]
    return Vector(MappingProxyType(dict(zip(map(Alias, aliases), entries, strict=True))), open_until)


def _required(entry: Entry) -> bytes:
    if entry.required is None:
        return NOTHING
    return ANYTHING if isinstance(entry.required, Unknown) else entry.required.dumps()


def _position(part: bytes) -> Position | Unknown | None:
    if part == NOTHING:
        return None
    return UNKNOWN if part == ANYTHING else coding.loads(part)


class _Reader:
    """Take numbers and parts of known length off the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def numbers(self, count: int) -> list[int]:
        """Take *count* numbers."""
        return [self._number() for _ in range(count)]

    def parts(self, count: int) -> list[bytes]:
        """Take *count* parts, each with its length before it."""
        return [self._part(self._number()) for _ in range(count)]

    def _number(self) -> int:
        number, self._at = varints.read(self._data, self._at)
        return number

    def _part(self, size: int) -> bytes:
        part = self._data[self._at : self._at + size]
        if len(part) < size:
            raise ValueError("it ends too early")
        self._at += size
        return part
