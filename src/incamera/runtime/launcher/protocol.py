"""What the host and the guard on a device have in common.

Made by make_protocol.py of protocol.toml: change that, and run `python make_protocol.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Final

from incamera.runtime.launcher.answer_fields import Fields


class ExitCode(IntEnum):
    """How the guard and the launcher end, when they do not succeed."""

    failed = 1
    """Anything else; standard error says what."""
    usage = 2
    """The guard did not understand its arguments or its input."""
    damaged = 3
    """Not all files arrived as the listing describes them."""
    no_space = 4
    """The place has no space left."""
    busy = 5
    """Another deploy did not end in time."""
    interrupted = 6
    """The host's end of the connection was closed, or it was silent for too long."""
    cannot_mount = 7
    """The kernel cannot mount the image."""
    unreachable = 8
    """The place does not answer: a card was pulled, or a share's server is away."""
    image_missing = 9
    """The runtime that the bundle names is not there."""
    taken = 11
    """Another user owns a folder that the guard needs."""
    image_damaged = 12
    """The bundle or its image is incomplete, or is not what its name says."""
    no_memory = 13
    """There is too little RAM for the unpacked bundle."""
    locked = 14
    """Another process has changed the folders of links for a minute."""
    read_only = 15
    """The place is mounted read-only."""
    not_seen = 16
    """The bundle that another computer wrote to the share did not appear here in time."""
    no_guard = 99
    """There is no guard. This is from the shell text that starts it."""
    run_ended = 125
    """The run was ended before its program could start."""
    cannot_execute = 126
    """The program is there but cannot be executed."""
    not_found = 127
    """The program, or a part of the bundle that it needs, is not there."""


class Verb(StrEnum):
    """What the guard is asked to do: its first argument."""

    run = "run"
    """Write down who runs, and become the app."""
    supervise = "supervise"
    """End the app and all its processes when the host is gone."""
    receive = "receive"
    """Receive a bundle or a runtime: only what the device lacks."""
    tidy = "tidy"
    """Remove the bundles and runtimes that are not needed any more."""
    adopt = "adopt"
    """Activate a bundle that another computer wrote into a share that is mounted here."""
    verify = "verify"
    """Compare the files of a bundle with its listing."""
    activate = "activate"
    """Mount or unpack the runtime of a bundle, and make the folder of links that it runs from."""
    deactivate = "deactivate"
    """Undo that for every bundle that no process runs from."""
    list = "list"
    """List what has been activated."""
    try_images = "try-images"
    """Try which kinds of images the kernel mounts."""
    measure = "measure"
    """Measure how fast a place is written and read."""
    connect = "connect"
    """Connect standard input and output to a socket."""
    mount = "mount"
    """Mount a network share."""
    unmount = "unmount"
    """Unmount a network share."""
    allow_exec = "allow-exec"
    """Let programs run on a card that is mounted noexec."""
    processes = "processes"
    """List the processes of our runs, and what they use."""
    end = "end"
    """End processes: politely, then firmly."""
    sockets = "sockets"
    """List the sockets through which running apps answer."""
    make_folder = "make-folder"
    """Make a folder in /tmp for the time of a session."""
    show = "show"
    """Have an app's working folder show the files of a bundle, or of an edited copy."""
    copy_folder = "copy-folder"
    """Copy a folder there, as hard links."""
    remove_folder = "remove-folder"
    """Remove a folder there."""
    look = "look"
    """List what is in a folder of an app."""
    read = "read"
    """Send a file of an app."""
    write = "write"
    """Receive a file into a folder of an app."""
    erase = "erase"
    """Remove a file or a folder of an app."""


IMAGES: Final = ".images"
"""The folder of runtimes, beside those of the apps."""
ENTRIES: Final = ".incamera-entries"
"""In a bundle: its listing."""
CURRENT: Final = "current"
"""In an app's folder: a link to its newest bundle."""
GUARDS: Final = ".guard"
"""The folder of guards, beside those of the apps."""
GUARD: Final = "incamera-guard"
"""What the name of the guard begins with. A program of another name is the launcher."""
ROOTS: Final = "/tmp/incamera-roots"
"""The folder of the bundles' folders of links."""
RAM_IMAGES: Final = "/tmp/incamera-images"
"""The folder of mounted and unpacked runtimes."""
OWN_FOLDER: Final = "/tmp/incamera-"
"""What the paths of our folders for the time of a session begin with."""
RUN_FOLDER: Final = "/tmp/incamera-run-"
"""What the path of a run's folder begins with."""
AGENTS_FOLDER: Final = "/tmp/incamera-agent"
"""The folder of the agents' sockets, each in a folder of the app's name."""
OWN_SUFFIX: Final = "-u"
"""With the number of our user: the end of a folder's name where another user has taken the name without it."""
RUN_VARIABLE: Final = "INCAMERA_RUN"
"""The environment variable that names the run a process belongs to."""
SUBREAPER_VARIABLE: Final = "INCAMERA_SUBREAPER"
"""The environment variable that makes Python adopt orphans."""
DATA_VARIABLE: Final = "INCAMERA_DATA"
"""The environment variable with the folder in which an app keeps its data."""
WORK_VARIABLE: Final = "INCAMERA_WORK"
"""The environment variable that names the folder of an app's working folder. The guard removes it."""
WORK_FOLDERS: Final = ".work"
"""The folder of the apps' working folders, beside those of the apps."""
WORK_FILES: Final = "files"
"""In it, for each app: a link to the folder of the app's files."""
WORK_APP: Final = "app"
"""Beside that: the folder that the app works in."""
DATA_FOLDERS: Final = ".data"
"""The folder of the apps' data, beside those of the apps."""
PARTIAL_PREFIX: Final = ".incamera-part-"
"""What the name of a file begins with that has not arrived whole; the start of its digest follows."""
NETWORK_TYPES: Final = "ff534d42 fe534d42 517b 6969 65735546 1021997"
"""File systems of shares, as statfs numbers them: SMB by any of its names, NFS, FUSE, 9P."""
FAT_TYPES: Final = "4d44 2011bab0"
"""File systems that have no owners: FAT and exFAT."""
STAMP: Final = 946684800
"""The time of change that a checked file gets, in seconds since 1970."""
SILENCE_MS: Final = 30000
"""A host that sends nothing for so long is gone."""
SUPERVISE_TIMEOUT_MS: Final = 15000
"""A run ends when its host has sent nothing for so long."""
GRACE_MS: Final = 3000
"""So long an app has between SIGTERM and SIGKILL."""
SPACE_MARGIN: Final = 1048576
"""What is left free of a place, in bytes: for folders and the listing."""
RAM_RESERVE: Final = 67108864
"""The least RAM that the camera keeps for itself, in bytes."""
RAM_RESERVE_PART: Final = 4
"""The part of all RAM that the camera keeps for itself: a quarter, if that is more."""
ENTRY_FILE: Final = "f"
ENTRY_EXECUTABLE: Final = "x"
ENTRY_LINK: Final = "l"


class Answer(Fields):
    """What a verb of the guard prints: one JSON object of one of the kinds below."""


class ListedRoot(Fields):
    """A folder of links."""

    name: str
    """The name of the bundle."""
    bundle: str | None
    """The folder that holds the bundle. None: the folder of links is not whole."""
    used: bool
    """Whether a process runs from it."""


class ListedImage(Fields):
    """A runtime that was mounted or unpacked."""

    name: str
    """The digest of the runtime."""
    mounted: bool
    """Whether it is mounted. Otherwise it is unpacked."""
    used: bool
    """Whether a process uses it."""


class Process(Fields):
    """A process of a run, or a guard."""

    pid: int
    """Its number."""
    parent: int
    """The number of its parent."""
    run: str
    """The name of its run. Empty for a guard."""
    arguments: tuple[str, ...]
    """Its command line, the program first."""
    folder: str
    """Its working directory. Empty where that cannot be read."""
    state: str
    """The letter of its state: R, S, D, T, Z …"""
    ticks: int
    """The processor time that it has used, in hundredths of a second."""
    threads: int
    """How many it has."""
    began: int
    """When it began, in hundredths of a second since the device started."""
    resident: int | None
    """The RAM that it uses, in bytes. None: it has no memory of its own any more."""
    peak: int | None
    """The most that it has used."""
    proportional: int | None
    """The same, with shared pages counted in parts. None where the kernel does not tell."""
    files: int
    """How many descriptors it has open."""


class Activated(Answer):
    """activate, receive, adopt: the bundle can be started."""

    root: str
    """The folder that it runs from."""


class Listed(Answer):
    """list: what has been activated."""

    roots: tuple[ListedRoot, ...]
    """The folders of links that bundles run from."""
    images: tuple[ListedImage, ...]
    """The runtimes in RAM_IMAGES."""


class Tried(Answer):
    """try-images: which images the kernel mounts."""

    squashfs: tuple[str, ...]
    """The compressions that it can read."""
    problem: str | None
    """Why it mounts none."""
    passing: bool
    """Whether that may be different in a minute."""


class Measured(Answer):
    """measure: how fast a place is."""

    write: int | None
    """Bytes a second. None: it could not be written."""
    read: int | None
    """Bytes a second. None: it could not be read."""


class Verified(Answer):
    """verify: how a bundle differs from its listing."""

    changed: tuple[str, ...]
    """The paths of files and links that differ."""


class Mounted(Answer):
    """mount, unmount, allow-exec: how it ended."""

    error: int
    """The kernel's error number. 0: success."""
    problem: str | None
    """What went wrong."""


class Sample(Answer):
    """processes: what runs for us at one moment."""

    uptime: int
    """Milliseconds since the device started."""
    total: int
    """RAM in bytes."""
    free: int
    """RAM in bytes that is not in use, or holds what can be read again."""
    processes: tuple[Process, ...]
    """In no order."""


class Copied(Answer):
    """copy-folder: the copy is complete."""

    path: str
    """Where it is: another path than was asked for where another user has taken that."""


class Found(Answer):
    """look: one entry of a folder."""

    path: str
    """Its path below what was asked for. Empty: that itself."""
    type: str
    """f for a file, d for a folder, l for a link, o for anything else."""
    size: int
    """The bytes in the file."""
    stored: int
    """The bytes that it takes on the disk."""
    changed: int
    """When it was changed last, in seconds since 1970."""
    mode: int
    """Who may do what with it, as chmod has it."""


class Sending(Answer):
    """read: the bytes of the file follow."""

    size: int
    """How many bytes the file has."""
    offset: int
    """The first byte that follows."""
    mode: int
    """Who may do what with it, as chmod has it."""


class Sent(Answer):
    """read: all of the file was sent."""

    digest: str
    """The sha256 of the whole file."""


class Resumed(Answer):
    """write: the bytes of the file may be sent."""

    offset: int
    """The first byte that is missing."""


class Written(Answer):
    """write: the file is there, whole."""

    digest: str
    """The sha256 of the whole file."""


class Left(Answer):
    """end: which processes could not be ended."""

    processes: tuple[int, ...]
    """Their numbers."""


class Sockets(Answer):
    """sockets: where running apps answer."""

    paths: tuple[str, ...]
    """The newest first."""


class Ready(Answer):
    """supervise: from now on the run is ended when its host is gone."""


class Exited(Answer):
    """supervise: the run's first process has ended. Its children may go on."""


class Ended(Answer):
    """supervise: the run has been ended."""

    count: int
    """How many processes were ended."""
    left: int
    """How many of them are left."""
    peak: int
    """The most memory, in bytes, that the run's first process was seen to use. 0: not known."""
    out_of_memory: bool
    """Whether the kernel has killed a process for lack of memory meanwhile."""


class Waiting(Answer):
    """receive: another deploy is under way. Comes once a second."""

    owner: str
    """Who deploys. Empty where that is not known."""
    app: str
    """The other deploy's app. Empty: the same app."""
    seconds: int
    """How long the other deploy has been under way."""


class Wanted(Answer):
    """receive: what the device lacks. The host sends the rest of the image, then archives."""

    missing: tuple[tuple[int, ...], ...]
    """The first and the last number of consecutive entries in the listing."""
    free: int | None
    """The free space in bytes. None where that is not known."""
    packings: tuple[str, ...]
    """How archives can be compressed so that they are unpacked here: gzip, xz."""
    image_from: int | None
    """The first byte of the image that is missing. None: the image is not missing."""


class Complete(Answer):
    """receive: all of the bundle is there."""

    previous: str
    """The bundle that was the newest one before. Empty: the same one, or none."""
    repaired: bool
    """Whether something there was damaged, and has been replaced."""


# Each kind's class, and the types of its fields.
PARTS: Final[Mapping[str, tuple[type[object], Mapping[str, str]]]] = {
    "listed_root": (ListedRoot, {"name": "text", "bundle": "text?", "used": "flag"}),
    "listed_image": (ListedImage, {"name": "text", "mounted": "flag", "used": "flag"}),
    "process": (
        Process,
        {
            "pid": "number",
            "parent": "number",
            "run": "text",
            "arguments": "[text]",
            "folder": "text",
            "state": "text",
            "ticks": "number",
            "threads": "number",
            "began": "number",
            "resident": "number?",
            "peak": "number?",
            "proportional": "number?",
            "files": "number",
        },
    ),
}
ANSWERS: Final[Mapping[str, tuple[type[Answer], Mapping[str, str]]]] = {
    "activated": (Activated, {"root": "text"}),
    "listed": (Listed, {"roots": "[listed_root]", "images": "[listed_image]"}),
    "tried": (Tried, {"squashfs": "[text]", "problem": "text?", "passing": "flag"}),
    "measured": (Measured, {"write": "number?", "read": "number?"}),
    "verified": (Verified, {"changed": "[text]"}),
    "mounted": (Mounted, {"error": "number", "problem": "text?"}),
    "sample": (Sample, {"uptime": "number", "total": "number", "free": "number", "processes": "[process]"}),
    "copied": (Copied, {"path": "text"}),
    "found": (
        Found,
        {
            "path": "text",
            "type": "text",
            "size": "number",
            "stored": "number",
            "changed": "number",
            "mode": "number",
        },
    ),
    "sending": (Sending, {"size": "number", "offset": "number", "mode": "number"}),
    "sent": (Sent, {"digest": "text"}),
    "resumed": (Resumed, {"offset": "number"}),
    "written": (Written, {"digest": "text"}),
    "left": (Left, {"processes": "[number]"}),
    "sockets": (Sockets, {"paths": "[text]"}),
    "ready": (Ready, {}),
    "exited": (Exited, {}),
    "ended": (Ended, {"count": "number", "left": "number", "peak": "number", "out_of_memory": "flag"}),
    "waiting": (Waiting, {"owner": "text", "app": "text", "seconds": "number"}),
    "wanted": (Wanted, {"missing": "[[number]]", "free": "number?", "packings": "[text]", "image_from": "number?"}),
    "complete": (Complete, {"previous": "text", "repaired": "flag"}),
}
