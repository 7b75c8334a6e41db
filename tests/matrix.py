"""Does the suite pass on every pair of Python and Django that we support, and which pairs can this machine try?

``python -m tests.matrix [ENV ...] [-- PYTEST OPTIONS]``: each environment of tox, one after the other.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.servers import in_ci

ROOT = Path(__file__).parent.parent


def main(arguments: list[str]) -> int:
    """Run the named environments, or all; fail if one fails, or if one is missing in CI or was asked for by name."""
    split = arguments.index("--") if "--" in arguments else len(arguments)
    named, options = arguments[:split], arguments[split + 1 :]
    environments = named or declared_environments()
    interpreters = {version: find_interpreter(version) for version in sorted(set(map(python_of, environments)))}
    missing = [name for name in environments if interpreters[python_of(name)] is None]
    outcomes = {name: run(name, interpreters[python_of(name)], options) for name in environments if name not in missing}
    for name in environments:
        reason = f"not run: no Python {python_of(name)} on this machine" if name in missing else outcomes[name]
        sys.stdout.write(f"{name:<18} {reason}\n")
    is_complete = not missing or not (named or in_ci())
    return 0 if is_complete and set(outcomes.values()) == {"passed"} else 1


def declared_environments() -> list[str]:
    """Return the names that pyproject.toml lists."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        names: list[str] = tomllib.load(file)["tool"]["tox"]["env_list"]
        return names


def python_of(environment: str) -> str:
    """Return the Python version in an *environment*'s name: ``py312-django60`` is for 3.12."""
    return re.sub(r"^py(\d)(\d+)-.*", r"\1.\2", environment)


def find_interpreter(version: str) -> Path | None:
    """Return a Python of *version*, from the PATH or from where pyenv keeps them, that really runs."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for candidate in (Path(f"python{version}"), *sorted(pyenv.glob(f"versions/{version}.*/bin/python"))):
        try:
            said = subprocess.run(
                [candidate, "-c", "import sys; print(sys.executable)"], check=False, capture_output=True, text=True
            )
        except FileNotFoundError:
            continue
        if said.returncode == 0:
            return Path(said.stdout.strip())
    return None


def run(environment: str, interpreter: Path | None, options: list[str]) -> str:
    """Run one *environment* with *interpreter*, and say how it went."""
    command = [sys.executable, "-m", "tox", "run", "-e", environment, "--discover", str(interpreter), "--", *options]
    return "passed" if subprocess.run(command, cwd=ROOT, check=False).returncode == 0 else "FAILED"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
