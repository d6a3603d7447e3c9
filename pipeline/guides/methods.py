"""Which method colours an image that has guides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

_PICTURES = frozenset({"reference", "style", "picture"})


@dataclass(frozen=True)
class Methods:
    """What guides need to know about the methods.

    Attributes:
        job: the method of the whole job.
            takes: by method, the guides that it takes; hints (scribbles, points) apply to the result of any
            other.
            needs: by method, the guides without which it cannot colour, if any.
        shared: guides that the whole job has.
        weights: the digest of a method's shipped weights.
    """

    job: str
    takes: Mapping[str, frozenset[str]]
    needs: Mapping[str, frozenset[str]]
    weights: Callable[[str], str]
    shared: frozenset[str] = frozenset()

    def choose(self, stated: str | None, given: frozenset[str]) -> str:
        """The method for an image with these guides; hints count as "scribbles".

        The stated method; else the job's method if it takes the pictures; else the first that does.

        Raises:
            ValueError: there is none, or it does not take a guide, or a guide that it needs is missing.
        """
        if stated is not None and stated not in self.takes:
            raise ValueError(f"unknown method {stated!r}; allowed: {', '.join(sorted(self.takes))}")
        pictures = given & _PICTURES
        able = [name for name in (self.job, *self.takes) if pictures <= self.takes[name]]
        if not able:
            raise ValueError(f"no method takes both {' and '.join(sorted(pictures))}")
        method = stated or able[0]
        if refused := pictures - self.takes[method]:
            named = ", ".join(dict.fromkeys(able))
            raise ValueError(f"the method {method!r} takes no {min(refused)}; leave it out, or name {named}")
        if (message := self.lacking(method, given)) is not None:
            raise ValueError(message)
        return method

    def lacking(self, method: str, given: frozenset[str]) -> str | None:
        """What an image with these guides lacks for the method, or None."""
        has = given | (self.shared if method == self.job else frozenset())
        lacking = self.needs.get(method, frozenset()) - has
        if not lacking:
            return None
        wanted = "scribbles or points" if min(lacking) == "scribbles" else f"a {min(lacking)}"
        return f"the method {method!r} needs {wanted}"
