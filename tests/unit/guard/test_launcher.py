"""The launcher starts the bundle's program through the loader that the bundle names, from any folder."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from incamera.errors import InCameraError
from incamera.runtime.launcher import require_launcher
from incamera.runtime.launcher.protocol import ExitCode
from incamera.targets.architecture import Architecture

pytestmark = pytest.mark.starts_processes

_LOADERS = {"x86_64": "/lib64/ld-linux-x86-64.so.2", "aarch64": "/lib/ld-linux-aarch64.so.1"}
LOADER = Path(_LOADERS[platform.machine()])


@pytest.fixture
def bundle(tmp_path: Path, launcher: Path) -> Path:
    """A bundle whose program is a shell, started through a copy of this computer's loader."""
    root = tmp_path / "some place" / "bundle"
    for name in ("bin", "etc", "lib", "libexec"):
        (root / name).mkdir(parents=True)
    shutil.copy(launcher, root / "bin" / "python3")
    (root / "bin" / "python").symlink_to("python3")
    shutil.copy("/bin/sh", root / "libexec" / "program")
    shutil.copy(LOADER, root / "lib" / "loader")
    (root / "etc" / "launcher").write_text(
        "# a remark\nprogram libexec/program\nloader lib/loader\nlibraries lib:usr/lib\nenv WHERE etc/launcher\n"
    )
    return root


def start(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start *command*; one of a single word is told to describe itself."""
    describe = ["-c", 'echo "$0|$*|$WHERE|${LD_LIBRARY_PATH-unset}"; tr "\\0" " " < /proc/$$/cmdline']
    return subprocess.run(
        [*command, *(describe if len(command) == 1 else [])],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_program_is_started_through_the_loader(bundle: Path) -> None:
    done = start(bundle / "bin" / "python3")
    first, second = done.stdout.splitlines()
    assert first == f"{bundle}/bin/python3||{bundle}/etc/launcher|unset"
    assert second.startswith(f"{bundle}/lib/loader --library-path {bundle}/lib:{bundle}/usr/lib --argv0 ")


def test_link_outside_the_bundle_starts_the_bundle(bundle: Path, tmp_path: Path) -> None:
    link = tmp_path / "my-python"
    link.symlink_to(bundle / "bin" / "python3")
    assert start(link).stdout.startswith(f"{bundle}/bin/python3|")


def test_name_of_a_link_in_the_bundle_is_kept(bundle: Path) -> None:
    assert start(bundle / "bin" / "python").stdout.startswith(f"{bundle}/bin/python|")


def test_launcher_works_through_path_and_from_any_folder(bundle: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", "python3 -c 'echo $0'; cd bin && ./python3 -c 'echo $0'"],
        cwd=bundle,
        env={"PATH": f"{bundle}/bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [f"{bundle}/bin/python3"] * 2


def test_arguments_and_exit_code_are_passed_on(bundle: Path) -> None:
    done = start(bundle / "bin" / "python3", "-c", 'echo "$1"; exit 7', "x", "a b")
    assert (done.stdout, done.returncode) == ("a b\n", 7)


def test_environment_variable_that_is_set_is_not_changed(bundle: Path) -> None:
    assert "|mine|" in start(bundle / "bin" / "python3", WHERE="mine").stdout


def test_settings_of_the_device_override_those_of_the_bundle(bundle: Path) -> None:
    (bundle / "device").mkdir()
    (bundle / "device" / "launcher").write_text(f"loader {LOADER}\nlibraries device/lib:lib:/usr/lib\n")
    command = start(bundle / "bin" / "python3").stdout.splitlines()[1]
    assert command.startswith(f"{LOADER} --library-path {bundle}/device/lib:{bundle}/lib:/usr/lib --argv0")


@pytest.mark.parametrize("missing", ["etc/launcher", "libexec/program", "lib/loader"])
def test_missing_file_is_named(bundle: Path, missing: str) -> None:
    (bundle / missing).unlink()
    done = start(bundle / "bin" / "python3")
    assert done.returncode == ExitCode.not_found
    assert f"{bundle}/{missing}: No such file" in done.stderr


def test_loader_that_cannot_be_executed_is_named(bundle: Path) -> None:
    (bundle / "lib" / "loader").chmod(0o644)
    done = start(bundle / "bin" / "python3")
    assert done.returncode == ExitCode.cannot_execute
    assert "noexec" in done.stderr


@pytest.mark.parametrize("line", ["wrong thing", "loader", "env NAME"])
def test_unknown_or_empty_setting_is_refused(bundle: Path, line: str) -> None:
    with (bundle / "etc" / "launcher").open("a") as stream:
        stream.write(line + "\n")
    done = start(bundle / "bin" / "python3")
    assert done.returncode == ExitCode.not_found
    assert "setting" in done.stderr


@pytest.mark.parametrize("architecture", [*Architecture, "x86_64"])
def test_launcher_of_each_architecture_is_small_and_static(architecture: str) -> None:
    from elftools.elf.elffile import ELFFile

    path = require_launcher(architecture)
    # It is sent to each camera. A verb of the guard takes 1 to 2 kB.
    assert path.stat().st_size <= 88_000
    with path.open("rb") as stream:
        elf = ELFFile(stream)
        assert not any(segment["p_type"] in ("PT_INTERP", "PT_DYNAMIC") for segment in elf.iter_segments())
        if architecture != "x86_64":
            assert elf["e_machine"] == Architecture(architecture).facts.elf_machine


def test_error_names_the_architectures() -> None:
    with pytest.raises(InCameraError) as caught:
        require_launcher("mips")
    assert "armv7hf" in str(caught.value.hint)
