"""The module search path of apps, and how a reload forgets the app's modules."""

from __future__ import annotations

import importlib
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

search_path: List[str] = []
"""`sys.path` as the interpreter made it, without the folder that the agent was started in."""


def save_search_path() -> None:
    """Set `search_path`, and make it this process's `sys.path`. Called once, before anything else is imported."""
    search_path[:] = sys.path[0 if getattr(sys.flags, "safe_path", False) else 1 :]
    sys.path[:] = search_path


def forget_modules(folder: str) -> None:
    """Forget the modules that were imported from *folder*, so that they are imported anew."""
    prefix = folder.rstrip("/") + "/"
    for name, module in list(sys.modules.items()):
        spec = getattr(module, "__spec__", None)
        places = [getattr(module, "__file__", None), getattr(spec, "origin", None)]
        places += list(getattr(spec, "submodule_search_locations", None) or ())
        if any(isinstance(place, str) and place.startswith(prefix) for place in places):
            del sys.modules[name]
    for place in [place for place in sys.path_importer_cache if f"{place}/".startswith(prefix)]:
        del sys.path_importer_cache[place]
    importlib.invalidate_caches()
    linecache = sys.modules.get("linecache")
    if linecache is not None:
        linecache.clearcache()
