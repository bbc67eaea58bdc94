"""The user's home folder, and paths that begin with `~`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from incamera.errors import ConfigError


class NoSuchUser(ConfigError):
    """A path begins with `~NAME`, and the system knows no user of that name."""


def find_home(environment: Mapping[str, str]) -> Path:
    """Return the home folder: HOME where that is an absolute path, else the system's entry for this user.

    Raises ConfigError when there is neither, as in a container that runs as a user without a name.
    """
    home = environment.get("HOME", "")
    if os.path.isabs(home):  # noqa: PTH117 - each start asks, and a Path takes longer
        return Path(home)
    import pwd  # lazy: HOME is nearly always set

    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        raise ConfigError(
            f"there is no home folder: HOME is not set, and the system does not know the user {os.getuid()}",
            hint="set HOME to a folder that you can write",
        ) from None


def expand_home(path: str | Path, environment: Mapping[str, str] = os.environ) -> Path:
    """Return *path* with `~` or `~NAME` at its beginning replaced. Raises ConfigError when there is no such folder."""
    first, *rest = Path(path).parts or ("",)
    if first == "~":
        return find_home(environment).joinpath(*rest)
    if not first.startswith("~"):
        return Path(path)
    import pwd  # lazy: such paths are rare

    try:
        return Path(pwd.getpwnam(first[1:]).pw_dir).joinpath(*rest)
    except KeyError:
        raise NoSuchUser(f"{path}: there is no user {first[1:]}") from None
