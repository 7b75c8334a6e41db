"""What flew from New York in 2013, and who books a seat on it?"""

from __future__ import annotations
