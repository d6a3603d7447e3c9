"""Glob patterns over whole keys: `plan.include` and `plan.exclude`."""

from __future__ import annotations

import re
from collections.abc import Sequence


class Patterns:
    """Glob patterns over whole keys, case-sensitive.

    `*` matches any characters, "/" too; `?` one character; `[ab]` and `[!ab]` one of a set; `**/` any folders
    or none; a pattern that ends in "/" matches everything below. A key is kept if an `include` pattern
    matches (or there is none) and no `exclude` pattern does.
    """

    def __init__(self, include: Sequence[str], exclude: Sequence[str]) -> None:
        self._include, self._exclude = _compiled(include), _compiled(exclude)
        both = (("include", include), ("exclude", exclude))
        named = [(name, pattern) for name, patterns in both for pattern in patterns]
        self._unmatched = {pattern: _compiled([pattern[1]]) for pattern in named}

    def watch(self, key: str) -> None:
        """Record which patterns match the key; a pattern is compared only until its first match."""
        for pattern, regex in list(self._unmatched.items()):
            if regex is not None and regex.fullmatch(key):
                del self._unmatched[pattern]

    @property
    def unmatched(self) -> list[tuple[str, str]]:
        """ "include" or "exclude", and the pattern, of those that matched no watched key."""
        return list(self._unmatched)

    def keep(self, key: str) -> bool:
        if self._include and not self._include.fullmatch(key):
            return False
        return not (self._exclude and self._exclude.fullmatch(key))


_TOKEN = re.compile(
    r"(?P<folders>\*\*/)|(?P<any>\*+)|(?P<one>\?)|\[(?P<set>!?\]?[^\]]+)\]|(?P<char>.)", re.DOTALL
)


def _compiled(patterns: Sequence[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    return re.compile("|".join(_regex(p + "*" if p.endswith("/") else p) for p in patterns), re.DOTALL)


def _regex(pattern: str) -> str:
    return "".join(_token_regex(match) for match in _TOKEN.finditer(pattern))


def _token_regex(match: re.Match[str]) -> str:
    if match.lastgroup == "set":
        negated = match["set"].startswith("!")
        members = re.sub(r"([\\\[\]^&~|])", r"\\\1", match["set"][negated:])
        return f"[{'^' * negated}{members}]"
    fixed = {"folders": "(?:.*/)?", "any": ".*", "one": "."}
    return fixed.get(str(match.lastgroup)) or re.escape(match[0])
