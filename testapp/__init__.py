"""What does a Django project look like that runs on several databases?"""

from __future__ import annotations
