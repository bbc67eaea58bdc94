"""The closure of some packages: they, and everything that they depend on to run."""

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

# Each restart excludes one version that was too new. Usually none or one is needed.
_MAX_RESTARTS = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class ClosureRules:
    """Exceptions from following every dependency to its first alternative.

    *excluded* maps packages that are not followed to the reason; `parent/package` is excluded as a dependency of
    *parent* only. *prefer* maps a real or virtual package to the one to take in its place, where that satisfies the
    relation. *provided* maps packages that are there already to their version ("" satisfies every version).
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
        """Return these rules with others added."""
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
    """Return *roots* (`numpy`, or `numpy (= 1.24)`) and all that they depend on, sorted by name.

    The same index, roots and rules give the same result. Conflicts are ignored, since nothing is installed.
    Raises ConfigError when a root is not one package, ResolveError when a dependency cannot be satisfied.
    """
    limits: dict[str, list[tuple[Alternative, str]]] = {}
    for _ in range(_MAX_RESTARTS):
        attempt = _Attempt(index, rules, limits)
        try:
            return attempt.run([(_parse_root(root), "") for root in roots])
        except _TooNew as conflict:
            # A package that was chosen early is too new for a later dependency: start again with that limit.
            known = limits.setdefault(conflict.limit.name, [])
            if (conflict.limit, conflict.parent) in known:
                break
            known.append((conflict.limit, conflict.parent))
    raise ResolveError("no versions of these packages fit each other: " + ", ".join(roots))


class _TooNew(Exception):
    """A package that is chosen already is too new for *limit*, a dependency of *parent*."""

    def __init__(self, limit: Alternative, parent: str) -> None:
        self.limit = limit
        self.parent = parent


class _Attempt:
    """One attempt to choose a version of every package, within the *limits* that earlier attempts found."""

    def __init__(
        self, index: PackageIndex, rules: ClosureRules, limits: Mapping[str, list[tuple[Alternative, str]]]
    ) -> None:
        self.index = index
        self.rules = rules
        self.limits = limits
        self.chosen: dict[str, Deb] = {}
        self.provided: dict[str, list[Deb]] = {}
        self.parent_of: dict[str, str] = {}
        # Relations with one candidate go first, so that those with several can be satisfied by packages chosen already.
        self.fixed: deque[tuple[Relation, str]] = deque()
        self.choices: deque[tuple[Relation, str]] = deque()

    def run(self, roots: list[tuple[Relation, str]]) -> list[Deb]:
        for relation, parent in roots:
            self.choose(relation, parent)
        while self.fixed or self.choices:
            relation, parent = (self.fixed or self.choices).popleft()
            if not self.is_met(relation, parent):
                self.choose(relation, parent)
        return [self.chosen[name] for name in sorted(self.chosen)]

    def is_met(self, relation: Relation, parent: str) -> bool:
        """Whether *relation* is satisfied by packages chosen or provided, or excluded by the rules."""
        for alternative in relation:
            if (deb := self.chosen.get(alternative.name)) and alternative.allows(deb.version):
                return True
            if any(_provides(deb, alternative) for deb in self.provided.get(alternative.name, ())):
                return True
            version = self.rules.provided.get(alternative.name)
            if version is not None and (not version or alternative.allows(version)):
                return True
        return self.is_excluded(relation[0].name, parent)

    def is_excluded(self, name: str, parent: str) -> bool:
        return name in self.rules.excluded or f"{parent}/{name}" in self.rules.excluded

    def choose(self, relation: Relation, parent: str) -> None:
        """Add the best deb for *relation*: a preferred one, else the first alternative that fits, else a provider."""
        for alternative in relation:
            preferred = self.rules.prefer.get(alternative.name)
            if preferred and (deb := self.best(Alternative(preferred), relation)):
                self.add(deb, parent)
                return
        for alternative in relation:
            if parent and self.is_excluded(alternative.name, parent):
                continue
            if deb := self.best(alternative, (alternative,)):
                self.add(deb, parent)
                return
        for alternative in relation:
            for deb in self.index.providers(alternative.name):
                if _provides(deb, alternative) and self.allowed(deb) and deb.package not in self.chosen:
                    self.add(deb, parent)
                    return
        for alternative in relation:
            chosen = self.chosen.get(alternative.name)
            if chosen and any(alternative.allows(deb.version) for deb in self.index.find(alternative.name)):
                raise _TooNew(alternative, parent)
        raise self.failure(relation, parent)

    def best(self, wanted: Alternative, relation: Relation) -> Deb | None:
        """Return the newest deb with the name of *wanted* that satisfies *relation*; None when there is none."""
        if wanted.name in self.chosen:
            return None  # chosen already, in a version that does not fit
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

    def add(self, deb: Deb, parent: str) -> None:
        if deb.package in self.chosen:
            return
        self.chosen[deb.package] = deb
        self.parent_of[deb.package] = parent
        for provided in parse_relations(deb.provides):
            self.provided.setdefault(provided[0].name, []).append(deb)
        for relation in deb.requirements:
            leaves_no_choice = len(relation) == 1 and bool(self.index.find(relation[0].name))
            (self.fixed if leaves_no_choice else self.choices).append((relation, deb.package))

    def failure(self, relation: Relation, parent: str) -> ResolveError:
        """Return the error that says why nothing satisfies *relation*."""
        wanted = " or ".join(str(alternative) for alternative in relation)
        chain = []
        while parent:
            chain.append(parent)
            parent = self.parent_of[parent]
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
                hint="the mirror may be in the middle of an update, or no longer has a version that was asked for: "
                "try again in some minutes, or ask for no version",
            )
        return ResolveError(
            f"there is no Debian package {wanted}{why}", hint=unknown_package_hint(self.index, relation[0].name)
        )


def unknown_package_hint(index: PackageIndex, name: str) -> str:
    """Return the hint for a package *name* that *index* does not have."""
    similar = index.closest(name)
    if similar:
        return "did you mean " + " or ".join(similar) + "?"
    return "find its name at https://packages.debian.org; only the section main is used"


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
        raise ConfigError(str(error), hint="write the name of a Debian package, or: name (= version)") from error
    if len(relations) != 1:
        raise ConfigError(f'"{root}" is not one Debian package', hint="write each package as an item of its own")
    return relations[0]
