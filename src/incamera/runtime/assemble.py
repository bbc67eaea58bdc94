"""Completes a runtime in a tree of unpacked packages: its libraries, its certificates, the launcher."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.disk import remove_tree
from incamera.errors import BuildError
from incamera.runtime import layout
from incamera.runtime.libraries import collect_libraries, find_elf_files, index_libraries, link_duplicates
from incamera.runtime.missing import Missing, write_missing

if TYPE_CHECKING:
    from incamera.targets.target import Target

_CERTIFICATES = "etc/ssl/cert.pem"


def assemble_runtime(
    tree: Path, target: Target, launcher: Path, extra_libraries: Sequence[str] = ()
) -> tuple[Missing, ...]:
    """Complete the runtime in *tree*, into which packages were unpacked as `layout.plan_layout` says.

    *launcher*: the static launcher for the target's architecture. *extra_libraries*: the file names of libraries that
    no file needs, but the user wants. Returns the libraries that are missing. Raises BuildError when there is no
    interpreter, or an ELF file is damaged.
    """
    if not (tree / layout.interpreter(target)).is_file():
        raise BuildError(f"the Debian packages for {target} have no {layout.interpreter(target)}")
    facts = target.architecture.facts
    # Not only the modules: wheels put libraries into other folders, too.
    folders = sorted(path.name for path in tree.iterdir() if path.is_dir() and path.name not in (".staged", "bin"))
    roots = find_elf_files(tree, folders)
    extra = [facts.loader, "libc.so.6", *layout.always_included(), *extra_libraries]
    collected = collect_libraries(tree, roots, index_libraries(tree / layout.STAGED_LIBRARIES), extra)
    link_duplicates(tree / "lib", layout.duplicate_libraries())
    _join_certificates(tree)
    remove_tree(tree / ".staged")
    _install_launcher(tree, target, launcher)
    write_missing(tree, collected.missing)
    (tree / layout.LIBRARY_NAMES).write_text(json.dumps(collected.real_names, indent=0, sort_keys=True) + "\n", "utf-8")
    _set_modes(tree, {f"lib/{facts.loader}", layout.interpreter(target)})
    return collected.missing


def _join_certificates(tree: Path) -> None:
    """Write all certificate authorities into one file, as update-ca-certificates does."""
    certificates = sorted((tree / layout.STAGED_CERTIFICATES).glob("*.crt"))
    if certificates:
        joined = tree / _CERTIFICATES
        joined.parent.mkdir(parents=True, exist_ok=True)
        joined.write_bytes(b"".join(certificate.read_bytes() for certificate in certificates))


def _install_launcher(tree: Path, target: Target, launcher: Path) -> None:
    (tree / "bin").mkdir(exist_ok=True)
    shutil.copyfile(launcher, tree / "bin" / "python3")
    shutil.copyfile(launcher, tree / "bin" / "incamera-guard")
    for name in ("python", f"python{target.python}"):
        (tree / "bin" / name).symlink_to("python3")
    (tree / "etc").mkdir(exist_ok=True)
    (tree / "etc" / "launcher").write_text(
        f"program {layout.interpreter(target)}\n"
        f"loader lib/{target.architecture.facts.loader}\n"
        "libraries lib\n"
        f"env SSL_CERT_FILE {_CERTIFICATES}\n"
        "env PYTHONTZPATH share/zoneinfo\n"
        "env TERMINFO_DIRS share/terminfo\n"
    )


def _set_modes(tree: Path, programs: set[str]) -> None:
    for path in tree.rglob("*"):
        if path.is_file() and not path.is_symlink():
            relative = path.relative_to(tree).as_posix()
            # Packages have programs of their own, as imageio-ffmpeg.
            is_program = relative in programs or relative.startswith("bin/") or path.stat().st_mode & 0o100
            path.chmod(0o555 if is_program else 0o444)
