"""Which transactions does a MariaDB or MySQL server have?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from shardkit.positions import varints

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shardkit.positions.position import Position

KIND: Final = 2
MYSQL_KIND: Final = 3


@dataclass(frozen=True, slots=True)
class Gtids:
    """The last transaction of each domain of MariaDB: (domain, server, sequence), in the order of the domains.

    Whatever server wrote last in a domain is its primary: of another server's sequences nothing can be told.
    """

    transactions: tuple[tuple[int, int, int], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``0-1-100,1-2-5``; the empty text is a server that has nothing."""
        found = [tuple(map(int, gtid.split("-"))) for gtid in text.replace("\n", "").split(",") if gtid.strip()]
        return cls(tuple(sorted(found)))  # type: ignore[arg-type]

    def includes(self, other: Position) -> bool:
        """Say whether each domain has got as far, by the same server."""
        if not isinstance(other, Gtids):
            return False
        own = {domain: (server, sequence) for domain, server, sequence in self.transactions}
        return all(
            domain in own and own[domain][0] == server and own[domain][1] >= sequence
            for domain, server, sequence in other.transactions
        )

    def joined(self, other: Position) -> Self | None:
        """Return the later transaction of each domain; None where two servers have written in one."""
        if not isinstance(other, Gtids):
            return None
        found = {domain: (server, sequence) for domain, server, sequence in self.transactions}
        for domain, server, sequence in other.transactions:
            known = found.get(domain, (server, sequence))
            if known[0] != server:
                return None
            found[domain] = (server, max(known[1], sequence))
        return type(self)(tuple((domain, *found[domain]) for domain in sorted(found)))

    def latest(self, other: Self) -> Self:
        """Return of each domain the transaction with the higher number, here or in *other*; of two alike ours.

        That is how far a server has got that says in two places what it has written and what it has applied: in one
        domain numbers only grow, whoever writes, and what it says of a time when it had another role is lower.
        """
        found = {domain: (server, sequence) for domain, server, sequence in other.transactions}
        for domain, server, sequence in self.transactions:
            if domain not in found or sequence >= found[domain][1]:
                found[domain] = (server, sequence)
        return type(self)(tuple((domain, *found[domain]) for domain in sorted(found)))

    def exceeds(self, other: Position) -> bool:
        """Say whether a server that is the last in a domain of both has got further here; a domain may be of others."""
        if not isinstance(other, Gtids):
            return False
        theirs = {domain: (server, sequence) for domain, server, sequence in other.transactions}
        return any(
            domain in theirs and theirs[domain][0] == server and sequence > theirs[domain][1]
            for domain, server, sequence in self.transactions
        )

    def dumps(self) -> bytes:
        """Return the kind, the number of domains, and three numbers for each."""
        numbers = [len(self.transactions), *(number for gtid in self.transactions for number in gtid)]
        return bytes([KIND]) + b"".join(map(varints.write, numbers))

    def __str__(self) -> str:
        return ",".join("-".join(map(str, gtid)) for gtid in self.transactions)


@dataclass(frozen=True, slots=True)
class MySqlGtids:
    """The set of transactions of a MySQL server: for each source, the intervals of their numbers.

    A source is a server's UUID, or since MySQL 8.3 a UUID and a tag: ``uuid:tag``.
    """

    sources: tuple[tuple[str, tuple[tuple[int, int], ...]], ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``uuid:1-5:8,uuid:1:tag:3``."""
        found: dict[str, list[tuple[int, int]]] = {}
        for part in text.lower().replace("\n", "").split(","):
            uuid, *fields = part.strip().split(":")
            source = uuid
            for field in fields:
                if not field.strip()[:1].isdigit():
                    source = f"{uuid}:{field.strip()}"
                    continue
                first, _, last = field.partition("-")
                found.setdefault(source, []).append((int(first), int(last or first)))
        return cls(tuple((source, _merged(found[source])) for source in sorted(found)))

    def includes(self, other: Position) -> bool:
        """Say whether every transaction of *other* is here."""
        if not isinstance(other, MySqlGtids):
            return False
        own: Mapping[str, tuple[tuple[int, int], ...]] = dict(self.sources)
        return all(
            any(first <= low and high <= last for first, last in own.get(source, ()))
            for source, intervals in other.sources
            for low, high in intervals
        )

    def joined(self, other: Position) -> Self | None:
        """Return the transactions of both."""
        if not isinstance(other, MySqlGtids):
            return None
        found: dict[str, list[tuple[int, int]]] = {}
        for source, intervals in (*self.sources, *other.sources):
            found.setdefault(source, []).extend(intervals)
        return type(self)(tuple((source, _merged(found[source])) for source in sorted(found)))

    def exceeds(self, other: Position) -> bool:
        """Say whether a transaction is here of a source that both have, and not there."""
        if not isinstance(other, MySqlGtids):
            return False
        shared = dict(other.sources).keys()
        return not other.includes(MySqlGtids(tuple(each for each in self.sources if each[0] in shared)))

    def dumps(self) -> bytes:
        """Return the kind, and for each source its UUID, its tag and its intervals."""
        data = bytearray([MYSQL_KIND]) + varints.write(len(self.sources))
        for source, intervals in self.sources:
            uuid, _, tag = source.partition(":")
            data += bytes.fromhex(uuid.replace("-", "")) + varints.write(len(tag)) + tag.encode()
            data += varints.write(len(intervals))
            for first, last in intervals:
                data += varints.write(first) + varints.write(last - first)
        return bytes(data)

    def __str__(self) -> str:
        written = (
            ":".join([source, *(f"{first}-{last}" if last > first else str(first) for first, last in intervals)])
            for source, intervals in self.sources
        )
        return ",".join(written)


def _merged(intervals: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for first, last in sorted(intervals):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)
