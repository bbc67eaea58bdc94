"""The target: what a bundle is built for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from incamera.errors import ConfigError, UsageError
from incamera.targets.architecture import Architecture
from incamera.targets.suite import Suite, suite_for_python

# The newest Python whose Debian suite still has a 32-bit time_t on armhf, as AXIS OS up to 12 has. AXIS OS 13
# changes to 64 bits, as Debian did with trixie.
DEFAULT_PYTHON = "3.11"

_NAME = re.compile(r"(?P<architecture>[a-z0-9_]+)(?:-cp(?P<major>\d)(?P<minor>\d+))?")


@dataclass(frozen=True, order=True, slots=True)
class Target:
    """Architecture and Python version. The C library and all else follow from the Debian suite that has that Python.

    `str(target)` is its name, `armv7hf-cp311`. It has no dot, since PEP 751 allows none in `pylock.<name>.toml`.
    """

    architecture: Architecture
    python: str = DEFAULT_PYTHON

    def __str__(self) -> str:
        return f"{self.architecture}-cp{self.python.replace('.', '')}"

    @property
    def suite(self) -> Suite:
        return suite_for_python(self.python)

    @classmethod
    def parse(cls, text: str, *, python: str = DEFAULT_PYTHON) -> Target:
        """Return the target called *text*: `armv7hf-cp311`, or `armv7hf` with the Python version *python*.

        Raises ConfigError for an unknown architecture or Python.
        """
        match = _NAME.fullmatch(text)
        if match is None:
            raise ConfigError(f'"{text}" is not a target', hint="write, for example, armv7hf or aarch64-cp313")
        if match["major"]:
            python = f"{match['major']}.{match['minor']}"
        target = cls(Architecture.parse(match["architecture"]), python)
        suite_for_python(python)
        return target

    @classmethod
    def parse_typed(cls, text: str, *, python: str = DEFAULT_PYTHON) -> Target:
        """Return the target that was typed behind `--target`, as `parse` does. Raises UsageError."""
        try:
            return cls.parse(text, python=python)
        except ConfigError as error:
            raise UsageError(f"--target: {error}", hint=error.hint) from error
