"""What does sharding cost, compared with plain Django in the same run?"""

from __future__ import annotations
