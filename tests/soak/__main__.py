"""Use the site with faults, and check what its users see: ``python -m tests.soak --vendor postgresql --seconds 60``."""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import sys
from pathlib import Path
from typing import Any

from tests.soak.clusters import VENDORS
from tests.soak.running import Plan, run
from tests.soak.traffic import STORES, Habits


def main() -> int:
    options = _options()
    logging.basicConfig(stream=sys.stdout, format="%(relativeCreated)6.0f ms %(message)s")
    logging.getLogger("tests.soak").setLevel(logging.INFO)
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    _say(f"make soak VENDOR={options.vendor} SECONDS={options.seconds:g} SEED={seed}")
    habits = Habits(
        users=options.users,
        pause=options.pause,
        away=options.away,
        writers=options.writers,
        asgi=options.asgi,
        stores=tuple(options.stores.split(",")),
    )
    plan = Plan(
        vendor=options.vendor,
        seconds=options.seconds,
        seed=seed,
        rules=tuple(options.rules.split(",")),
        habits=habits,
        lag=options.lag,
    )
    found, stories = run(plan)
    for rule, told in stories.items():
        for story in told[: options.stories]:
            _say(f"{rule}: {json.dumps(story, indent=1)}")
    _say("\n".join(f"site: {line}" for line in found.pop("site complained")))
    if options.kept is not None:
        options.kept.write_text(json.dumps(found, indent=1) + "\n")
    violations = _violations(found, "positions")
    _say(json.dumps(found))
    return 1 if violations or found["trouble"] else 0


def _violations(found: dict[str, Any], rule: str) -> int:
    """Count what a rule got wrong; a rule that was given to be compared only may get everything wrong."""
    rules = found["rules"]
    judged = [rules[rule]] if rule in rules else rules.values()
    return sum(count for each in judged for name, count in each.items() if name.startswith("violations"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--vendor", choices=VENDORS, default="postgresql")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, help="repeat the order of faults and the dice of a run that printed it")
    parser.add_argument("--rules", default="positions", help="such as positions,timer:2,timer:5: compared in one run")
    parser.add_argument("--stores", default=",".join(STORES), help="for the users in turn (default %(default)s)")
    parser.add_argument("--asgi", type=float, default=Habits.asgi, help="the share of requests to uvicorn")
    parser.add_argument("--users", type=int, default=24, help="users of each rule (default %(default)s)")
    parser.add_argument("--writers", type=float, default=0.5, help="the share of users who write")
    parser.add_argument("--pause", type=float, default=0.0, help="seconds between requests, on average")
    parser.add_argument("--away", type=float, default=0.001, help="the share of requests after which a user is away")
    parser.add_argument("--lag", type=float, help="break nothing, but let all replicas be so many seconds late")
    parser.add_argument("--stories", type=int, default=5, help="how many violations to tell with what went before")
    parser.add_argument("--kept", type=Path, help="write the summary to this file too")
    return parser.parse_args()


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
