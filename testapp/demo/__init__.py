"""What does somebody see who tries this for the first time?"""

from __future__ import annotations
