"""Where in a device a bundle lies, and in what form."""

from __future__ import annotations

from enum import StrEnum


class Form(StrEnum):
    """`tree`: every file. Else the runtime is one file: mounted where it lies, or unpacked into RAM."""

    tree = "tree"
    squashfs = "squashfs"
    archive = "archive"


class Kind(StrEnum):
    """What a place is, as `--to` names it; a user's home is only taken where there is nothing else."""

    ram = "ram"
    package = "package"
    sdcard = "sdcard"
    share = "share"
    home = "home"


# What a user may wish for.
PLACES = (Kind.ram, Kind.package, Kind.sdcard, Kind.share)
