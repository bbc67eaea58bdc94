"""What a setup.py and a setup.cfg say of their project, read without running them."""

from __future__ import annotations

import ast
import configparser
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from incamera.errors import ConfigError
from incamera.project.adoption.compiled import find_compiled_packages

_MAX_BYTES = 1_000_000
# Arguments of setup(), and the key of [project] that says the same.
_KEYS = {
    "version": "version",
    "use_scm_version": "version",
    "description": "description",
    "long_description": "readme",
    "python_requires": "requires-python",
    "license": "license",
    "license_files": "license-files",
    "author": "authors",
    "author_email": "authors",
    "maintainer": "maintainers",
    "maintainer_email": "maintainers",
    "keywords": "keywords",
    "classifiers": "classifiers",
    "url": "urls",
    "project_urls": "urls",
    "download_url": "urls",
    "install_requires": "dependencies",
    "extras_require": "optional-dependencies",
}
_SCRIPTS = {"console_scripts": "scripts", "gui_scripts": "gui-scripts"}
# Modules that a setup.py may import, and the distributions that have them.
_BUILD_MODULES = {
    "Cython": "cython",
    "numpy": "numpy",
    "pybind11": "pybind11",
    "cffi": "cffi",
    "setuptools_scm": "setuptools-scm",
    "setuptools_rust": "setuptools-rust",
    "skbuild": "scikit-build",
    "wheel": "wheel",
    "packaging": "packaging",
    "versioneer": "versioneer",
}


@dataclass(slots=True)
class SetupFacts:
    """What setup.py and setup.cfg say.

    *name* is None where it is computed. *keys* are the keys of [project] that they give. *scripts* are the console
    scripts that are written out. *requires* are the build requirements. *has_modules* says whether packages or modules
    are named; *has_extensions*, whether C or Cython modules are. *refused* says what cannot be read.
    """

    name: str | None = None
    keys: list[str] = field(default_factory=list)
    scripts: dict[str, str] = field(default_factory=dict)
    requires: list[str] = field(default_factory=lambda: ["setuptools"])
    has_modules: bool = False
    has_extensions: bool = False
    refused: list[str] = field(default_factory=list)

    def add_key(self, key: str) -> None:
        if key not in self.keys:
            self.keys.append(key)

    def add_scripts(self, group: str, lines: object) -> None:
        self.add_key(_SCRIPTS.get(group, "entry-points"))
        texts = lines.splitlines() if isinstance(lines, str) else lines
        if group != "console_scripts" or not isinstance(texts, list | tuple):
            return
        for text in texts:
            name, separator, reference = str(text).partition("=")
            if separator:
                self.scripts[name.strip()] = reference.strip()


def load_setup(folder: Path) -> SetupFacts:
    """Return what the setup.py and setup.cfg in *folder* say. Raises ConfigError for one that cannot be read."""
    facts = SetupFacts()
    if (folder / "setup.cfg").is_file():
        _read_setup_cfg(facts, _read(folder / "setup.cfg"), folder / "setup.cfg")
    if (folder / "setup.py").is_file():
        _read_setup_py(facts, _read(folder / "setup.py"), folder / "setup.py")
    if facts.has_extensions:
        # setup.py need not import numpy: a container has its headers in a folder.
        facts.requires += [name for name in find_compiled_packages(folder) if name not in facts.requires]
    return facts


def has_setup_cfg(folder: Path) -> bool:
    """Whether *folder* has a setup.cfg that describes a package. Other tools have their settings there, too."""
    path = folder / "setup.cfg"
    return path.is_file() and any(line.strip() == "[metadata]" for line in _read(path).splitlines())


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_BYTES).decode("utf-8-sig", "replace")
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", hint="make it readable") from error


def _read_setup_cfg(facts: SetupFacts, text: str, path: Path) -> None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ConfigError(f"{path}: {str(error).splitlines()[0]}", hint="correct it") from error
    sections = {name: dict(parser[name]) for name in parser.sections()}
    metadata, options = sections.get("metadata", {}), sections.get("options", {})
    facts.name = metadata.get("name", "").strip() or None
    for key in (*metadata, *options):
        if known := _KEYS.get(key.replace("-", "_")):
            facts.add_key(known)
    if sections.get("options.extras_require"):
        facts.add_key("optional-dependencies")
    for group, lines in sections.get("options.entry_points", {}).items():
        facts.add_scripts(group, lines)
    facts.has_modules = "packages" in options or "py_modules" in options
    facts.requires += [line.strip() for line in options.get("setup_requires", "").splitlines() if line.strip()]


def _read_setup_py(facts: SetupFacts, text: str, path: Path) -> None:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ConfigError(f"{path} is not Python: {error}", hint="correct it") from error
    for module in _imports(tree):
        if (name := _BUILD_MODULES.get(module)) and name not in facts.requires:
            facts.requires.append(name)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_setup(node.func)]
    if not calls:
        facts.refused.append("setup.py does not call setup() where that can be seen")
    for keyword in calls[0].keywords if calls else ():
        if keyword.arg is None:
            facts.refused.append("setup.py gives setup() arguments with `**`: write them out")
        else:
            _read_argument(facts, keyword.arg, _literal(keyword.value))


def _read_argument(facts: SetupFacts, name: str, value: object) -> None:
    if name == "name":
        facts.name = value if isinstance(value, str) else None
    elif name in ("packages", "py_modules"):
        facts.has_modules = True
    elif name in ("ext_modules", "rust_extensions", "cffi_modules"):
        facts.has_extensions = True
    elif name == "setup_requires":
        facts.requires += [text for text in value if isinstance(text, str)] if isinstance(value, list) else []
    elif name == "entry_points":
        if not isinstance(value, Mapping):
            facts.refused.append("setup.py computes entry_points: write them out")
        else:
            for group, lines in value.items():
                facts.add_scripts(str(group), lines)
    elif known := _KEYS.get(name):
        facts.add_key(known)


def _is_setup(function: ast.expr) -> bool:
    return (isinstance(function, ast.Name) and function.id == "setup") or (
        isinstance(function, ast.Attribute) and function.attr == "setup"
    )


def _literal(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None


def _imports(tree: ast.AST) -> list[str]:
    """Return the top-level modules that *tree* imports."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(node.module.partition(".")[0])
    return list(dict.fromkeys(found))
