"""Remedies that depend on what is audited: each is advice that whoever has such a file can follow."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from incamera.abi.subject import Shape

if TYPE_CHECKING:
    from incamera.abi.subject import Subject


class Source(StrEnum):
    """Where the audited files come from, and so who can change what about them."""

    project = "project"
    """A bundle: its project has settings for packages and libraries."""
    wheel = "wheel"
    package = "package"
    """An ACAP application (.eap), which is built with the vendor's SDK."""
    file = "file"
    """A folder or a single file."""


def source_of(subject: Subject) -> Source:
    if subject.shape is Shape.bundle:
        return Source.project
    if subject.shape is Shape.package:
        return Source.package
    return Source.wheel if subject.wheel is not None else Source.file


def container_of(subject: Subject) -> str:
    """Return what holds the files, as text: "the bundle"."""
    source = source_of(subject)
    return "the package" if source is Source.package else "the wheel" if source is Source.wheel else "the bundle"


def build_for(subject: Subject, target: object, *, path: str = "") -> str:
    """Return how to get a build for *target* (an architecture, or "the target") of the file at *path*."""
    source = source_of(subject)
    if source is Source.package:
        return f"use the package for {target}, or build it with the ACAP SDK for {target}"
    if source is Source.wheel:
        return f"use a wheel for {target}, or build one from the distribution's source"
    if source is Source.file:
        return f"build it for {target}"
    if path.startswith("app/"):
        return f"build it for {target}, in a project with a [build-system]"
    return f'build it for {target}: set its package to "sdist" in [tool.incamera.sources], or use a wheel for {target}'


def build_against_camera(subject: Subject, *, path: str = "") -> str:
    """Return how to get a build that needs no newer libraries than the camera and the bundle have."""
    source = source_of(subject)
    if source is Source.package:
        return "build it with the SDK for the camera's AXIS OS, or upgrade the camera"
    if source is Source.wheel:
        return "use a wheel that needs no newer libraries, or build one from the distribution's source"
    if source is Source.file:
        return "build it against the target's libraries"
    if path.startswith("app/"):
        return "build it for this target, in a project with a [build-system]"
    return 'set its package to "sdist" in [tool.incamera.sources], so that it is built for this target'


def bring_library(subject: Subject, name: str) -> str:
    """Return how to bring the library *name*, which neither side has."""
    source = source_of(subject)
    if source is Source.package:
        paths = (*subject.objects, *subject.links)
        beside = next((path for path in paths if path.rpartition("/")[2] == name), None)
        if beside:
            return f"link with -Wl,-rpath,'$ORIGIN/lib': the loader doesn't search the folder of {beside}"
        return "put it into lib/, and link with -Wl,-rpath,'$ORIGIN/lib'"
    if source is Source.wheel:
        return "use a wheel that contains it (auditwheel repair copies it into a wheel)"
    if source is Source.file:
        return "put it beside the file, and link with -Wl,-rpath,'$ORIGIN'"
    return "add the Debian package that has it to debs in [tool.incamera]"


def leave_out(subject: Subject, what: str) -> str:
    return f"leave {what} out of {container_of(subject)}; the loader finds the camera's"


def bring_opened_library(subject: Subject, name: str) -> str:
    """Return how to bring the library *name*, which Python code opens: no run path leads to such a one."""
    if source_of(subject) in (Source.package, Source.file):
        return "put it beside the Python file, and open it by its path"
    return bring_library(subject, name)


def recompile(subject: Subject, options: str, *, path: str = "") -> str:
    """Return how to get the file at *path* compiled with *options*. Who only has the finished file cannot do it."""
    source = source_of(subject)
    if source is Source.wheel:
        return f"use another version of the wheel, or build one from the distribution's source with {options}"
    if source is Source.project and not path.startswith("app/"):
        return f"use another version of its package, or a build of it with {options}"
    return f"build it with {options}"


def relink(subject: Subject, options: str, *, path: str = "") -> str:
    """Return how to get the file at *path* linked with *options*. Who only has the finished file cannot link it."""
    source = source_of(subject)
    if source is Source.wheel:
        return f"use another version of the wheel, or build one from the distribution's source, linked with {options}"
    if source is Source.project and not path.startswith("app/"):
        return f"use another version of its package, or a build of it that is linked with {options}"
    return f"link it with {options}"


def load_before(subject: Subject) -> str:
    """Return what to do where a library is found only if it was loaded before."""
    if source_of(subject) is Source.wheel:
        return "import the package as its documentation says: its code loads the libraries in the right order"
    return "load the library before the file that needs it, or link that with a run path to it ($ORIGIN)"
