"""Ask the shards and one plain database the same random questions: ``python -m tests.fuzz --vendor postgresql``."""

from __future__ import annotations

import argparse
import secrets
import sys
import time

from tests.fuzz.deployment import VENDORS, deployed


def main() -> int:
    options = _options()
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    print(f"make fuzz VENDOR={options.vendor} N={options.number} SEED={seed}", flush=True)  # noqa: T201
    with deployed(options.vendor):
        from tests.fuzz.running import Run, say

        begun = time.monotonic()
        until = None if options.seconds is None else begun + options.seconds
        run = Run(seed, options.vendor)
        if options.only is not None:
            run.ask(options.only, options.only + 1)
        else:
            run.ask(options.first, options.first + options.number, until=until)
        say("")
        for sort, count in run.differences.most_common():
            say(f"DIFFERENT {count:6} {sort}")
        for line in run.tally.lines():
            say(line)
        seconds = round(time.monotonic() - begun, 1)
        say(run.tally.summary(vendor=options.vendor, seed=seed, seconds=seconds))
    return 1 if run.differences else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--vendor", choices=VENDORS, default="sqlite")
    parser.add_argument("--number", type=int, default=10_000, help="how many questions (default %(default)s)")
    parser.add_argument("--seconds", type=float, help="stop after so long, however many were asked")
    parser.add_argument("--seed", type=int, help="repeat the run that printed it")
    parser.add_argument("--first", type=int, default=0, help="begin at the question of this number")
    parser.add_argument("--only", type=int, help="ask only the question of this number")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
