"""Names of container images: `axisecp/acap-native-sdk:12.11.0-armv7hf-ubuntu24.04`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from incamera.digest import Sha256
from incamera.errors import ConfigError, UsageError

DEFAULT_REGISTRY = "docker.io"
EXAMPLE = "axisecp/acap-native-sdk:12.11.0-armv7hf-ubuntu24.04"

_DEFAULT_TAG = "latest"
# Of a repository with the registry, as registries limit it.
_LONGEST = 255
_PART = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*+"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*+")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_REGISTRY = re.compile(r"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*+|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
_LOOPBACK = re.compile(r"(?:localhost|127\.[0-9.]+|\[::1\])(?::[0-9]+)?")
# What a registry is called, and where its API is.
_HOSTS = {DEFAULT_REGISTRY: "registry-1.docker.io"}


@dataclass(frozen=True, slots=True)
class ImageName:
    """The name of an image. With a *digest*, only that very image is meant, whatever has its tag today."""

    registry: str
    repository: str
    tag: str
    digest: Sha256 | None = None

    def __str__(self) -> str:
        return f"{self.shown_repository}:{self.tag}" + (f"@sha256:{self.digest}" if self.digest else "")

    @property
    def shown_repository(self) -> str:
        """The repository as it is typed."""
        if self.registry != DEFAULT_REGISTRY:
            return f"{self.registry}/{self.repository}"
        return self.repository.removeprefix("library/")

    @property
    def url(self) -> str:
        """The address of the registry's API for the repository. Only on this computer, it may be unencrypted."""
        scheme = "http" if is_loopback(self.registry) else "https"
        return f"{scheme}://{_HOSTS.get(self.registry, self.registry)}/v2/{self.repository}"


def is_loopback(netloc: str) -> bool:
    """Whether *netloc*, a host with or without a port, is this computer."""
    return bool(_LOOPBACK.fullmatch(netloc))


def parse_image_name(text: str) -> ImageName:
    """Return the image that *text* names. Raises ConfigError when no image can have that name."""
    rest, at, digest = text.partition("@")
    first, slash, path = rest.partition("/")
    if slash and (set(first) & set(".:[") or first == "localhost"):
        registry, rest = first, path
    else:
        registry = DEFAULT_REGISTRY
    repository, colon, tag = rest.partition(":")
    if registry in ("index.docker.io", "registry-1.docker.io"):
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    is_name = (
        _REGISTRY.fullmatch(registry)
        and _REPOSITORY.fullmatch(repository)
        and len(registry) + len(repository) < _LONGEST
        and (not colon or _TAG.fullmatch(tag))
    )
    try:
        if not is_name:
            raise ValueError
        found = Sha256(digest.removeprefix("sha256:")) if at else None
    except ValueError:
        raise ConfigError(
            f'"{text[:_LONGEST]}" cannot be the name of an image', hint=f"write, for example, {EXAMPLE}"
        ) from None
    return ImageName(registry, repository, tag or _DEFAULT_TAG, found)


def parse_typed_name(text: str) -> ImageName:
    """Return the image that was typed, as `parse_image_name` does. Raises UsageError."""
    try:
        return parse_image_name(text)
    except ConfigError as error:
        raise UsageError(str(error), hint=error.hint) from error
