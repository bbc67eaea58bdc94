"""Cache keys for runtimes, wheels and bundles: a digest of all that goes into each.

Every start computes them, even when nothing is to be done. So this module imports none of what makes them.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from incamera.runtime import bundle, layout
from incamera.runtime.agent import agent_digest
from incamera.runtime.launcher import require_launcher

if TYPE_CHECKING:
    from incamera.project.lockfile import Lock, LockedFile
    from incamera.project.recipes import Recipe
    from incamera.project.settings import Project
    from incamera.targets.target import Target

# Raise it when the project's wheel, made from the same files, changes.
_PROJECT_WHEEL_FORMAT = 1
# Raise it when wheels built from the same sdist and recipe change.
_SDIST_WHEEL_FORMAT = 1


def runtime_key(project: Project, lock: Lock) -> str:
    launcher = require_launcher(lock.target.architecture).read_bytes()
    inputs: list[object] = [layout.FORMAT, str(lock.target), lock.digest, sorted(project.keep), sorted(project.debs)]
    inputs.append(agent_digest())
    built = [item for item in lock.distributions if item.source in ("sdist", "emulated")]
    if built:
        from incamera.project.recipes import load_recipes  # lazy: few locks have sdists

        recipes = load_recipes(lock.target.architecture, project.recipes)
        keys = []
        for item in built:
            assert item.file is not None
            recipe = recipes.find(item.name)
            keys.append(sdist_wheel_key(item.file, item.source, recipe, lock.target, project.compiler))
        inputs.append(keys)
    return _key(inputs, launcher)


def sdist_wheel_key(file: LockedFile, source: str, recipe: Recipe, target: Target, compiler: str) -> str:
    """Return the key of the wheel that is built from the sdist *file*; *source*: "sdist" or "emulated"."""
    return _key([_SDIST_WHEEL_FORMAT, str(target), source, file.sha256, recipe.build_digest, compiler])


def project_wheel_key(project: Project, target: Target, app_digest: str) -> str:
    """Return the key of the project's own wheel."""
    return _key([_PROJECT_WHEEL_FORMAT, str(target), project.compiler, app_digest])


def bundle_key(project: Project, lock: Lock, app_digest: str) -> str:
    settings = [bundle.FORMAT, project.name, project.version, project.entry.to_arguments(), project.compiler]
    return _key([settings, runtime_key(project, lock), app_digest])


def _key(inputs: object, more: bytes = b"") -> str:
    return hashlib.sha256(json.dumps(inputs).encode() + more).hexdigest()[:32]
