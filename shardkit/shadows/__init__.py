"""How do rows of other databases become tables that one statement can read?"""

from __future__ import annotations

from shardkit.shadows.budget import Budget
from shardkit.shadows.shadowing import shadowed
from shardkit.shadows.shapes import Column, Shadow, Source
from shardkit.shadows.statement import Shadowed

__all__ = ["Budget", "Column", "Shadow", "Shadowed", "Source", "shadowed"]
