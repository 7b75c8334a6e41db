"""What is the smallest question that goes wrong in the same way?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.fuzz.code import Chain, smaller, source

#: How many smaller questions are tried for one that went wrong.
TRIES: Final = 400


def shrink(code: Chain, is_wrong: Callable[[Chain], bool], tries: int = TRIES) -> Chain:
    """Take parts out of *code* as long as what is left *is_wrong*."""
    seen = {source(code)}
    while tries > 0:
        for less in smaller(code):
            text = _source(less)
            if not isinstance(less, Chain) or text is None or text in seen:
                continue
            seen.add(text)
            tries -= 1
            if is_wrong(less):
                code = less
                break
            if tries <= 0:
                return code
        else:
            return code
    return code


def _source(code: object) -> str | None:
    try:
        return source(code)
    except (TypeError, AttributeError):
        return None
