"""What is wrong with how the project uses shardkit?"""

from __future__ import annotations


def register_all() -> None:
    """Register every check with Django."""
