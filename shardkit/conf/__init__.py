"""What do the settings say, and what is wrong with them?"""

from __future__ import annotations

from shardkit.conf.problems import problems
from shardkit.conf.settings import Settings, current_problems, get_settings, settings_reset
from shardkit.conf.shapes import Problem

__all__ = ["Problem", "Settings", "current_problems", "get_settings", "problems", "settings_reset"]
