"""Recipes: what a package needs to work in a camera, as data, with a table for each source of the package.

Those of incamera are in `data/recipes/<name>.toml`. A project may have its own in the folder that `[tool.incamera]
recipes` names; one of the same name replaces ours. docs/reference/recipes.md describes every key.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from incamera.errors import ConfigError
from incamera.names import did_you_mean
from incamera.targets.architecture import Architecture
from incamera.toml import decode_toml, parse_toml

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

Setting = str | tuple[str, ...]
_T = TypeVar("_T")

_DEB = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_BUILDERS = ("cross", "emulated")


@dataclass(frozen=True, kw_only=True, slots=True)
class WheelRecipe:
    """How a wheel is used.

    *debs*: Debian packages that its files need, beyond what its tag promises. *requires*: requirements that it does not
    declare.
    """

    debs: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    refuse: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DebRecipe:
    """How Debian's package is used.

    *package*: its name, where that isn't `python3-<name>`. *without*: dependencies that are not taken. *requires*:
    requirements in their place.
    """

    package: str | None = None
    without: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    refuse: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """A change to one file of the sdist: the text *old*, which must occur exactly once, is replaced by *new*."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, kw_only=True, slots=True)
class SdistRecipe:
    """How the sdist is built.

    *versions*: those that the recipe was tried with; no others are built. *builder*: "cross" or "emulated". *dev*:
    Debian packages for the sysroot, whose run-time libraries go into the bundle. *debs*: more packages for the bundle.
    *requires*: requirements that it does not declare. *settings*: for the build back end. *environment*: variables
    during the build. *build_requires*: in place of the sdist's own list. *edits*: made before the build. *drop*:
    patterns of files of the built wheel that are left out.
    """

    versions: str = ""
    refuse: str | None = None
    builder: str = "cross"
    dev: tuple[str, ...] = ()
    debs: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    settings: Mapping[str, Setting] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    build_requires: tuple[str, ...] | None = None
    edits: tuple[Edit, ...] = ()
    drop: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeTest:
    """How to test that a package works: the modules *imports* can be imported, and *code* raises nothing."""

    imports: tuple[str, ...] = ()
    code: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """The recipe of one package for one architecture.

    A source with a `refuse` text, which says why, is used only when `[tool.incamera.sources]` names it.
    """

    name: str
    why: str = ""
    wheel: WheelRecipe = WheelRecipe()
    deb: DebRecipe = DebRecipe()
    sdist: SdistRecipe = SdistRecipe()
    test: RecipeTest = RecipeTest()

    @property
    def digest(self) -> str:
        """A digest of what a lock with an sdist built by this recipe depends on."""
        return _digest(self.sdist, frozenset())

    @property
    def build_digest(self) -> str:
        """A digest of what a wheel built by this recipe depends on: a wider range of versions does not rebuild it."""
        return _digest(self.sdist, frozenset({"versions", "refuse", "debs", "requires"}))


def _digest(part: SdistRecipe, without: frozenset[str]) -> str:
    # Defaults don't count, so that a key added to SdistRecipe changes no digest of recipes without it.
    plain = asdict(SdistRecipe())
    values = {key: value for key, value in asdict(part).items() if value != plain[key] and key not in without}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


class Recipes:
    """The recipes for one architecture.

    *tables* maps a package's name to the name and contents of its recipe file. *own*: the names of the project's.
    Raises ConfigError.
    """

    def __init__(
        self,
        tables: Mapping[str, tuple[str, Mapping[str, Any]]],
        architecture: Architecture,
        own: Collection[str] = (),
    ) -> None:
        self.own = own
        self._recipes = {
            name: parse_recipe(table, name, architecture, where=where) for name, (where, table) in tables.items()
        }

    def find(self, name: str) -> Recipe:
        """Return the recipe for *name* (normalized); one with all defaults when there is none."""
        return self._recipes.get(name) or Recipe(name=name)

    def names(self) -> list[str]:
        """Return the names of the packages that have a recipe."""
        return sorted(self._recipes)


def load_recipes(architecture: Architecture, folder: Path | None = None) -> Recipes:
    """Return incamera's recipes, and those in *folder*, which go first. Raises ConfigError that names file and key."""
    own = _tables(folder) if folder is not None else {}
    return Recipes({**_our_tables(), **own}, architecture, own)


@cache
def _our_tables() -> Mapping[str, tuple[str, Mapping[str, Any]]]:
    return _tables(resources.files("incamera.project").joinpath("data/recipes"))


def _tables(folder: Traversable) -> dict[str, tuple[str, Mapping[str, Any]]]:
    tables: dict[str, tuple[str, Mapping[str, Any]]] = {}
    try:
        files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    except OSError as error:
        raise ConfigError(f"cannot read the recipes in {folder}: {error.strerror}") from error
    for file in files:
        name = canonicalize_name(file.name.removesuffix(".toml"))
        try:
            tables[name] = (file.name, parse_toml(decode_toml(file.read_bytes())))
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"recipe {file.name}: {error}", hint="https://toml.io shows how it is written") from error
        except OSError as error:
            raise ConfigError(f"cannot read the recipe {file}: {error.strerror}") from error
    return tables


def parse_recipe(table: Mapping[str, Any], name: str, architecture: Architecture, *, where: str = "") -> Recipe:
    """Return the recipe in *table* for the package *name*; *where* is its file's name in messages.

    Raises ConfigError, with similar names, for an unknown key, and for a value of the wrong type.
    """
    where = where or f"{name}.toml"
    for key in table:
        if key not in ("why", "wheel", "deb", "sdist", "test"):
            raise _unknown(where, key, ("why", "wheel", "deb", "sdist", "test"))
    if not isinstance(table.get("why", ""), str):
        raise ConfigError(f"recipe {where}: why must be a string")
    return Recipe(
        name=name,
        why=table.get("why", ""),
        wheel=_part(WheelRecipe, table, "wheel", architecture, where),
        deb=_part(DebRecipe, table, "deb", architecture, where),
        sdist=_part(SdistRecipe, table, "sdist", architecture, where),
        test=_part(RecipeTest, table, "test", architecture, where),
    )


def _part(kind: type[_T], table: Mapping[str, Any], key: str, architecture: Architecture, where: str) -> _T:
    part = table.get(key, {})
    if not isinstance(part, Mapping):
        raise ConfigError(f"recipe {where}: {key} must be a table", hint=f"write [{key}]")
    names = {entry.name.replace("_", "-"): entry.name for entry in fields(kind)}  # type: ignore[arg-type]
    by_architecture = {arch.value: part[arch.value] for arch in Architecture if arch.value in part}
    for arch, values in by_architecture.items():
        if not isinstance(values, Mapping):
            raise ConfigError(f"recipe {where}: {key}.{arch} must be a table", hint=f"write [{key}.{arch}]")
    merged: dict[str, Any] = {}
    general = {option: value for option, value in part.items() if option not in by_architecture}
    # The other architecture's keys are checked, too, so that a typo shows at once.
    for prefix, values, applies in (
        (key, general, True),
        *((f"{key}.{arch}", values, arch == architecture) for arch, values in by_architecture.items()),
    ):
        for option, value in values.items():
            if option not in names:
                raise _unknown(where, option, [*names, *Architecture], prefix)
            checked = _check(option, value, f"recipe {where}: {prefix}.{option}")
            if applies:
                merged[names[option]] = checked
    return kind(**merged)


def _check(option: str, value: Any, where: str) -> Any:
    if option in ("settings", "environment"):
        return _check_table(value, where, lists=option == "settings")
    if option in ("package", "refuse", "versions", "builder", "code"):
        if not isinstance(value, str):
            raise ConfigError(f"{where} must be a string", hint=f'write {option} = "…"')
        return _check_text(option, value, where)
    if option == "edits":
        return _check_edits(value, where)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ConfigError(f"{where} must be a list of strings", hint=f'write {option} = ["…", "…"]')
    for item in value:
        if option in ("requires", "build-requires"):
            try:
                Requirement(item)
            except InvalidRequirement as error:
                raise ConfigError(f'{where}: "{item}": {str(error).splitlines()[0]}') from error
        elif option in ("dev", "debs", "without") and not _DEB.fullmatch(item):
            raise ConfigError(f'{where}: "{item}" cannot be the name of a Debian package')
    return tuple(value)


def _check_edits(value: Any, where: str) -> tuple[Edit, ...]:
    if not isinstance(value, list) or not all(
        isinstance(item, Mapping)
        and item.keys() == {"file", "old", "new"}
        and all(isinstance(text, str) for text in item.values())
        for item in value
    ):
        raise ConfigError(f"{where} must be tables with the strings file, old and new", hint="write [[sdist.edits]]")
    for item in value:
        path = PurePosixPath(item["file"])
        if path.is_absolute() or ".." in path.parts:
            raise ConfigError(f'{where}: "{item["file"]}" is not a path inside the sdist')
    return tuple(Edit(**item) for item in value)


def _check_text(option: str, value: str, where: str) -> str:
    if option == "builder" and value not in _BUILDERS:
        hint = did_you_mean(value, _BUILDERS) or "choose " + " or ".join(_BUILDERS)
        raise ConfigError(f'{where}: unknown builder "{value}"', hint=hint)
    if option == "versions":
        try:
            SpecifierSet(value)
        except InvalidSpecifier as error:
            raise ConfigError(
                f'{where}: "{value}" is not a range of versions', hint='write, for example, ">=1.2,<2"'
            ) from error
    return value


def _check_table(value: Any, where: str, *, lists: bool) -> dict[str, Setting]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{where} must be a table", hint='write { name = "value" }')
    checked: dict[str, Setting] = {}
    for name, item in value.items():
        if isinstance(item, str):
            checked[name] = item
        elif lists and isinstance(item, list) and all(isinstance(word, str) for word in item):
            checked[name] = tuple(item)
        else:
            raise ConfigError(f"{where}.{name} must be a string" + (" or a list of strings" if lists else ""))
    return checked


def _unknown(where: str, key: str, known: Any, prefix: str = "") -> ConfigError:
    known = list(known)
    place = f"{prefix}.{key}" if prefix else key
    return ConfigError(
        f'recipe {where}: unknown key "{place}"', hint=did_you_mean(key, known) or "choose one of: " + ", ".join(known)
    )
