"""The user's environment variables that builds get. They belong to the cache keys, so this module imports little."""

from __future__ import annotations

from collections.abc import Mapping

# For every build.
_FOR_ALL = ("SOURCE_DATE_EPOCH",)
# For the distributions whose name they have at their end: https://setuptools-scm.readthedocs.io/en/latest/overrides/
_FOR_NAMED = (
    "SETUPTOOLS_SCM_PRETEND_VERSION_FOR_",
    "SETUPTOOLS_SCM_PRETEND_METADATA_FOR_",
    "SETUPTOOLS_SCM_OVERRIDES_FOR_",
    # Read by all tools that are made of vcs-versioning, as setuptools-scm is since version 10.
    "VCS_VERSIONING_PRETEND_VERSION_FOR_",
    "VCS_VERSIONING_PRETEND_METADATA_FOR_",
    "VCS_VERSIONING_OVERRIDES_FOR_",
)
# For the project's own build. An sdist knows its version, and would take that of the project for its own.
_FOR_PROJECT = (
    *("SETUPTOOLS_SCM_PRETEND_VERSION", "SETUPTOOLS_SCM_PRETEND_METADATA"),  # also read by hatch-vcs
    *("VCS_VERSIONING_PRETEND_VERSION", "VCS_VERSIONING_PRETEND_METADATA"),
    "PBR_VERSION",
    "PDM_BUILD_SCM_VERSION",
    *("POETRY_DYNAMIC_VERSIONING_BYPASS", "POETRY_DYNAMIC_VERSIONING_OVERRIDE"),
    "UV_DYNAMIC_VERSIONING_BYPASS",
)
# With these, tools that ask git for a version take this one.
_VERSIONS = (
    *("SETUPTOOLS_SCM_PRETEND_VERSION", "PBR_VERSION", "PDM_BUILD_SCM_VERSION"),
    *("POETRY_DYNAMIC_VERSIONING_BYPASS", "UV_DYNAMIC_VERSIONING_BYPASS"),
)


def sdist_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables in *environment* for the build of an sdist."""
    return {key: value for key, value in environment.items() if value and key.startswith((*_FOR_ALL, *_FOR_NAMED))}


def project_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables in *environment* for the build of the project itself."""
    own = {key: value for key, value in environment.items() if value and key in _FOR_PROJECT}
    return sdist_variables(environment) | own


def version_variables(version: str) -> dict[str, str]:
    """Return the variables that tell tools the *version* of an archive from which git would have told it."""
    return dict.fromkeys(_VERSIONS, version)
