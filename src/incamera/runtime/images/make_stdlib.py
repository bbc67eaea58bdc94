"""Writes data/stdlib-X.Y.json: the imports of each module of the standard library, of which runtimes have no sources.

python -m incamera.runtime.images.make_stdlib X.Y FOLDER       (FOLDER: the sources, as in usr/lib/pythonX.Y)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from incamera.runtime.images.imports import find_imports

# Tools, tests and modules of other systems, which apps do not import.
_LEFT_OUT = ("test", "idlelib", "lib2to3", "tkinter", "turtledemo", "ensurepip", "venv", "pydoc_data", "config-")


def main() -> None:
    version, folder = sys.argv[1], Path(sys.argv[2])
    graph: dict[str, list[str]] = {}
    names = set()
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if not path.is_file() or parts[0].startswith(_LEFT_OUT) or "test" in parts or "-" in parts[0]:
            continue
        is_package = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if is_package else parts)
        names.add(module)
        graph[module] = find_imports(path.read_text("utf-8"), module, is_package=is_package)
    dynamic = {path.name.partition(".")[0] for path in folder.glob("lib-dynload/*.so")}
    known = names | dynamic
    kept = {module: [name for name in imports if name in known] for module, imports in graph.items()}
    lines = ",\n".join(f"{json.dumps(module)}: {json.dumps(found)}" for module, found in sorted(kept.items()) if found)
    Path(__file__).with_name("data").joinpath(f"stdlib-{version}.json").write_text(f"{{\n{lines}\n}}\n")


if __name__ == "__main__":
    main()
