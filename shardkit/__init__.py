"""Which names does a project need before Django's apps are loaded? The models are in `shardkit.models`."""

from __future__ import annotations

from shardkit.environment import from_env

__all__ = ["from_env"]
