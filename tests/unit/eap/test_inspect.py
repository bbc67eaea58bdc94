"""`incamera inspect` shows what is in anybody's package, also when that is signed, old, damaged or hostile."""

from __future__ import annotations

import base64
import gzip
import json
import struct
from pathlib import Path
from typing import Any

import pytest
from tests.schemas import check_output
from tests.unit.abi.elf_maker import make_elf
from tests.unit.archives.hostile import gzip_zeros, header, member, tar
from tests.unit.eap.test_schema import manifest

from incamera.__main__ import main

KEY = "DB55B3CA61462D87"
PACKAGE_CONF = b"""\
PACKAGENAME="Old app"
APPTYPE="armv7hf"
APPNAME="old"
APPID="77"
VENDOR="Acme"
REQEMBDEVVERSION="2.0"
APPMAJORVERSION="1"
APPMINORVERSION="20"
APPMICROVERSION="3"
APPGRP="root"
APPUSR="root"
SETTINGSPAGEFILE="index.html"
VENDORHOMEPAGELINK='<a href="https://acme.example" target="_blank">acme.example</a>'
POSTINSTALLSCRIPT="post.sh"
STARTMODE="respawn"
HTTPCGIPATHS="cgi.conf"
"""


def signature() -> bytes:
    """Return what signing adds: a version 4 signature packet in armour, and the last part."""
    hashed = bytes([5, 2, 0, 0, 0, 0])
    issuer = bytes([9, 16]) + bytes.fromhex(KEY)
    body = bytes([4, 0, 1, 10]) + struct.pack(">H", len(hashed)) + hashed + struct.pack(">H", len(issuer)) + issuer
    packet = bytes([0xC2, len(body) + 10]) + body + bytes(10)
    text = b"-----BEGIN PGP SIGNATURE-----\n\n" + base64.encodebytes(packet) + b"=abcd\n-----END PGP SIGNATURE-----\n"
    return text + struct.pack(">II", len(text), 1) + bytes.fromhex("658d14ab4207aac6")


def described(version: str = "2.0.0", *, app: str = "hello", **conf: Any) -> bytes:
    document = manifest(version, **conf)
    if version.startswith("2."):
        document["resources"] = {"linux": {"user": {"groups": ["video"]}}}
    return member(b"manifest.json", json.dumps(document).encode()) + member(
        app.encode(), make_elf(needed=["libvdo.so.1", "libc.so.6"], program=True), mode=0o755
    )


LICENSE = member(b"LICENSE", b"free")
PLAIN = described() + LICENSE


def inspect(
    path: Path, content: bytes, capsys: pytest.CaptureFixture[str], *, packed: bool = False
) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the document for a package that is *content*: the parts of a tar archive, or all."""
    path.write_bytes(content if packed else gzip.compress(tar(content)))
    arguments = ["inspect", "--json", str(path)]
    code = main(arguments)
    output = capsys.readouterr().out
    check_output(arguments, output)
    document: dict[str, Any] = json.loads(output)
    return code, document


def problems(document: dict[str, Any], grade: str) -> list[str]:
    return [f"{item['file']}: {item['text']}" for item in document["problems"] if item["grade"] == grade]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return tmp_path / "see.eap"


def test_package_is_described(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    configuration = {
        "settingPage": "index.html",
        "paramConfig": [{"name": "Size", "default": "5", "type": "string"}],
        "httpConfig": [{"type": "fastCgi", "name": "x.cgi", "access": "viewer"}],
        "reverseProxy": [{"apiPath": "api", "target": "http://localhost:2001", "access": "admin"}],
    }
    data = b"".join(member(b"html/%d" % number, bytes(range(256)) * 40) for number in range(3))
    code, document = inspect(package, described(configuration=configuration) + LICENSE + data, capsys)
    assert (code, document["problems"], document["signature"]) == (0, [], None)
    found = document["description"]
    assert (found["app_name"], found["version"], found["vendor"]) == ("hello", "1.0.0", "Acme")
    assert (found["schema_version"], found["vendor_id"], found["run_mode"]) == ("2.0.0", "1234567890", "never")
    assert found["compatible_os_versions"] == [{"min": "11.11", "max": "13"}]
    assert found["parameters"] == configuration["paramConfig"]
    assert found["http"] == configuration["httpConfig"]
    assert [entry["api_path"] for entry in found["reverse_proxy"]] == ["api"]
    (elf,) = [item["elf"] for item in document["files"] if item["elf"]]
    assert elf["needs"] == ["libvdo.so.1", "libc.so.6"]
    html = next(part for part in document["parts"] if part["name"] == "html")
    assert (html["files"], html["installed_bytes"]) == (3, 3 * 256 * 40)
    assert 0 < sum(part["packed_bytes"] for part in document["parts"]) <= document["bytes"]
    assert {check["axis_os"]: check["accepted"] for check in document["checks"]} == dict.fromkeys(
        ["11", "12", "13"], True
    )


def test_what_the_app_uses_and_the_manifest_lacks_is_named(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    app = member(b"bundle/app/app.py", b"from acap import vapix, video")
    text = json.dumps(manifest("2.0.0")).encode()
    code, document = inspect(
        package, member(b"manifest.json", text) + member(b"hello", mode=0o755) + app + LICENSE, capsys
    )
    assert code == 0
    assert problems(document, "note") == [
        "manifest.json: it lacks the D-Bus method com.axis.HTTPConf1.VAPIXServiceAccounts1.GetCredentials, "
        "but app.py uses acap.vapix",
        'manifest.json: it lacks the group "video", but app.py uses acap.video',
    ]


def test_signature_is_shown_and_not_asked_for(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    signed = gzip.compress(tar(PLAIN)) + signature()
    code, document = inspect(package, signed, capsys, packed=True)
    assert (code, problems(document, "note")) == (0, [])
    assert document["signature"] == {"bytes": len(signature()), "key": KEY, "method": "RSA, SHA-512"}
    assert not [demand for check in document["checks"] for demand in check["demands"] if "unsigned" in demand["text"]]


def test_package_of_acap_3_is_described_by_package_conf(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [
        member(b"package.conf", PACKAGE_CONF),
        member(b"param.conf", b'A="1" type="string"\nB=two words\n\n'),
        member(b"cgi.conf", b"administrator /old/x.cgi fastCgi\n"),
        member(b"old", make_elf(program=True), mode=0o755),
        LICENSE,
    ]
    code, document = inspect(package, b"".join(parts), capsys)
    assert code == 0
    found = document["description"]
    assert (found["source"], found["schema_version"]) == ("package.conf", "")
    assert (found["friendly_name"], found["version"], found["vendor_url"]) == (
        "Old app",
        "1.20.3",
        "https://acme.example",
    )
    assert found["user"] == {"username": "root", "group": "root"}
    assert found["parameters"] == [
        {"name": "A", "default": "1", "type": "string"},
        {"name": "B", "default": "two words", "type": ""},
    ]
    assert found["http"] == [{"type": "fastCgi", "name": "old/x.cgi", "access": "admin"}]
    assert found["post_install_script"] == "post.sh"
    assert {check["axis_os"] for check in document["checks"] if check["accepted"]} == {"11"}
    assert "no app runs as root" in [demand["text"] for demand in document["checks"][1]["demands"]]


@pytest.mark.parametrize("cut", [1, 200, 1500])
def test_damaged_package_shows_what_is_readable(package: Path, cut: int, capsys: pytest.CaptureFixture[str]) -> None:
    data = gzip.compress(tar(PLAIN, member(b"data", bytes(range(256)) * 20)), compresslevel=0)
    code, document = inspect(package, data[:-cut], capsys, packed=True)
    assert code == 1
    assert "the archive" in problems(document, "damage")[0]
    assert document["description"]["app_name"] == "hello"
    assert not any(check["accepted"] for check in document["checks"])


@pytest.mark.parametrize(
    ("content", "damage"),
    [
        (b"", "it is empty"),
        (b"PK\3\4", "it is not a gzip file"),
        (b"\x1f\x8b", "cut off"),
        (gzip.compress(tar(PLAIN)) + signature()[:-20], "the signature behind the archive is incomplete"),
        (gzip_zeros(header(b"big", size=1 << 29), 1 << 29), "200 times its own size"),
        (gzip.compress(tar(member(b"manifest.json", b"{" * 9))), "it is not JSON"),
        (gzip.compress(tar(member(b"manifest.json", b"[" * 200_000))), "it is not JSON"),
        (gzip.compress(tar(member(b"manifest.json", b"[]"))), "it is not a JSON object"),
        (gzip.compress(tar(member(b"manifest.json", b" " * 1_000_001))), "larger than 1000 kB"),
        (gzip.compress(tar(member(b"x"))), "it has no manifest.json"),
    ],
)
def test_damage_is_named(package: Path, content: bytes, damage: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = inspect(package, content, capsys, packed=True)
    assert code == 1
    assert any(damage in text for text in problems(document, "damage")), document["problems"]
    assert not any(check["accepted"] for check in document["checks"])


@pytest.mark.parametrize(
    ("part", "grade", "text"),
    [
        (member(b"../x"), "danger", "../x: its path leads out of the package"),
        (member(b"/etc/x"), "danger", "/etc/x: its path leads out"),
        (header(b"tty", kind=b"3"), "danger", "tty: it is a device"),
        (header(b"pipe", kind=b"6"), "danger", "pipe: it is a device, a FIFO"),
        (member(b"su", mode=0o4755), "danger", "su: it would run with the rights of its owner"),
        (header(b"l", kind=b"2", link=b"/tmp") + member(b"l/x"), "danger", "l/x: it lies below a link"),
        (header(b"l", kind=b"2", link=b"../../x"), "note", "l: the link leads out of the package, to ../../x"),
        (header(b"h", kind=b"1", link=b"hello"), "note", "h: it is a hard link to hello"),
        (member(b"open", mode=0o666), "note", "open: others may write it (mode 0666)"),
        (member(b"LICENSE"), "note", "LICENSE: the archive has it more than once"),
        (member(b"a\x1b[2Jb\xff"), "note", "its name has control characters"),
        (member(b"package.conf", b'APPNAME="other"\n'), "note", "package.conf: it names the app other"),
    ],
)
def test_what_could_do_harm_is_named(
    package: Path, part: bytes, grade: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, document = inspect(package, PLAIN + part, capsys)
    assert any(text in found for found in problems(document, grade)), document["problems"]
    assert code == int(grade == "danger")


def test_what_strangers_wrote_cannot_control_the_terminal(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    setup = {"vendor": "A\x1b[2J\x9b", "friendlyName": "x\nAXIS OS 13: nothing speaks against it"}
    evil = member(b"a\x1b[2Jb\xff", make_elf(needed=["\x1b[2J"])) + member(b"../\x07\n/y")
    package.write_bytes(gzip.compress(tar(described(setup=setup) + evil)))
    assert main(["inspect", str(package)]) == 1
    shown = capsys.readouterr().out
    assert not [letter for letter in shown if not letter.isprintable() and letter != "\n"]
    assert "\\x1b[2J" in shown
    assert "\nAXIS OS 13: nothing" not in shown


def test_what_a_camera_would_refuse_is_named_with_the_key(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    digits = "1" * 5000
    for setup, named in (
        ({"vendorId": "x"}, "vendorId"),
        ({"compatibleOsVersions": [{"min": digits}]}, "too large"),
        ({"runMode": "sometimes"}, "runMode"),
    ):
        code, document = inspect(package, described(setup=setup) + LICENSE, capsys)
        assert code == 0  # it can be read
        for check in document["checks"]:
            assert not check["accepted"]
            assert named in check["demands"][0]["text"]


def test_list_for_people_has_an_end(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = b"".join(member(b"%d/x" % number, mode=0o666) for number in range(60))
    package.write_bytes(gzip.compress(tar(PLAIN + many)))
    assert main(["inspect", str(package)]) == 0
    output = capsys.readouterr().out
    assert "and 40 more" in output
    assert "41 more" in output  # parts
    assert len(output.splitlines()) < 100


def test_other_than_a_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (tmp_path, tmp_path / "gone.eap", Path("/dev/null")):
        assert main(["inspect", str(path)]) == 2
        assert "cannot inspect" in capsys.readouterr().err
