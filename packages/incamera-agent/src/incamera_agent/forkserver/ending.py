"""The end of a fork: what the fork server has imported is left as it is.

When Python ends, it clears every module that it finds in `sys.modules`, and frees what they hold. In a fork, each page
of memory that is written to is copied first, so that takes longer than all the rest of a short run.
"""

from __future__ import annotations

import atexit
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List, Tuple

# Python itself needs them until the end.
_PYTHONS_OWN = ("sys", "builtins", "__main__", "_frozen_importlib", "_frozen_importlib_external")

_imported: List[Any] = []


class _Standin:
    """Stands for *module* in `sys.modules`: Python does not clear it, and whoever imports it finds the same in it."""

    def __init__(self, module: Any) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def register() -> None:
    """Have forks leave alone at their end what `keep_modules` finds.

    Call it before packages are imported: exit functions run in the reverse order, so this one is the last.
    """
    atexit.register(_hide_modules)


def keep_modules() -> None:
    """Keep the modules that are imported by now. Call it before `gc.freeze`."""
    kind = type(sys)
    found = [
        (name, module, _Standin(module))
        for name, module in sys.modules.items()
        if isinstance(module, kind) and name not in _PYTHONS_OWN
    ]
    # In a cycle that the garbage collector does not look at: so they are never freed.
    _imported[:] = [found, _imported]


def _hide_modules() -> None:
    if _imported:
        modules: List[Tuple[str, Any, Any]] = _imported[0]
        for name, module, standin in modules:
            if sys.modules.get(name) is module:
                sys.modules[name] = standin
