"""Every fixture stands in a file of its family, ``fix_<family>.py``; this one only loads them."""

from __future__ import annotations

from pathlib import Path

pytest_plugins = [f"tests.{path.stem}" for path in sorted(Path(__file__).parent.glob("fix_*.py"))]
