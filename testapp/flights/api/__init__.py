"""What do other programs ask the site? Ordinary views of Django REST framework, as for one database."""

from __future__ import annotations
