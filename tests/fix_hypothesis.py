"""How many examples does a property get? A few on every run; many with ``--hypothesis-profile=deep``."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A database is slower than what Hypothesis expects, and the first example of all pays for imports.
_UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

settings.register_profile("quick", _UNHURRIED, max_examples=100)
settings.register_profile("deep", _UNHURRIED, max_examples=5_000)
settings.load_profile("quick")
