"""How are whole numbers written in few bytes?

As in Protocol Buffers (base-128 varints): seven bits a byte, the lowest first, and the highest bit says that more come.
"""

from __future__ import annotations

from typing import Final

_MORE: Final = 0x80


def write(number: int) -> bytes:
    """Return *number*, which is 0 or more, in as few bytes as hold it."""
    found = bytearray()
    while number >= _MORE:
        found.append(number & 0x7F | _MORE)
        number >>= 7
    found.append(number)
    return bytes(found)


def read(data: bytes, start: int = 0) -> tuple[int, int]:
    """Return the number at *start* and where the next thing begins; `ValueError` for what was cut off."""
    number = shift = 0
    for end in range(start, len(data)):
        number |= (data[end] & 0x7F) << shift
        if not data[end] & _MORE:
            return number, end + 1
        shift += 7
    raise ValueError(f"A number was cut off after {len(data) - start} bytes.")
