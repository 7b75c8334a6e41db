"""Which databases does the environment describe?

One call in the settings of a project::

    DATABASES, SHARDKIT = shardkit.from_env(environ.Env())

================================  ==========================================================================
DATABASE_URL                      the database of the alias ``default``
SHARD_URLS                        ``shard_0``, ``shard_1``, …, separated by commas
SHARD_<NAME>_URL                  one shard, its alias the name in lower case (``SHARD_0_URL``: ``shard_0``)
SHARD_<NAME>_REPLICA_URLS         its replicas, ``<alias>_replica_0``, …
DATABASE_REPLICA_URLS             the replicas of ``default``
DATABASE_<NAME>_URL               a placed database, its alias the name in lower case
DATABASE_<NAME>_REPLICA_URLS      its replicas
SHARDKIT_PLACEMENT                ``auditlog=audit,blog.Post=blog``
SHARDKIT_BUCKETS                  and so on: each option of SHARDKIT that is a number, a text, or yes or no
SHARDKIT_FANOUT_BUDGET            ``40`` or ``40:raise``
SHARDKIT_REPLICA_MAX_LAG          seconds, or ``shard_0=5,*=30``
SHARDKIT_REPLICA_WEIGHTS          ``shard_0_replica_0=3,shard_0_replica_1=1``
SHARDKIT_HOME                     the directory of the embedded cluster
SHARDKIT_REPLICAS                 how many replicas each of its files has; `manage.py replicate_sqlite` copies them
================================  ==========================================================================

With neither a database nor a shard in the environment there is an embedded cluster: SQLite files in SHARDKIT_HOME, or
in ``.shardkit`` under the current directory, which is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import environ

from shardkit.conf.databases import logical_engine
from shardkit.conf.shapes import BUDGET_ACTIONS
from shardkit.errors import EnvironmentInvalid
from shardkit.topology.names import LOGICAL

Config = dict[str, Any]

#: How many shards the embedded cluster has.
EMBEDDED_SHARDS: Final = 4
#: How long an SQLite writer waits for another one, in seconds.
EMBEDDED_TIMEOUT_SECONDS: Final = 20
#: Readers and a writer do not wait for each other; a commit survives a crash of the process, not of the machine.
EMBEDDED_INIT_COMMAND: Final = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL"

#: A comma between two URLs, and none between the hosts inside one.
BETWEEN_URLS: Final = re.compile(r"\s*,\s*(?=[\w.+-]+://)")
NAMED_URL: Final = re.compile(r"(?P<kind>SHARD|DATABASE)_(?P<name>\w+)_URL")
REPLICA_URLS: Final = re.compile(r"(?P<kind>SHARD|DATABASE)_((?P<name>\w+)_)?REPLICA_URLS")
#: One letter less than the variable that is meant, and it would be a database called "replica".
MISSPELLED: Final = re.compile(r"SHARD_URL|(SHARD|DATABASE)_(\w+_)?REPLICA_URL")
WHOLE_NUMBERS: Final = (
    "BUCKETS",
    "FANOUT_CAP",
    "GATHER_BYTES",
    "GATHER_CTE_ROWS",
    "GATHER_ROWS",
    "ID_BLOCK",
    "MIGRATE_WORKERS",
    "REPLICA_PRIMARY_CAP",
)
NUMBERS: Final = ("FANOUT_DEADLINE", "REPLICA_INTERVAL", "REPLICA_WAIT")
TEXTS: Final = (
    "GATHER_COORDINATOR",
    "LOOKUP_CACHE",
    "REPLICA_WHEN_STALE",
    "STICKY_CACHE",
    "STICKY_COOKIE",
    "STICKY_HEADER",
    "STICKY_KEY",
    "STICKY_STORE",
)
#: Options with a form of their own, and what is no option at all.
OTHERS: Final = (
    "FANOUT_BUDGET",
    "HOME",
    "PLACEMENT",
    "REPLICAS",
    "REPLICA_MAX_LAG",
    "REPLICA_READS",
    "REPLICA_WEIGHTS",
)
NO_WHOLE_NUMBER: Final = ("is not a whole number", "Write digits only.")
NO_NUMBER: Final = ("is not a number", "Write seconds, such as 2.5.")
PAIRS_OF_NUMBERS: Final = "Write alias=number, separated by commas."
#: How many statements, and what happens beyond.
BUDGET: Final = re.compile(r"(?P<statements>\d+)(:(?P<action>\w+))?", re.ASCII)
YES: Final = frozenset(environ.Env.BOOLEAN_TRUE_STRINGS)
NO: Final = frozenset({"false", "off", "n", "no", "0"})
OPTION_VARIABLES: Final = tuple(f"SHARDKIT_{key}" for key in sorted((*WHOLE_NUMBERS, *NUMBERS, *TEXTS, *OTHERS)))


def from_env(env: environ.Env, *, placed: Sequence[str] = ()) -> tuple[dict[str, Config], Config]:
    """Return DATABASES and SHARDKIT as the environment describes them.

    *placed* are the databases that models of the project name: the embedded cluster gets a file for each, and
    elsewhere each needs its DATABASE_<NAME>_URL.
    """
    return _Reader(env, placed).read()


class _Reader:
    """Reads one environment into DATABASES and SHARDKIT."""

    def __init__(self, env: environ.Env, placed: Sequence[str]) -> None:
        self.env = env
        prefix = env.prefix or ""
        ours = (f"{prefix}SHARD", f"{prefix}DATABASE_")
        self.set = sorted(
            (name.removeprefix(prefix) for name in env.ENVIRON if name.startswith(ours) and env.ENVIRON[name]),
            key=_natural,
        )
        self.placed = placed
        self.databases: dict[str, Config] = {}
        self.shards: list[str] = []
        self.replicas: dict[str, list[str]] = {}

    def read(self) -> tuple[dict[str, Config], Config]:
        """Read all of it."""
        self._refuse_misspelled()
        options = dict(self._options())
        self._read_primaries()
        if not (self.shards or LOGICAL in self.databases):
            self._embed([*self.placed, *options.get("PLACEMENT", {}).values()])
        elif "SHARDKIT_REPLICAS" in self.set:
            remedy = "Name the replicas of servers by SHARD_<NAME>_REPLICA_URLS and DATABASE_REPLICA_URLS."
            raise EnvironmentInvalid("SHARDKIT_REPLICAS", "is about the embedded cluster, and this is none", remedy)
        self._require(options)
        self._read_replicas()
        if len(self.databases) > 1:
            self.databases[LOGICAL].update(logical_engine(self.databases[LOGICAL]))
        return self.databases, {**self._topology(), **options}

    def _refuse_misspelled(self) -> None:
        """Name variables that are none of ours, or almost one: what nobody reads, nobody should believe in."""
        for name in self.set:
            near = [f"{name}S"] if MISSPELLED.fullmatch(name) else []
            if name.startswith("SHARDKIT_") and name not in OPTION_VARIABLES:
                near = [_nearest(name)]
            if near:
                raise EnvironmentInvalid(name, "is not a variable of shardkit", f"Did you mean {near[0]}?")

    def _options(self) -> Iterator[tuple[str, Any]]:
        """Read what is neither a database nor a shard."""
        for key in WHOLE_NUMBERS:
            yield from self._number(key, self.env.int, *NO_WHOLE_NUMBER)
        for key in NUMBERS:
            yield from self._number(key, self.env.float, *NO_NUMBER)
        for key in TEXTS:
            yield from self._option(key, str)
        yield from self._option("FANOUT_BUDGET", self._budget)
        yield from self._option("PLACEMENT", lambda text: dict(self._placements(text)))
        yield from self._option("REPLICA_MAX_LAG", self._max_lag)
        yield from self._option("REPLICA_READS", self._yes_or_no)
        yield from self._option("REPLICA_WEIGHTS", lambda text: self._numbers("SHARDKIT_REPLICA_WEIGHTS", text))

    def _option(self, key: str, read: Callable[[str], Any]) -> Iterator[tuple[str, Any]]:
        """Let *read* make the value of an option from its text, if there is one."""
        variable = f"SHARDKIT_{key}"
        if variable in self.set:
            yield key, read(self.env.str(variable).strip())

    def _number(self, key: str, read: Callable[[str], Any], fact: str, remedy: str) -> Iterator[tuple[str, Any]]:
        variable = f"SHARDKIT_{key}"
        if variable in self.set:
            try:
                yield key, read(variable)
            except ValueError:
                raise EnvironmentInvalid(variable, fact, remedy) from None

    def _budget(self, text: str) -> Config:
        """Read ``40``, beyond which there are warnings, or ``40:raise``."""
        found = BUDGET.fullmatch(text)
        if found is None or found["action"] not in {None, *BUDGET_ACTIONS}:
            remedy = "Write a number of statements, or one with what happens beyond: 40:warn or 40:raise."
            raise EnvironmentInvalid("SHARDKIT_FANOUT_BUDGET", "cannot be read as a budget", remedy)
        return {"statements": int(found["statements"]), "action": found["action"] or BUDGET_ACTIONS[0]}

    def _max_lag(self, text: str) -> float | dict[str, float]:
        """Read seconds, or those of some primaries: ``shard_0=5,*=30``."""
        variable = "SHARDKIT_REPLICA_MAX_LAG"
        return self._numbers(variable, text) if "=" in text else self._numbers(variable, f"*={text}")["*"]

    def _yes_or_no(self, text: str) -> bool:
        if text.lower() not in YES | NO:
            raise EnvironmentInvalid("SHARDKIT_REPLICA_READS", "says neither yes nor no", "Write true or false.")
        return text.lower() in YES

    def _placements(self, text: str) -> Iterator[tuple[str, str]]:
        """Read ``auditlog=audit,blog.Post=blog``."""
        remedy = "Write app=alias or app.Model=alias, separated by commas."
        for key, alias in self._pairs("SHARDKIT_PLACEMENT", text, remedy):
            yield key, alias.lower()

    def _numbers(self, variable: str, text: str) -> dict[str, float]:
        """Read ``shard_0=5,*=30``."""
        try:
            return {key: float(value) for key, value in self._pairs(variable, text, PAIRS_OF_NUMBERS)}
        except ValueError:
            raise EnvironmentInvalid(variable, "names something that is not a number", PAIRS_OF_NUMBERS) from None

    def _pairs(self, variable: str, text: str, remedy: str) -> Iterator[tuple[str, str]]:
        """Split ``key=value,key=value``."""
        for part in filter(None, map(str.strip, text.split(","))):
            key, equals, value = (word.strip() for word in part.partition("="))
            if not (key and equals and value):
                raise EnvironmentInvalid(variable, f"has {part!r}", remedy)
            yield key, value

    def _read_primaries(self) -> None:
        """Read every database that takes writes."""
        if "DATABASE_URL" in self.set:
            self._add("DATABASE_URL", LOGICAL, self.env.str("DATABASE_URL"))
        if "SHARD_URLS" in self.set:
            for number, url in enumerate(self._urls("SHARD_URLS")):
                self._add_shard("SHARD_URLS", f"shard_{number}", url)
        for variable in self.set:
            if (match := NAMED_URL.fullmatch(variable)) is None:
                continue
            if match["kind"] == "SHARD":
                self._add_shard(variable, _shard_alias(match["name"]), self.env.str(variable))
            else:
                self._add(variable, match["name"].lower(), self.env.str(variable))

    def _add_shard(self, variable: str, alias: str, url: str) -> None:
        """Add one shard."""
        self._add(variable, alias, url)
        self.shards.append(alias)

    def _add(self, variable: str, alias: str, url: str) -> None:
        """Add one database."""
        if alias in self.databases or (alias == LOGICAL and variable != "DATABASE_URL"):
            raise EnvironmentInvalid(variable, f"describes {alias!r} a second time", "Give it another name.")
        self.databases[alias] = self._parse(variable, url)

    def _parse(self, variable: str, url: str) -> Config:
        """Parse one URL; it may hold a password, so no message repeats it."""
        hint = "Write postgres://user:password@host:port/name, mysql://… or sqlite:////path."
        if "://" not in url:
            raise EnvironmentInvalid(variable, "is not the URL of a database", hint)
        try:
            return dict(self.env.db_url_config(url))
        except ValueError:
            raise EnvironmentInvalid(variable, "cannot be read as the URL of a database", hint) from None

    def _urls(self, variable: str) -> list[str]:
        """Split a list of URLs."""
        return BETWEEN_URLS.split(self.env.str(variable).strip().rstrip(","))

    def _embed(self, placed: Sequence[str]) -> None:
        """Describe an SQLite file for `default`, for each shard, and for each of *placed* that has no URL."""
        home = Path(self.env.str("SHARDKIT_HOME") if "SHARDKIT_HOME" in self.set else ".shardkit").absolute()
        home.mkdir(parents=True, exist_ok=True)
        self.shards = [f"shard_{number}" for number in range(EMBEDDED_SHARDS)]
        described = set(self.databases)
        self.databases = {LOGICAL: _embedded(home, LOGICAL), **self.databases}
        for alias in (*self.shards, *placed):
            # A writer that had begun as a reader could not wait for its turn: SQLite refuses it at once. So shards
            # begin as writers. `default` must not: a transaction there spans shards it may only read, and what
            # allocates ids beside it on `default` would wait for the transaction that asked for them.
            self.databases.setdefault(alias, _embedded(home, alias, transaction_mode="IMMEDIATE"))
        for alias in [alias for alias in self.databases if alias not in described]:
            self._embed_replicas(home, alias)

    def _embed_replicas(self, home: Path, primary: str) -> None:
        """Describe as many more files for *primary* as the environment says."""
        for _key, count in self._number("REPLICAS", self.env.int, *NO_WHOLE_NUMBER):
            for number in range(count):
                alias = f"{primary}_replica_{number}"
                self._add_replica(primary, alias, _embedded(home, alias))

    def _add_replica(self, primary: str, alias: str, config: Config) -> None:
        self.databases[alias] = {**config, "TEST": {"MIRROR": primary}}
        self.replicas.setdefault(primary, []).append(alias)

    def _require(self, options: Config) -> None:
        """Name the variables of databases that are needed and not described."""
        if LOGICAL not in self.databases:
            raise EnvironmentInvalid("DATABASE_URL", "is not set, and shards are", "Set it: it holds the shard map.")
        for alias in (*self.placed, *options.get("PLACEMENT", {}).values()):
            if alias not in self.databases:
                raise EnvironmentInvalid(
                    f"DATABASE_{alias.upper()}_URL",
                    "is not set, and models are placed there",
                    "Set it to the URL of their database.",
                )

    def _read_replicas(self) -> None:
        """Read the replicas; in tests each is a mirror of its primary."""
        for variable in self.set:
            if (match := REPLICA_URLS.fullmatch(variable)) is None:
                continue
            primary = _shard_alias(match["name"] or "") if match["kind"] == "SHARD" else (match["name"] or LOGICAL)
            primary = primary.lower()
            if primary not in self.databases or (match["kind"] == "SHARD") != (primary in self.shards):
                raise EnvironmentInvalid(
                    variable, f"describes replicas of {primary!r}, which is not set", "Set its primary, or remove it."
                )
            for number, url in enumerate(self._urls(variable)):
                alias = f"{primary}_replica_{number}"
                self._add(variable, alias, url)
                self._add_replica(primary, alias, self.databases[alias])

    def _topology(self) -> Config:
        """Return the part of SHARDKIT that names databases."""
        shards = {name: {"primary": name, "replicas": self.replicas.pop(name, [])} for name in self.shards}
        return ({"SHARDS": shards} if shards else {}) | ({"REPLICAS": self.replicas} if self.replicas else {})


def _embedded(home: Path, alias: str, **options: str) -> Config:
    """Describe one file of the embedded cluster."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(home / f"{alias}.sqlite3"),
        "OPTIONS": {"timeout": EMBEDDED_TIMEOUT_SECONDS, "init_command": EMBEDDED_INIT_COMMAND, **options},
    }


def _nearest(variable: str) -> str:
    """Return the variable that the most of *variable* behind the prefix is the name of."""
    meant = {name.removeprefix("SHARDKIT_"): name for name in OPTION_VARIABLES} | {"SHARDS": "SHARD_URLS"}
    return meant[get_close_matches(variable.removeprefix("SHARDKIT_"), meant, n=1, cutoff=0)[0]]


def _shard_alias(name: str) -> str:
    """Return the alias of the shard that a variable calls *name*."""
    return f"shard_{name}" if name.isdigit() else name.lower()


def _natural(name: str) -> list[tuple[int, str]]:
    """Order names so that 10 comes after 9."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
