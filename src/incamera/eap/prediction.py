"""What a camera will answer to a package: decided before it is uploaded, by the rules of AXIS OS."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from incamera.eap.demands import check_demands, load_generations
from incamera.eap.manifest import Manifest
from incamera.eap.schema import check_manifest

if TYPE_CHECKING:
    from incamera.eap.summary import Summary

# The camera's error numbers: see vapix/application_errors.py.
NOT_SIGNED, OTHER_CAMERA, OTHER_CASE, BAD_ACCOUNT, BAD_MANIFEST = 2, 5, 14, 13, 29
_CODES = {"compatibleOsVersions": OTHER_CAMERA, "username": BAD_ACCOUNT}
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraState:
    """What decides in a camera: its AXIS OS and architecture, the installed apps with their versions.

    *takes_unsigned* is None where the camera has no such switch.
    """

    version: str
    architecture: str
    takes_unsigned: bool | None = None
    installed: Mapping[str, str] = field(default_factory=dict)

    @property
    def generation(self) -> str:
        return self.version.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be expected. *code* is the error number with which the camera refuses it; None for a mere note."""

    code: int | None
    text: str
    remedy: str


def predict(package: Summary, camera: CameraState) -> list[Verdict]:
    """Return what *camera* will answer to *package*; what it refuses comes first."""
    return sorted(_predict(package, camera), key=lambda verdict: verdict.code is None)


def _predict(package: Summary, camera: CameraState) -> Iterator[Verdict]:
    if package.architecture not in ("all", "", camera.architecture):
        yield Verdict(
            OTHER_CAMERA,
            f"the package is for {package.architecture}, and the camera is {camera.architecture}",
            f"install the package for {camera.architecture}",
        )
    if not package.is_signed and camera.takes_unsigned is False:
        yield Verdict(
            NOT_SIGNED,
            "the package is not signed, and the camera takes signed packages only",
            "turn AllowUnsigned on with --allow-unsigned, or have the package signed; for a virtual camera, "
            "`incamera virtual sign` signs",
        )
    for name, version in camera.installed.items():
        if name != package.name and name.lower() == package.name.lower():
            yield Verdict(
                OTHER_CASE,
                f"{name} is installed, which differs from {package.name} only in small and capital letters",
                f"choose another app-name, or uninstall {name}",
            )
        elif name == package.name and _numbers(version) > _numbers(package.version):
            yield Verdict(
                None,
                f"{name} {version} is installed, and this is {package.version}",
                "its settings and its localdata stay as the newer version has written them",
            )
    yield from _check_manifest(package, camera)


def _check_manifest(package: Summary, camera: CameraState) -> Iterator[Verdict]:
    if package.manifest is None:
        if camera.generation.isdecimal() and int(camera.generation) >= 13:
            yield Verdict(BAD_MANIFEST, "the package has no manifest.json", "make it anew with a manifest")
        return
    problems = check_manifest(package.manifest)
    if faults := [problem for problem in problems if not problem.is_unknown]:
        yield Verdict(BAD_MANIFEST, f"its manifest: {faults[0]}", "correct it, and pack it again")
        return
    if camera.generation in load_generations():
        manifest = Manifest(package.manifest, tuple(problems))
        for demand in check_demands(manifest, camera.generation, version=camera.version):
            if demand.is_broken:
                key = demand.key.rpartition(".")[2]
                yield Verdict(_CODES.get(key, BAD_MANIFEST), str(demand), demand.remedy)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number[:9]) for number in _NUMBER.findall(version)[:3])
