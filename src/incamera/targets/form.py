"""In which form, and in which kind of place, a bundle is stored on a device."""

from __future__ import annotations

from enum import StrEnum


class Form(StrEnum):
    """`tree`: each file by itself. `squashfs`: one image, which is mounted. `archive`: one file, unpacked into RAM."""

    tree = "tree"
    squashfs = "squashfs"
    archive = "archive"


class Kind(StrEnum):
    """The kinds of places, as `--to` names them. `home` cannot be chosen: it is the last resort."""

    ram = "ram"
    package = "package"
    sdcard = "sdcard"
    share = "share"
    home = "home"


# Those that a user can choose.
PLACES = (Kind.ram, Kind.package, Kind.sdcard, Kind.share)
