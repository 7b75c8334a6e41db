"""How much of the reading do replicas take, by each rule: ``python -m tests.soak.shares --vendor postgresql``?

Nothing fails here. For each lag and each share of writes the users of all rules come at the same time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from tests.soak.checker import Checker
from tests.soak.clusters import VENDORS
from tests.soak.running import Plan, populate, site
from tests.soak.traffic import Gate, Habits, busy

RULES: Final = ("positions", "timer:2", "timer:5")
LAGS: Final = (0.05, 1.0, 10.0)
#: The share of a user's requests that write.
WRITES: Final = (0.01, 0.1, 0.5)
#: shardkit's own default for what nobody reads any more.
MAX_LAG: Final = 30.0


def main() -> int:
    options = _options()
    plan = Plan(vendor=options.vendor, seconds=options.seconds, seed=options.seed, max_lag=MAX_LAG)
    points = []
    with site(plan) as (cluster, ports, _caches):
        for lag in options.lags or LAGS:
            cluster.be_late(lag)
            time.sleep(1)
            for writes in WRITES:
                points.extend(_measured(plan, ports, lag, writes, users=options.users, pause=options.pause))
                for point in points[-len(RULES) :]:
                    sys.stdout.write(f"{json.dumps(point)}\n")
                    sys.stdout.flush()
    found = {"vendor": options.vendor, "users": options.users, "pause": options.pause, "points": points}
    if options.kept is not None:
        options.kept.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(f"{json.dumps(found)}\n")
    return 1 if any(point["violations"] for point in points if point["rule"] == "positions") else 0


def _measured(
    plan: Plan, ports: tuple[int, int], lag: float, writes: float, *, users: int, pause: float
) -> list[dict[str, Any]]:
    habits = Habits(
        users=users, writers=1.0, writes=writes, ways=(70, 20, 0, 10, 0), tabs=1, pause=pause, asgi=0.0, forgets=0.0
    )
    populations = populate(RULES, habits)
    time.sleep(lag)  # the new rows have to show
    # What nobody has written yet is read from replicas: the share is counted when the first writes are old enough.
    asyncio.run(busy(populations, ports, Gate(), seconds=min(lag, 10) + 2, seed=plan.seed))
    for each in populations:  # the same users come back, without their cookies: nothing was promised to them
        each.roles.clear()
        each.checker = Checker()
    asyncio.run(busy(populations, ports, Gate(), seconds=plan.seconds + lag, seed=plan.seed + 1))
    return [
        {
            "rule": each.rule,
            "lag": lag,
            "writes": writes,
            "share": round(each.roles["replica"] / max(1, each.roles.total()), 4),
            "reads": each.roles.total(),
            "violations": len(each.checker.violations),
            "checked": each.checker.counts["rows checked: read your writes"],
        }
        for each in populations
    ]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak.shares", description=__doc__)
    parser.add_argument("--vendor", choices=VENDORS, default="postgresql")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each point, and its lag more")
    parser.add_argument("--lags", type=float, nargs="*", help="only these")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--users", type=int, default=8, help="users of each rule (default %(default)s)")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds between requests, on average")
    parser.add_argument("--kept", type=Path, help="write the points to this file too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
