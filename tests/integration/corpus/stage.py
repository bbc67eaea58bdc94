"""The corpus on its way: into a bundle, into a camera, and what came of it there."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import shutil
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.runtime.bundle import link_tree
from incamera.transport.protocols import Program
from incamera.tree import list_tree

from .build import installed_name
from .cases import Case, How, generation_of

if TYPE_CHECKING:
    from incamera.runtime.bundle import Bundle
    from incamera.transport.session import Session

CASES = "app/cases"
_SECONDS = 300.0


def archive_of(corpus: Path, case: Case) -> Path | None:
    """Return the wheel or .eap that a case is."""
    if case.how is How.wheel:
        return corpus / "archives" / f"{case.name.replace('-', '_')}-1-{case.tag}.whl"
    return corpus / "archives" / f"{case.name}.eap" if case.how is How.eap else None


def stage_bundle(
    bundle: Bundle, corpus: Path, cases: Mapping[str, Case], folder: Path
) -> tuple[Bundle, dict[str, str]]:
    """Make *folder* a bundle like *bundle* with the cases in its app. Returns it, and why some cannot be unpacked."""
    link_tree(bundle.path, folder)
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    failed = {}
    for case in cases.values():
        place = folder / CASES / case.name
        archive = archive_of(corpus, case)
        if archive is None:
            shutil.copytree(corpus / "cases" / case.name, place, symlinks=True)
            continue
        try:
            _unpack(archive, place)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
            shutil.rmtree(place, ignore_errors=True)
            failed[case.name] = f"{archive.name} is not sound: {error}"
    for library in (corpus / "bundle-lib").iterdir():
        shutil.copy(library, folder / "lib" / library.name)
    (folder / "app" / "cases.json").write_text(
        json.dumps([_for_the_runner(case) for case in cases.values() if case.name not in failed])
    )
    known = {entry.path: entry for entry in bundle.entries}
    return dataclasses.replace(bundle, path=folder, entries=tuple(list_tree(folder, known))), failed


def _unpack(archive: Path, place: Path) -> None:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(place)
    else:
        with tarfile.open(archive, "r:gz") as eap:
            eap.extractall(place, filter="data")


def _for_the_runner(case: Case) -> dict[str, str]:
    place = f"cases/{case.name}"
    if case.how not in (How.extension, How.wheel):
        place += f"/{case.load or case.files[-1].path}"
    load = installed_name(case) if case.how is How.eap else case.load
    return {"name": case.name, "how": case.how, "path": place, "load": load}


def equip_camera(session: Session, corpus: Path, profile: str) -> None:
    """Put the stand-ins for the camera's own libraries where a camera has them."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for library in sorted((corpus / "camera" / generation_of(profile)).iterdir()):
            archive.add(library, library.name)
    session.require(
        Program(("tar", "-x", "-C", "/usr/lib", "-f", "-")), purpose="put libraries", input=output.getvalue()
    )


def load_cases_there(session: Session, root: str) -> dict[str, str | None]:
    """Return, for each case of the bundle that runs from *root*, what went wrong in the camera, or None."""
    program = Program((f"{root}/bin/python3", "runner.py"), folder=f"{root}/app")
    output = session.require(program, purpose="load the corpus", timeout=_SECONDS)
    found: dict[str, str | None] = json.loads(output)
    return {name: words and words.replace(os.linesep, " ") for name, words in found.items()}
