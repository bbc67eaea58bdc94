"""Signatures of packages: whose they are, and whether they are right. GnuPG is asked, too."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.unit.vapix.packages import make_package, private_key, public_key, sign

from incamera.__main__ import main
from incamera.archives import find_signature
from incamera.archives.openpgp import digest_of, encode_mpi, make_signature
from incamera.archives.signature import make_trailer
from incamera.eap.signed import check_signed
from incamera.eap.signer import AXIS_KEY_ID, find_signature_problem

KEY = public_key()


@pytest.fixture
def store_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INCAMERA_STORE", str(tmp_path / "store"))
    return tmp_path / "store"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return make_package(tmp_path / "own.eap", signed=True)


def test_signature_of_the_known_key_is_right(package: Path) -> None:
    assert find_signature_problem(package, KEY) is None
    signature = find_signature(package.read_bytes()[package.read_bytes().index(b"-----BEGIN") :])
    assert signature is not None
    assert (signature.key, signature.method) == (KEY.key_id, "RSA, SHA-512")


def test_each_byte_of_the_package_is_signed(package: Path, tmp_path: Path) -> None:
    data = package.read_bytes()
    end = data.index(b"-----BEGIN")
    changed = tmp_path / "changed.eap"
    for place in (0, 9, end // 2, end - 1):
        changed.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert "was changed after it was signed" in (find_signature_problem(changed, KEY) or "")


def test_signature_of_another_key_is_refused(package: Path) -> None:
    other = replace(KEY, modulus=KEY.modulus + 2)
    assert f"by the key {KEY.key_id}, which is not known" in (find_signature_problem(package, other) or "")
    assert find_signature_problem(package, None) is not None


def test_signature_in_the_name_of_a_key_without_its_private_part_is_refused(tmp_path: Path) -> None:
    package = make_package(tmp_path / "own.eap")
    data = package.read_bytes()
    for value in (bytes(256), bytes([0] * 255 + [1]), b"\x7f" * 256):
        package.write_bytes(data + make_trailer(make_signature([data], KEY, 0, lambda _, value=value: value)))  # type: ignore[misc]
        assert find_signature_problem(package, KEY) is not None


@pytest.mark.parametrize(
    "broken",
    [
        b"-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n",
        b"-----BEGIN PGP SIGNATURE-----\n\nwv8=\n-----END PGP SIGNATURE-----\n",
        b"-----BEGIN PGP SIGNATURE-----\nx\n-----END PGP SIGNATURE-----\n",
    ],
)
def test_signature_that_is_none_is_refused(broken: bytes, tmp_path: Path) -> None:
    package = make_package(tmp_path / "own.eap")
    package.write_bytes(package.read_bytes() + make_trailer(broken))
    assert find_signature_problem(package, KEY) == "its signature cannot be read"


def test_axis_signature_is_taken_when_its_digest_begins_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its key is not published. The digest's first two bytes stand in the signature."""
    package = make_package(tmp_path / "own.eap", signed=True)
    monkeypatch.setattr("incamera.eap.signer.AXIS_KEY_ID", KEY.key_id)
    assert find_signature_problem(package, None) is None
    data = package.read_bytes()
    package.write_bytes(data[:20] + bytes([data[20] ^ 1]) + data[21:])
    assert find_signature_problem(package, None) is not None
    assert len(AXIS_KEY_ID) == 16


def public_key_file() -> bytes:
    """Return the key as GnuPG takes it: the key, a name, and the key's own signature that it signs files."""
    body = bytes([4, 0, 0, 0, 0, 1]) + encode_mpi(KEY.modulus) + encode_mpi(KEY.exponent)
    key = b"\x99" + struct.pack(">H", len(body)) + body
    name = b"virtual"
    subpackets = bytes([5, 2, 0, 0, 0, 1, 2, 27, 3])  # made in the first second; it signs and certifies
    hashed = bytes([4, 0x13, 1, 10]) + struct.pack(">H", len(subpackets)) + subpackets
    digest = digest_of([key, b"\xb4" + struct.pack(">I", len(name)) + name], hashed)
    value = private_key().sign(digest, padding.PKCS1v15(), Prehashed(hashes.SHA512()))
    issuer = bytes([9, 16]) + bytes.fromhex(KEY.key_id)
    body = hashed + struct.pack(">H", len(issuer)) + issuer + digest[:2] + encode_mpi(int.from_bytes(value, "big"))
    return key + bytes([0xB4, len(name)]) + name + b"\x89" + struct.pack(">H", len(body)) + body


@pytest.mark.starts_processes
def test_gnupg_takes_the_signature_and_refuses_it_for_other_bytes(tmp_path: Path) -> None:
    if not (shutil.which("gpg") and shutil.which("gpgv")):
        pytest.fail("this test needs gpg and gpgv")
    data = b"a package"
    signed = sign(data)
    armour = signed[len(data) : -16]
    (tmp_path / "file").write_bytes(data)
    (tmp_path / "file.asc").write_bytes(armour)
    (tmp_path / "key.gpg").write_bytes(public_key_file())
    words = ["gpgv", "--keyring", str(tmp_path / "key.gpg"), str(tmp_path / "file.asc"), str(tmp_path / "file")]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env={"GNUPGHOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert "Good signature" in done.stderr
    (tmp_path / "file").write_bytes(data + b"!")
    assert subprocess.run(words, capture_output=True, check=False, env={"GNUPGHOME": str(tmp_path)}).returncode == 1


def test_virtual_sign_keeps_the_package_and_signs_with_the_store_s_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], store_folder: Path
) -> None:
    package = make_package(tmp_path / "own.eap")
    assert main(["virtual", "sign", "--json", str(package)]) == 0
    answer = json.loads(capsys.readouterr().out)
    signed = tmp_path / "own_signed.eap"
    assert answer["file"] == str(signed)
    assert check_signed(signed, package).key == answer["key"]
    pem = store_folder / "keys" / "virtual_signing"
    assert pem.stat().st_mode & 0o777 == 0o600
    numbers = load_pem_private_key(pem.read_bytes(), None).public_key().public_numbers()  # type: ignore[union-attr]
    assert find_signature_problem(signed, replace(KEY, modulus=numbers.n)) is None  # type: ignore[union-attr]
    # Again: the same key. A key that was cut off is made anew.
    assert main(["virtual", "sign", "--json", str(package)]) == 0
    assert json.loads(capsys.readouterr().out)["key"] == answer["key"]
    pem.write_bytes(pem.read_bytes()[:200])
    assert main(["virtual", "sign", "--json", str(package)]) == 0
    assert json.loads(capsys.readouterr().out)["key"] != answer["key"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["own_signed.eap"], "is signed already"),
        (["own.eap", "-o", "own.eap"], "is the package itself"),
        (["own.eap", "-o", "nowhere/own.eap"], "cannot write"),
        (["missing.eap"], "cannot read"),
        (["text.eap"], "is not a package"),
    ],
)
def test_what_virtual_sign_cannot_do_is_one_error(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch, store_folder: Path,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    make_package(tmp_path / "own.eap")
    make_package(tmp_path / "own_signed.eap", signed=True)
    (tmp_path / "text.eap").write_text("hello")
    before = (tmp_path / "own.eap").read_bytes()
    assert main(["virtual", "sign", *arguments]) != 0
    assert message in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "own.eap").read_bytes() == before
    assert not list(tmp_path.glob(".own*"))
