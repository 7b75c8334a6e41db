"""What helps to test a project on shards?"""

from __future__ import annotations

from shardkit.testing.counting import assert_num_queries
from shardkit.testing.oracle import AnswersDiffer, Comparison, OracleRouter, compared_with
from shardkit.testing.replicas import RoutedReads, SimulatedReplicas, assert_reads, routed_reads, simulated_replicas

__all__ = [
    "AnswersDiffer",
    "Comparison",
    "OracleRouter",
    "RoutedReads",
    "SimulatedReplicas",
    "assert_num_queries",
    "assert_reads",
    "compared_with",
    "routed_reads",
    "simulated_replicas",
]
