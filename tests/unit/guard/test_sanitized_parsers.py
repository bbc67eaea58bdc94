"""The parsers of the launcher and the guard, compiled with sanitizers: no input makes them use memory wrongly.

The inputs are real ones that were damaged, with a fixed seed.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
from pathlib import Path

import pytest

import incamera.runtime.launcher

pytestmark = [pytest.mark.matrix, pytest.mark.starts_processes]

LAUNCHER = Path(incamera.runtime.launcher.__file__).parent
DRIVER = Path(__file__).parent / "sanitized" / "parsers.c"
# What the driver includes, or has another version of.
NOT_COMPILED = {*("main.c", "output.c", "activate.c", "end.c", "launcher.c", "list_processes.c", "lock.c", "run.c")}
FLAGS = ("-std=gnu11", "-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
SHA256 = b"ab" * 32
# By the driver's letters.
REAL = {
    "A": bytes(4) + b"hello" + b"\0\0\0\1",
    "L": b"f 12 " + SHA256 + b" lib/a.py\0\0l 0 - bin/python\0python3\0x 7 " + SHA256 + b" bin/python3\0\0",
    "I": b"form squashfs\nfile " + SHA256 + b".squashfs\nsize 4096\nunpacked 9000\nread 0 512\nread 1024 4096\n"
    b"check 12345\nunpack 300 lib/os.py\nwrite device/launcher x y\n",
    "D": b"write device/launcher env A /b\nlink device/lib/libx.so /usr/lib/libx.so\nwrite device/a/b c\nform tree\n",
    "S": b"# settings\nprogram bin/python\nloader lib/ld-linux.so.3\nlibraries lib:/usr/lib:lib/x\nenv PYTHONHOME .\n",
    "R": b"/card/incamera/app/0123\n/tmp/incamera-images/" + SHA256 + b"\n",
    "C": b"0123456789abcdef",
    "P": b"1234 567890\n",
    "K": b"1234 1700000000 somebody@host",
    "E": b"1234:USR1",
    "F": b"/tmp//incamera-roots/./x/",
    "N": b"/a/b",
    "T": 'caf\u00e9 \u20ac \U0001f600 "\\\x1f'.encode() + b"\xff\xc0\x80\xed\xa0\x80",
    "H": bytes(range(130)),
    "W": b"PATH=/bin\0INCAMERA_RUN=run-1\0VmRSS:\t  1234 kB\nVmHWM: 1 kB\n\0",
}
REAL["B"] = REAL["L"]
PIECES = (
    *(b"\0", b"\n", b" ", b"/", b"..", b"../", b"-1", b"9" * 30, b"18446744073709551615", b"-9223372036854775808", b""),
    *(
        b"\xff",
        b"\xf4\x90",
        b"\xe0\x80",
        b"=",
        b":",
        b"x" * 300,
        b"/" * 60,
        b"a/" * 3000,
        b"\0\0",
        b"read 5 1\n",
        b"l 0 - ",
    ),
)
SANITIZED = {
    # Memory that was never freed is no fault here, and an allocation of any size may be asked for.
    "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:abort_on_error=0:exitcode=66",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sanitized")


@pytest.fixture(scope="module")
def compiler(folder: Path) -> str:
    (folder / "empty.c").write_text("int main(void) { return 0; }\n")
    for name in ("gcc", "clang", "cc"):
        if shutil.which(name) is None:
            continue
        built = subprocess.run([name, *FLAGS, "-o", folder / "empty", folder / "empty.c"], capture_output=True)
        if built.returncode == 0 and subprocess.run([folder / "empty"], capture_output=True).returncode == 0:
            return name
    pytest.skip("this computer has no C compiler with the address and undefined behaviour sanitizers")


def build(compiler: str, program: Path, *sources: Path) -> Path:
    command: list[str | Path] = [compiler, *FLAGS, f"-I{LAUNCHER}", "-o", program, *sources]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return program


@pytest.fixture(scope="module")
def parsers(compiler: str, folder: Path) -> Path:
    sources = [path for path in sorted(LAUNCHER.glob("*.c")) if path.name not in NOT_COMPILED]
    return build(compiler, folder / "parsers", DRIVER, *sources)


@pytest.fixture(scope="module")
def sanitized_guard(compiler: str, folder: Path) -> Path:
    return build(compiler, folder / "incamera-guard", *sorted(LAUNCHER.glob("*.c")))


def damage(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 5)):
        first = chance.randint(0, len(changed))
        last = chance.choice([first, first + 1, chance.randint(first, len(changed)), len(changed)])
        start = chance.randint(0, len(data))
        more = [chance.choice(PIECES), bytes([chance.randint(0, 255)]), data[start : start + chance.randint(0, 90)]]
        changed[first:last] = chance.choice(more)
    return bytes(changed[:60_000])


@pytest.mark.parametrize("letter", sorted(REAL))
def test_no_input_makes_a_parser_use_memory_wrongly(letter: str, parsers: Path, tmp_path: Path) -> None:
    chance = random.Random(f"{letter} 11")
    inputs = [b"", REAL[letter], *(damage(REAL[letter], chance) for _ in range(2000))]
    (tmp_path / "scratch").mkdir()
    ran = subprocess.run(
        [parsers, tmp_path / "scratch"],
        input=b"".join(letter.encode() + len(data).to_bytes(4, "little") + data for data in inputs),
        capture_output=True,
        timeout=120,
        env=SANITIZED,
        cwd=tmp_path,
    )
    lines = ran.stdout.split(b"\n")[:-1]
    assert ran.returncode == 0, (inputs[min(len(lines), len(inputs) - 1)], ran.stderr.decode("utf-8", "replace"))
    answers = [json.loads(line) for line in lines]
    assert len(answers) == len(inputs)
    assert answers[1].get("value") != "refused"
    if letter == "A":
        assert answers[1]["value"] == "sealed"
        assert {answer["value"] for answer in answers} == {"sealed", "one", "damaged"}
    elif letter == "T":
        told = [answer["value"].encode("utf-8", "surrogateescape") for answer in answers]
        assert told == [data.partition(b"\0")[0] for data in inputs]
    elif letter == "H":
        assert [answer["value"] for answer in answers] == [hashlib.sha256(data).hexdigest() for data in inputs]


@pytest.mark.parametrize("size", ["18446744073709551615", "-1", "9" * 30, "4611686018427387904", "9223372036854775807"])
def test_size_of_a_listing_that_cannot_be_is_refused(size: str, sanitized_guard: Path, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sanitized_guard, "receive", tmp_path / "apps", "app", "name"],
        input=f"{size}\n".encode() + b"x" * 5000,
        capture_output=True,
        timeout=60,
        env=SANITIZED,
    )
    assert ran.returncode in range(1, 17), ran.stderr.decode("utf-8", "replace")
    assert not (tmp_path / "apps").exists()


def test_no_listing_makes_receiving_use_memory_wrongly(sanitized_guard: Path, tmp_path: Path) -> None:
    chance = random.Random(11)
    for number in range(60):
        listing = damage(REAL["L"], chance)
        sent = damage(b"%d\n" % len(listing) + listing, chance) if number % 3 else b"%d\n" % len(listing) + listing
        ran = subprocess.run(
            [sanitized_guard, "receive", tmp_path / "apps", "app", f"n{number}", "keep"],
            input=sent,
            capture_output=True,
            timeout=60,
            env=SANITIZED | {"PATH": "/nonexistent"},
        )
        assert ran.returncode in range(17), (sent, ran.stderr.decode("utf-8", "replace"))
