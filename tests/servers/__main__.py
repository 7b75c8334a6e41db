"""Keep one real server running for a developer: ``python -m tests.servers postgresql``, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys

from testapp.servers import DATABASE_SERVERS
from testapp.servers.process import ServerMissing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.servers", description=__doc__)
    parser.add_argument("vendor", choices=sorted(DATABASE_SERVERS))
    vendor = parser.parse_args().vendor
    try:
        with DATABASE_SERVERS[vendor]() as url:
            signals = {signal.SIGINT, signal.SIGTERM}
            signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # only now: the server would inherit it
            sys.stdout.write(f"export TESTAPP_VENDOR={vendor} DATABASE_SERVER_URL={url}\n")
            sys.stdout.flush()
            signal.sigwait(signals)
    except ServerMissing as missing:
        sys.stderr.write(f"{missing}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
