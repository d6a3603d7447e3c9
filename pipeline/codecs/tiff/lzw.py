"""LZW as TIFF has it (TIFF 6.0, section 13): codes of 9 to 12 bits, the most significant bit first.

Code widths grow one code early, as in libtiff and every reader made since 1992.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.color.compiled import compiled

_CLEAR, _END, _FIRST = 256, 257, 258
_FULL = 4094  # the table is emptied when this many codes are known
_SLOTS = 16384  # of the hash table: a power of two, a quarter full at most


def lzw(data: bytes) -> bytes:
    """`data` compressed, between a clear code and an end code."""
    packed = np.empty(most_bytes(len(data)), np.uint8)
    length = _compress(np.frombuffer(data, np.uint8), packed)
    return packed[:length].tobytes()


def most_bytes(count: int) -> int:
    """What `count` bytes can grow to: each a code of 12 bits, and the clear codes between them."""
    return count + count // 2 + count // 1024 + 16


@compiled
def _compress(data: NDArray[np.uint8], packed: NDArray[np.uint8]) -> Any:
    """Write the codes of `data` to `packed`; their number of bytes."""
    keys, codes = np.full(_SLOTS, -1, np.int32), np.empty(_SLOTS, np.int32)
    at, held, bits = 0, _CLEAR, 9  # bytes written; bits that wait to be written, and how many
    free, width, prefix = _FIRST, 9, -1
    for value in data:
        if prefix < 0:
            prefix = int(value)
            continue
        key = (prefix << 8) | value
        slot = ((key * 40503) >> 4) & (_SLOTS - 1)
        while keys[slot] != key and keys[slot] != -1:
            slot = (slot + 1) & (_SLOTS - 1)
        if keys[slot] == key:
            prefix = int(codes[slot])
            continue
        held, bits = (held << width) | prefix, bits + width
        keys[slot], codes[slot] = key, free
        free, prefix = free + 1, int(value)
        if free == _FULL:
            held, bits = (held << width) | _CLEAR, bits + width
            keys[:] = -1
            free, width = _FIRST, 9
        elif free == 1 << width:
            width += 1
        while bits >= 8:
            bits -= 8
            packed[at] = (held >> bits) & 255
            at += 1
        held &= (1 << bits) - 1
    if prefix >= 0:
        held, bits = (held << width) | prefix, bits + width
        free += 1
        if free == _FULL:
            held, bits, width = (held << width) | _CLEAR, bits + width, 9
        elif free == 1 << width:
            width += 1
    held, bits = (held << width) | _END, bits + width
    held, bits = held << (-bits % 8), bits + (-bits % 8)
    while bits > 0:
        bits -= 8
        packed[at] = (held >> bits) & 255
        at += 1
    return at
