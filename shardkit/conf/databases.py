"""Which database does an entry of DATABASES mean, whatever it is spelled like?

Pure: compares dictionaries and asks no server.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

#: Where the engines of the logical connection live.
ENGINE_PACKAGE: Final = "shardkit.backends"
#: The engine that subclasses whatever ``BASE_ENGINE`` names beside it.
GENERIC_ENGINE: Final = "shardkit.backends.logical"
#: The engines of Django that have a logical twin of the same name.
TWINS: Final = ("sqlite3", "postgresql", "mysql")

#: The word in an engine's path that tells the vendor, most telling first.
VENDOR_WORDS: Final = {
    "sqlite": "sqlite",
    "spatialite": "sqlite",
    "postg": "postgresql",
    "psycopg": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
    "oracle": "oracle",
}
DEFAULT_PORTS: Final = {"postgresql": "5432", "mysql": "3306", "oracle": "1521"}
#: Spellings of this machine.
LOCAL_HOSTS: Final = ("", "localhost", "127.0.0.1", "::1")
#: Begins the identity of a database in memory that connections share.
_SHARED_MEMORY: Final = "sqlite memory"
#: OPTIONS that choose the server or the schema, so that two entries that differ only here are two databases.
TELLING_OPTIONS: Final = ("service", "options", "read_default_file", "unix_socket", "dsn")


def base_engine(config: Mapping[str, Any]) -> str:
    """Return the engine that does the work: ``BASE_ENGINE`` where the generic engine is used."""
    engine = str(config.get("ENGINE") or "")
    return str(config.get("BASE_ENGINE") or engine) if engine == GENERIC_ENGINE else engine


def is_logical(config: Mapping[str, Any]) -> bool:
    """Say whether the engine is one of a logical connection."""
    return str(config.get("ENGINE") or "").startswith(f"{ENGINE_PACKAGE}.")


def logical_engine(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the entries that make *config* the logical connection over its engine."""
    engine = str(config.get("ENGINE") or "")
    package, _, twin = engine.rpartition(".")
    if package == "django.db.backends" and twin in TWINS:
        return {"ENGINE": f"{ENGINE_PACKAGE}.{twin}"}
    return {"ENGINE": GENERIC_ENGINE, "BASE_ENGINE": engine}


def vendor_word(config: Mapping[str, Any]) -> str | None:
    """Guess the vendor from the engine's path; None where it does not tell."""
    engine = base_engine(config).lower()
    return next((vendor for word, vendor in VENDOR_WORDS.items() if word in engine), None)


def identity(config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return what two entries for one database have in common; None for one that nobody else can open."""
    vendor = vendor_word(config) or base_engine(config)
    name = str(config.get("NAME") or "")
    if vendor == "sqlite":
        return _file_identity(name)
    host = str(config.get("HOST") or "").lower()
    options = config.get("OPTIONS") or {}
    telling = tuple(str(options.get(option) or "") for option in TELLING_OPTIONS)
    return (
        vendor,
        "localhost" if host in LOCAL_HOSTS else host,
        str(config.get("PORT") or DEFAULT_PORTS.get(vendor, "")),
        name,
        *telling,
    )


def is_in_memory(config: Mapping[str, Any]) -> bool:
    """Say whether it is a database of SQLite that is in no file."""
    if vendor_word(config) != "sqlite":
        return False
    found = identity(config)
    return found is None or found[0] == _SHARED_MEMORY


def _file_identity(name: str) -> tuple[str, ...] | None:
    """Return the identity of an SQLite database: its file, or the name of a shared one in memory."""
    if name in {"", ":memory:"}:
        return None
    if not name.startswith("file:"):
        return ("sqlite", str(Path(name).resolve()))
    path, _, query = name.removeprefix("file:").partition("?")
    if path.startswith(":memory:"):
        return None
    return (_SHARED_MEMORY, path) if "mode=memory" in query else ("sqlite", str(Path(path).resolve()))
