"""Copies the agent into a runtime. Every runtime has it, so that any app can be edited while it runs."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

import incamera_agent
from incamera.runtime.launcher import require_crash_module
from incamera.runtime.layout import PACKAGES
from incamera_agent.wire.protocol import ATTACH_VARIABLE, MODULE

# In a wheel beside the package incamera, in a checkout in a folder of its own.
PACKAGE = Path(incamera_agent.__path__[0])
# Python executes this line at every start: an app that is started with this variable can be attached to. The variable
# is removed, so that programs that the app starts do not inherit it.
_STARTER = f"{MODULE}.pth"
STARTER_TEXT = (
    f'import os; "{ATTACH_VARIABLE}" in os.environ and '
    f'__import__("{MODULE}.inapp.listener", fromlist=["begin"]).begin(os.environ.pop("{ATTACH_VARIABLE}"))\n'
)


def stage_agent(tree: Path, architecture: str) -> list[str]:
    """Copy the agent into the runtime in *tree*. Returns its modules' paths in *tree*, for byte-compiling."""
    import shutil  # lazy: start-up; an idle build stages nothing

    modules = _find_modules()
    (tree / PACKAGES / MODULE).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(require_crash_module(architecture), tree / PACKAGES / MODULE / CRASH_MODULE)
    for name, file in modules.items():
        target = tree / PACKAGES / MODULE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    (tree / PACKAGES / _STARTER).write_text(STARTER_TEXT, "utf-8")
    return [f"{PACKAGES}/{MODULE}/{name}" for name in modules]


# For every Python of the runtimes.
CRASH_MODULE = "_crash.abi3.so"
# Increase this when equal sources are staged or compiled in another way.
_FORMAT = 2


@cache
def agent_digest() -> str:
    """Return a hash of the agent's source, for cache keys. Read once in a process."""
    digest = hashlib.sha256(f"{_FORMAT} {STARTER_TEXT}".encode())
    for name, file in _find_modules().items():
        with open(file, "rb") as stream:  # noqa: PTH123
            content = stream.read()
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _find_modules() -> dict[str, str]:
    """Return each module's path within the package, and its file."""
    modules = {}
    # Not with pathlib: every command that builds needs the digest of all modules.
    for folder, _, files in os.walk(PACKAGE):
        prefix = folder.removeprefix(str(PACKAGE)).lstrip(os.sep).replace(os.sep, "/")
        for file in files:
            if file.endswith(".py"):
                modules[f"{prefix}/{file}".lstrip("/")] = os.path.join(folder, file)  # noqa: PTH118
    # In the order of their parts, as paths are sorted.
    return dict(sorted(modules.items(), key=lambda item: item[0].split("/")))
