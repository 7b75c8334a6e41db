"""What is every error of shardkit?"""

from __future__ import annotations

from typing import Any, ClassVar


class ShardkitError(Exception):
    """Be the base of every error that shardkit raises by itself."""

    #: The message, filled from the instance's attributes.
    template: ClassVar[str] = "{args}"

    def __init_subclass__(cls, **options: Any) -> None:
        """Let tracebacks and pickles name the module from which everybody imports it."""
        super().__init_subclass__(**options)
        cls.__module__ = "shardkit.errors"

    def __str__(self) -> str:
        return self.template.format(args=self.args, **self.__dict__)
