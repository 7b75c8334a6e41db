"""What helps to test a project on shards?"""

from __future__ import annotations

from shardkit.testing.oracle import AnswersDiffer, Comparison, OracleRouter, compared_with

__all__ = ["AnswersDiffer", "Comparison", "OracleRouter", "compared_with"]
