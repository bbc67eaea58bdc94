from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

import pytest

from incamera.elf.debug import find_debug_file
from incamera.toolchain.wheel_paths import clean_wheel

DEBUG = Path(__file__).parents[2] / "data" / "debug"


def digest(data: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def make_wheel(path: Path, folder: Path) -> Path:
    config, module = f"prefix = '{folder}/sysroot/usr'\n".encode(), b"\x7fELF" + str(folder).encode()
    files = {"own/config.py": config, "own/core.so": module, 'own/a "b", c.txt': b"plain"}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name, (2020, 2, 2, 2, 2, 2))
            info.external_attr = 0o755 << 16
            archive.writestr(info, data)
        rows = [f'"{name.replace(chr(34), chr(34) * 2)}",{digest(data)},{len(data)}' for name, data in files.items()]
        archive.writestr("own-1.dist-info/RECORD", "\n".join([*rows, "own-1.dist-info/RECORD,,"]) + "\n")
    return path


def test_build_path_is_replaced_and_record_is_updated(tmp_path: Path) -> None:
    wheels = []
    for name in ("1-abc", "22-defghi"):
        folder = tmp_path / name / "build"
        folder.mkdir(parents=True)
        wheels.append(make_wheel(tmp_path / name / "own-1-py3-none-any.whl", folder))
        clean_wheel(wheels[-1], folder, tmp_path / name / "debug")
    with zipfile.ZipFile(wheels[0]) as archive:
        config = archive.read("own/config.py")
        assert config == b"prefix = '/incamera/sysroot/usr'\n"
        record = archive.read("own-1.dist-info/RECORD").decode().splitlines()
        assert f"own/config.py,{digest(config)},{len(config)}" in record
        assert f'"own/a ""b"", c.txt",{digest(b"plain")},5' in record
        assert record[-1] == "own-1.dist-info/RECORD,,"
        info = archive.getinfo("own/config.py")
        assert (info.date_time, info.external_attr >> 16) == ((2020, 2, 2, 2, 2, 2), 0o755)
        # The paths in ELF files are not changed, since offsets must stay.
        assert str(tmp_path).encode() in archive.read("own/core.so")
        parts = [archive.read(name) for name in archive.namelist() if not name.endswith((".so", "RECORD"))]
    with zipfile.ZipFile(wheels[1]) as other:
        assert parts == [other.read(name) for name in other.namelist() if not name.endswith((".so", "RECORD"))]


@pytest.mark.parametrize("data", [b"no zip", None])
def test_wheel_without_the_build_path_is_not_changed(tmp_path: Path, data: bytes | None) -> None:
    wheel = tmp_path / "own-1-py3-none-any.whl"
    if data is None:
        make_wheel(wheel, Path("/elsewhere"))
    else:
        wheel.write_bytes(data)
    before = wheel.read_bytes()
    clean_wheel(wheel, tmp_path / "build", tmp_path / "debug")
    assert wheel.read_bytes() == before


def test_binaries_are_stripped_and_the_debug_information_is_beside_the_wheel(tmp_path: Path) -> None:
    whole = (DEBUG / "x86_64.so").read_bytes()
    wheel = tmp_path / "own-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("own/fast.so", whole)
        archive.writestr("own-1.dist-info/RECORD", f"own/fast.so,{digest(whole)},{len(whole)}\n")
    clean_wheel(wheel, tmp_path / "build", tmp_path / "debug")
    with zipfile.ZipFile(wheel) as archive:
        stripped = archive.read("own/fast.so")
        assert archive.read("own-1.dist-info/RECORD").decode() == f"own/fast.so,{digest(stripped)},{len(stripped)}\n"
    assert len(stripped) < len(whole)
    (tmp_path / "fast.so").write_bytes(stripped)
    debug = find_debug_file(tmp_path / "fast.so", [tmp_path / "elsewhere", tmp_path / "debug"])
    assert debug is not None
    assert len(debug.read_bytes()) == len(whole)
