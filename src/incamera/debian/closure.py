"""The closure: a few packages, and everything that they need to run."""

from __future__ import annotations

import tomllib
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from incamera.debian.relation import Alternative, Relation, parse_relations
from incamera.errors import ConfigError, ResolveError

if TYPE_CHECKING:
    from incamera.debian.index import Deb, PackageIndex

# Each restart takes one version further back; a sound archive needs none or one.
_MAX_RESTARTS = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class ClosureRules:
    """What departs from following every dependency to its first alternative.

    *excluded*: packages that are not followed, each with the reason; a key `needer/needed` speaks of one needer only.
    *prefer*: for a real or virtual package, the name of the one to take where it would do.
    *provided*: what is already there, with its version ("" for: any version asked for).
    """

    excluded: Mapping[str, str] = field(default_factory=dict)
    prefer: Mapping[str, str] = field(default_factory=dict)
    provided: Mapping[str, str] = field(default_factory=dict)

    def extended(
        self,
        *,
        excluded: Mapping[str, str] | None = None,
        prefer: Mapping[str, str] | None = None,
        provided: Mapping[str, str] | None = None,
    ) -> ClosureRules:
        """Return these rules and more."""
        return ClosureRules(
            excluded={**self.excluded, **(excluded or {})},
            prefer={**self.prefer, **(prefer or {})},
            provided={**self.provided, **(provided or {})},
        )


@cache
def load_closure_rules() -> ClosureRules:
    """Return the rules of `data/closure.toml`."""
    text = resources.files("incamera.debian").joinpath("data/closure.toml").read_text("utf-8")
    tables = tomllib.loads(text)
    if unknown := tables.keys() - {"excluded", "prefer"}:
        raise AssertionError(f"closure.toml has unknown tables: {sorted(unknown)}")
    return ClosureRules(excluded=tables["excluded"], prefer=tables.get("prefer", {}))


def resolve_closure(index: PackageIndex, roots: Sequence[str], rules: ClosureRules) -> list[Deb]:
    """Return *roots* (`numpy`, or `numpy (= 1.24)`) and all that they need, by name. Raises ResolveError.

    The same index, roots and rules give the same answer. Conflicts are not looked at: nothing is installed here.
    """
    limits: dict[str, list[tuple[Alternative, str]]] = {}
    for _ in range(_MAX_RESTARTS):
        attempt = _Attempt(index, rules, limits)
        try:
            return attempt.run([(_parse_root(root), "") for root in roots])
        except _Overtaken as overtaken:
            # Something chosen early turns out to be too new: begin again with what is known now.
            known = limits.setdefault(overtaken.limit.name, [])
            if (overtaken.limit, overtaken.needer) in known:
                break
            known.append((overtaken.limit, overtaken.needer))
    raise ResolveError("no versions of these packages fit each other: " + ", ".join(roots))


class _Overtaken(Exception):
    def __init__(self, limit: Alternative, needer: str) -> None:
        self.limit = limit
        self.needer = needer


class _Attempt:
    def __init__(
        self, index: PackageIndex, rules: ClosureRules, limits: Mapping[str, list[tuple[Alternative, str]]]
    ) -> None:
        self.index = index
        self.rules = rules
        self.limits = limits
        self.chosen: dict[str, Deb] = {}
        self.provided: dict[str, list[Deb]] = {}
        self.needer_of: dict[str, str] = {}
        # What leaves no choice goes first, so that a choice falls on what is there anyway.
        self.certain: deque[tuple[Relation, str]] = deque()
        self.open: deque[tuple[Relation, str]] = deque()

    def run(self, roots: list[tuple[Relation, str]]) -> list[Deb]:
        for relation, needer in roots:
            self.choose(relation, needer)
        while self.certain or self.open:
            relation, needer = (self.certain or self.open).popleft()
            if not self.is_met(relation, needer):
                self.choose(relation, needer)
        return [self.chosen[name] for name in sorted(self.chosen)]

    def is_met(self, relation: Relation, needer: str) -> bool:
        """Is *relation* satisfied by what is chosen or provided, or waived by the rules?"""
        for alternative in relation:
            if (deb := self.chosen.get(alternative.name)) and alternative.allows(deb.version):
                return True
            if any(_provides(deb, alternative) for deb in self.provided.get(alternative.name, ())):
                return True
            version = self.rules.provided.get(alternative.name)
            if version is not None and (not version or alternative.allows(version)):
                return True
        return self.is_excluded(relation[0].name, needer)

    def is_excluded(self, name: str, needer: str) -> bool:
        return name in self.rules.excluded or f"{needer}/{name}" in self.rules.excluded

    def choose(self, relation: Relation, needer: str) -> None:
        """Add the deb that *relation* is best satisfied with."""
        for alternative in relation:
            preferred = self.rules.prefer.get(alternative.name)
            if preferred and (deb := self.best(Alternative(preferred), relation)):
                self.add(deb, needer)
                return
        for alternative in relation:
            if needer and self.is_excluded(alternative.name, needer):
                continue
            if deb := self.best(alternative, (alternative,)):
                self.add(deb, needer)
                return
        for alternative in relation:
            for deb in self.index.providers(alternative.name):
                if _provides(deb, alternative) and self.allowed(deb) and deb.package not in self.chosen:
                    self.add(deb, needer)
                    return
        for alternative in relation:
            chosen = self.chosen.get(alternative.name)
            if chosen and any(alternative.allows(deb.version) for deb in self.index.find(alternative.name)):
                raise _Overtaken(alternative, needer)
        raise self.failure(relation, needer)

    def best(self, wanted: Alternative, relation: Relation) -> Deb | None:
        """Return the newest deb called as *wanted* is, that satisfies *relation*."""
        if wanted.name in self.chosen:
            return None  # it's there, in a version that does not do
        for deb in self.index.find(wanted.name):
            fits = any(
                (deb.package == alternative.name and alternative.allows(deb.version)) or _provides(deb, alternative)
                for alternative in relation
            )
            if fits and self.allowed(deb):
                return deb
        return None

    def allowed(self, deb: Deb) -> bool:
        return all(limit.allows(deb.version) for limit, _ in self.limits.get(deb.package, ()))

    def add(self, deb: Deb, needer: str) -> None:
        if deb.package in self.chosen:
            return
        self.chosen[deb.package] = deb
        self.needer_of[deb.package] = needer
        for provided in parse_relations(deb.provides):
            self.provided.setdefault(provided[0].name, []).append(deb)
        for relation in deb.requirements:
            leaves_no_choice = len(relation) == 1 and bool(self.index.find(relation[0].name))
            (self.certain if leaves_no_choice else self.open).append((relation, deb.package))

    def failure(self, relation: Relation, needer: str) -> ResolveError:
        """Say in words why nothing satisfies *relation*."""
        wanted = " or ".join(str(alternative) for alternative in relation)
        chain = []
        while needer:
            chain.append(needer)
            needer = self.needer_of[needer]
        why = " (needed by " + ", needed by ".join(chain) + ")" if chain else ""
        present = [deb for alternative in relation for deb in self.index.find(alternative.name)]
        if present:
            limits = "".join(
                f"; {asker} asks for {limit}"
                for deb in present[:1]
                for limit, asker in self.limits.get(deb.package, ())
                if Alternative(limit.name, limit.operator, limit.version) not in relation
            )
            there = ", ".join(dict.fromkeys(str(deb) for deb in present))
            return ResolveError(
                f"no version of {wanted} fits{why}: there is {there}{limits}",
                hint="the mirror may be in the middle of an update, or a version that was asked for is gone: "
                "try again, or ask for no version",
            )
        similar = self.index.closest(relation[0].name)
        return ResolveError(
            f"there is no package {wanted}{why}",
            hint="did you mean " + " or ".join(similar) + "?" if similar else "packages of Debian's section main only",
        )


def _provides(deb: Deb, alternative: Alternative) -> bool:
    version = deb.provided_version(alternative.name)
    if version is None:
        return False
    # Only a versioned Provides satisfies a versioned dependency.
    return alternative.allows(version) if version else not alternative.operator


def _parse_root(root: str) -> Relation:
    try:
        relations = parse_relations(root)
    except ValueError as error:
        raise ConfigError(str(error), hint="write a Debian package's name, or: name (= version)") from error
    if len(relations) != 1:
        raise ConfigError(f'"{root}" is not one Debian package', hint="write a list of several names")
    return relations[0]
