"""Logins for registries that `docker login` or `podman login` has kept in a file."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from incamera.errors import ConfigError
from incamera.home import find_home
from incamera.http_auth import Login
from incamera.image_name import DEFAULT_REGISTRY

# In bytes.
_LONGEST = 1 << 20
# What Docker calls its own registry there.
_DOCKER_HUB = ("https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io")


def find_login(environment: Mapping[str, str], registry: str) -> Login | None:
    """Return the login for *registry* that Docker or podman has kept as text; None when there is none.

    One that a credential helper keeps is not asked for.
    """
    names = _DOCKER_HUB if registry == DEFAULT_REGISTRY else (registry, f"https://{registry}")
    for path in _files(environment):
        auths = _read(path).get("auths")
        entries = auths if isinstance(auths, dict) else {}
        for name in names:
            entry = entries.get(name)
            if isinstance(entry, dict) and (login := _parse(entry.get("auth"))) is not None:
                return login
    return None


def _files(environment: Mapping[str, str]) -> Iterator[Path]:
    if folder := environment.get("DOCKER_CONFIG"):
        yield Path(folder) / "config.json"
    else:
        with suppress(ConfigError):
            yield find_home(environment) / ".docker/config.json"
    if file := environment.get("REGISTRY_AUTH_FILE"):
        yield Path(file)
    elif folder := environment.get("XDG_RUNTIME_DIR"):
        yield Path(folder) / "containers/auth.json"


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            table = json.loads(stream.read(_LONGEST))
    except (OSError, ValueError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}


def _parse(auth: object) -> Login | None:
    if not isinstance(auth, str):
        return None
    try:
        user, colon, password = base64.b64decode(auth, validate=True).decode("utf-8").partition(":")
    except ValueError:
        return None
    return Login(user, password) if user and colon else None
