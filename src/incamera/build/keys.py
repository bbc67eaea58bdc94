"""By what the store knows a runtime, a project's wheel and a bundle: a digest of all that goes into each.

Read at every start, also when nothing is to be done: so it imports none of what makes them.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from incamera.runtime import bundle, layout
from incamera.runtime.agent import agent_digest
from incamera.runtime.launcher import require_launcher

if TYPE_CHECKING:
    from incamera.project.lockfile import Lock
    from incamera.project.settings import Project
    from incamera.targets.target import Target

# Raise it when wheels made from the same files change.
_WHEEL_FORMAT = 1


def runtime_key(project: Project, lock: Lock) -> str:
    launcher = require_launcher(lock.target.architecture).read_bytes()
    inputs: list[object] = [layout.FORMAT, str(lock.target), lock.digest, sorted(project.keep), sorted(project.debs)]
    inputs.append(agent_digest())
    if any(item.source in ("sdist", "emulated") for item in lock.distributions):
        from incamera.build.sdists import built_keys
        from incamera.project.recipes import load_recipes

        inputs.append(built_keys(project, lock, load_recipes(lock.target.architecture, project.recipes)))
    return _key(inputs, launcher)


def wheel_key(project: Project, target: Target, app_digest: str) -> str:
    return _key([_WHEEL_FORMAT, str(target), project.compiler, app_digest])


def bundle_key(project: Project, lock: Lock, app_digest: str) -> str:
    settings = [bundle.FORMAT, project.name, project.version, project.entry.to_arguments(), project.compiler]
    return _key([settings, runtime_key(project, lock), app_digest])


def _key(inputs: object, more: bytes = b"") -> str:
    return hashlib.sha256(json.dumps(inputs).encode() + more).hexdigest()[:32]
