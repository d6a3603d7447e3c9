"""Guess start keys for several readers that list a long range of keys, from the keys read so far.

S3 returns a prefix page by page, each naming the next, but `StartAfter` can begin at any key, existing or
not. Most keys contain numbers, dates or hashes: each position holds digits, hex digits or letters, and keys
count up like an odometer. The guess adds the advance of the last pages again and again. A bad guess costs a
request that returns little; it never causes missed or duplicate keys.
"""

from __future__ import annotations

import math
import string
from bisect import bisect_left
from collections.abc import Sequence

#: Places of a key before and after the first one that changes which make the odometer.
_BEFORE, _AFTER = 8, 10
_SAMPLE = 64
_CLASSES = (
    string.digits,
    string.digits + "abcdef",
    string.digits + "ABCDEF",
    string.ascii_lowercase,
    string.ascii_uppercase,
)


def keys_ahead(seen: Sequence[str], prefix: str, count: int, until: str | None) -> list[str]:
    """Up to `count` ascending keys, each about as far from the previous one as the last key seen is from the
    first. All are after the last key seen, below `prefix`, and before `until` (None: no bound).

    Args:
        seen: keys in order, at least one, which begin with `prefix`.
    """
    first, last = seen[0], seen[-1]
    changes = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
    start = max(len(prefix), changes - _BEFORE)
    places = range(start, changes + _AFTER)
    sample = [*seen[:: max(1, len(seen) // _SAMPLE)], last]
    seen_at = ({key[place] for key in sample if place < len(key)} for place in places)
    wheels = [_wheel(characters) for characters in seen_at if characters]
    end = math.prod(len(wheel) for wheel in wheels)
    here, step = _value(last, start, wheels), _value(last, start, wheels) - _value(first, start, wheels)
    values = (here + step * n for n in range(1, count + 1))
    guesses = [last[:start] + _text(value, wheels) for value in values if step > 0 and value < end]
    ascending, before = [], last
    for guess in guesses:
        if guess > before and (until is None or guess < until):
            ascending.append(guess)
            before = guess
    return ascending


def _wheel(characters: set[str]) -> str:
    """The characters that may occur at a position where these occur, in order."""
    for each in _CLASSES:
        if characters <= set(each):
            return each
    return "".join(sorted(characters))


def _value(key: str, start: int, wheels: list[str]) -> int:
    value = 0
    for place, wheel in enumerate(wheels, start):
        digit = bisect_left(wheel, key[place]) if place < len(key) else 0
        value = value * len(wheel) + min(digit, len(wheel) - 1)
    return value


def _text(value: int, wheels: list[str]) -> str:
    digits = []
    for wheel in reversed(wheels):
        value, digit = divmod(value, len(wheel))
        digits.append(wheel[digit])
    return "".join(reversed(digits))
