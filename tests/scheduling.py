"""Which tests pytest-xdist gives to the same worker, one after the other: those that share a virtual camera."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling

_PROFILE = re.compile(r"axis-os-\d+-\w+")
# Its tests keep connections, for which a store has one process, and some end that: they are one group for all cameras.
_HELD = "held"


class GroupScheduling(LoadScopeScheduling):  # type: ignore[misc]
    """Schedules the tests of a group as one piece of work. A unit test is a group of its own."""

    def _split_scope(self, nodeid: str) -> str:
        return find_group(nodeid)


def find_group(node_id: str) -> str:
    """Return the group of a test: those of one package or module that share a camera have the same.

    *node_id* is the test's, as pytest writes it. pytest-xdist's own groups (`--dist=loadgroup`) rename the tests, which
    pytest 9.2 does not allow.
    """
    path, _, rest = node_id.partition("::")
    folder, name = PurePosixPath(path).parent, PurePosixPath(path).name
    if "integration" not in folder.parts:
        return node_id
    if folder.name == _HELD:
        return str(folder)
    owner = name if folder.name == "integration" else str(folder)
    return " ".join([owner, *sorted(set(_PROFILE.findall(rest)))])
