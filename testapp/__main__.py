"""How are the management commands of this project run? As ``python -m testapp COMMAND``."""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "testapp.settings")
    execute_from_command_line(["testapp", *sys.argv[1:]])


if __name__ == "__main__":
    main()
