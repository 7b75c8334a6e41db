"""A real browser: Debian's Chromium, without a window, with a profile of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from testapp.servers.process import ServerMissing, find_program
from tests.servers import skip_or_fail

#: Nothing here needs a screen, a sandbox of its own, or anything from the network.
FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1200",
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    """Yield a browser that nobody has used."""
    options = ChromeOptions()
    options.binary_location = _program("chromium")
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'profile'}"):
        options.add_argument(flag)
    chrome = Chrome(options, ChromeService(_program("chromedriver")))
    try:
        yield chrome
    finally:
        chrome.quit()


def _program(name: str) -> str:
    found = find_program(name)
    if found is None:
        skip_or_fail(ServerMissing(f"{name} not found: on Debian, apt install chromium chromium-driver."))
    return found
