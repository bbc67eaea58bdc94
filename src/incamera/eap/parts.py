"""The parts of which a package consists, for tables of sizes."""

from __future__ import annotations

from incamera.eap.start import BUNDLE


def part_of(path: str, *, is_ours: bool = True) -> str:
    """Return the part of a package to which the file *path* belongs.

    A package that incamera made (*is_ours*) has a bundle, whose parts are known by their places.
    """
    words = path.split("/")
    if words[0] != BUNDLE or len(words) < 3 or not is_ours:
        return words[0] if len(words) > 1 else "manifest and scripts" if is_ours else "files at the top"
    if words[1] == "app":
        return "the app"
    if "dist-packages" in words:
        return "packages"
    if words[1] == "lib" and len(words) > 3:
        return "standard library"
    return "interpreter and libraries" if words[1] in ("bin", "lib", "libexec") else "data of the runtime"
