"""Cache keys of runtimes, wheels and bundles: each a digest of everything that goes into it.

An idle build computes them, too, so this module imports nothing that builds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from incamera.build.variables import project_variables, sdist_variables
from incamera.project.settings import BUILTIN_SDK
from incamera.runtime import bundle, layout
from incamera.runtime.agent import agent_digest
from incamera.runtime.launcher import require_crash_module, require_launcher
from incamera.sdk.digest import sdk_digest

if TYPE_CHECKING:
    from incamera.project.locked import Lock, LockedFile
    from incamera.project.recipes import Recipe
    from incamera.project.settings import Project
    from incamera.store import Store
    from incamera.targets.target import Target

# Increase these when wheels built from the same inputs change.
_PROJECT_WHEEL_FORMAT = 2
_SDIST_WHEEL_FORMAT = 2
# So many trees of a kind are kept: each change of an app, or of its packages, makes new ones.
MOST_KEPT = 50


def bundle_key(project: Project, lock: Lock, app_digest: str, environment: Mapping[str, str], sdk: str = "") -> str:
    """Return the key of the bundle of *project* with *lock*; *app_digest* is a digest of the app's files.

    *environment*, here and below, is the user's. *sdk* is what `sdk_key` returns.
    """
    arguments = project.entry.to_arguments() if project.entry is not None else []
    settings = [bundle.FORMAT, project.name, project.version, arguments, project.compiler]
    inputs: list[object] = [settings, runtime_key(project, lock, environment), app_digest]
    if project.has_build_system:
        inputs.append(project_wheel_key(project, lock, app_digest, environment, sdk))
        inputs.append(project.loose_files)
    return _digest(inputs)


def runtime_key(project: Project, lock: Lock, environment: Mapping[str, str]) -> str:
    """Return the key of the runtime of *lock*, with the settings of *project*."""
    programs = [require(lock.target.architecture) for require in (require_launcher, require_crash_module)]
    launcher = b"".join(program.read_bytes() for program in programs)
    inputs: list[object] = [layout.FORMAT, str(lock.target), lock.digest, sorted(project.keep), sorted(project.debs)]
    inputs.append(agent_digest())
    built = [item for item in lock.distributions if item.source in ("sdist", "emulated")]
    if built:
        from incamera.project.recipes import load_recipes  # lazy: most idle builds have no built wheels

        recipes = load_recipes(lock.target.architecture, project.recipes)
        wheels = []
        for item in built:
            assert item.file is not None
            recipe = recipes.find(item.name)
            build = [project.compiler, lock.build_digest(item.file.sha256), sdist_variables(environment)]
            wheels.append(sdist_wheel_key(lock.target, item.source, item.file, recipe, build))
        inputs.append(wheels)
    return _digest(inputs, launcher)


def sdist_wheel_key(target: Target, source: str, file: LockedFile, recipe: Recipe, build: Sequence[object]) -> str:
    """Return the key of the wheel that is built of the sdist *file*; *source* is "sdist" or "emulated".

    *build* is the compiler, a digest of what the build requires, and the user's variables that it gets.
    """
    inputs = [_SDIST_WHEEL_FORMAT, str(target), source, file.sha256, recipe.build_digest, *build]
    return _digest([*inputs, sdk_digest()] if file.is_own else inputs)


def project_wheel_key(
    project: Project, lock: Lock, app_digest: str, environment: Mapping[str, str], sdk: str = ""
) -> str:
    """Return the key of the project's own wheel; *app_digest* is a digest of the project's files."""
    inputs = [_PROJECT_WHEEL_FORMAT, str(lock.target), project.compiler, app_digest, lock.build_digest("")]
    return _digest([*inputs, project_variables(environment), sdk or sdk_digest()])


def sdk_key(store: Store, project: Project, target: Target) -> str:
    """Return which image of the vendor's SDK *project* is built against for *target*; nothing without one.

    Raises ConfigError when the store does not have it.
    """
    if project.sdk == BUILTIN_SDK or not project.has_build_system:
        return ""
    from incamera.build.vendor_sdk import require_sdk  # lazy: few projects name an image

    return require_sdk(store, project.sdk, target).key


def _digest(inputs: object, more: bytes = b"") -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode() + more).hexdigest()[:32]
