"""The agent's files, which every runtime brings along, so that any bundle can be edited where it runs."""

from __future__ import annotations

import hashlib
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from incamera.errors import BuildError
from incamera.runtime.layout import PACKAGES

AGENT = "incamera_agent"
# Python executes this line at every start: an app that is started with this setting can be attached to.
_STARTER = "incamera_agent.pth"
STARTER_TEXT = (
    'import os; "INCAMERA_ATTACH" in os.environ and __import__("incamera_agent.door", fromlist=["begin"]).begin()\n'
)


def stage_agent(tree: Path) -> list[str]:
    """Put the agent into the runtime in *tree*. Returns its files, for byte-compiling."""
    folder = tree / PACKAGES / AGENT
    folder.mkdir(parents=True)
    files = _files()
    for file in files:
        shutil.copyfile(file, folder / file.name)
    (tree / PACKAGES / _STARTER).write_text(STARTER_TEXT, "utf-8")
    return [f"{PACKAGES}/{AGENT}/{file.name}" for file in files]


@cache
def agent_digest() -> str:
    """Return what tells one agent from another."""
    digest = hashlib.sha256(STARTER_TEXT.encode())
    for file in _files():
        content = file.read_bytes()
        digest.update(f"{file.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _files() -> list[Path]:
    # Found as a package, never imported: beside ours in a wheel, in its own folder in a checkout.
    spec = find_spec(AGENT)
    if spec is None or not spec.submodule_search_locations:
        raise BuildError(f"{AGENT}, which is a part of incamera, is missing", hint="install incamera again")
    return sorted(Path(spec.submodule_search_locations[0]).glob("*.py"))
