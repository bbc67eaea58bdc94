"""Make the headers in `include` of the tables in `data`: `python -m incamera.sdk.make_headers`."""

from __future__ import annotations

from pathlib import Path

from incamera.sdk.headers import render_headers
from incamera.sdk.tables import load_libraries

INCLUDE = Path(__file__).resolve().parent / "include"


def render() -> dict[str, str]:
    """Return the text of every header, by name."""
    texts: dict[str, str] = {}
    for library in load_libraries().values():
        texts |= render_headers(library)
    return texts


def main() -> None:
    """Write all headers, and remove those that no table has."""
    texts = render()
    for path in INCLUDE.rglob("*.h"):
        if path.relative_to(INCLUDE).as_posix() not in texts:
            path.unlink()
    for name, text in texts.items():
        path = INCLUDE / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
