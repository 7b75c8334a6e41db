"""What do visitors see and do? Ordinary views, as for one database."""

from __future__ import annotations
