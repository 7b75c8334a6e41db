"""How does the site run? As it would in production: processes of gunicorn for WSGI, and of uvicorn for ASGI."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from testapp.servers.process import ServerFailed, free_port, speaks
from tests.soak.clusters import Cluster

ROOT: Final = Path(__file__).parents[2]
#: Processes and threads of gunicorn; the master has loaded the site before it forks.
WORKERS, THREADS = 2, 4
STARTS_WITHIN: Final = 60.0
_GREETING: Final = b"GET /soak/read HTTP/1.0\r\n\r\n"


@contextmanager
def served(cluster: Cluster, *, gunicorn: bool = True) -> Iterator[int]:
    """Serve the site inside the block, and yield the port."""
    port = free_port()
    words = _gunicorn(port) if gunicorn else _uvicorn(port)
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.soak.site.settings",
        "SOAK_CONFIG": str(cluster.config),
        # Under ASGI each request has a thread of its own, which leaves its connections behind.
        "SOAK_CONN_MAX_AGE": "" if gunicorn else "0",
    }
    log = cluster.directory / f"{'gunicorn' if gunicorn else 'uvicorn'}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _wait(process, port, log)
        yield port
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _gunicorn(port: int) -> list[str]:
    return [
        "gunicorn",
        *("--bind", f"127.0.0.1:{port}"),
        *("--workers", str(WORKERS)),
        *("--worker-class", "gthread"),
        *("--threads", str(THREADS)),
        *("--keep-alive", "60"),
        *("--graceful-timeout", "5"),
        *("--timeout", "60"),
        "--preload",
        "--no-control-socket",
        "django.core.wsgi:get_wsgi_application()",
    ]


def _uvicorn(port: int) -> list[str]:
    quiet = ("--log-level", "warning", "--no-access-log", "--lifespan", "off")
    graceful = ("--timeout-graceful-shutdown", "3", "--timeout-keep-alive", "60")
    return ["uvicorn", "--port", str(port), *quiet, *graceful, "--factory", "django.core.asgi:get_asgi_application"]


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + STARTS_WITHIN
    while not speaks(port, _GREETING):
        if process.poll() is not None or time.monotonic() > until:
            raise ServerFailed(f"The site does not answer: {log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.1)
