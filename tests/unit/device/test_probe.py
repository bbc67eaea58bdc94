"""What the probe's script tells is understood, from busybox and from GNU."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from incamera.device.facts import DeviceLibrary
from incamera.device.probe import _PROBE, parse_libraries, parse_probe, parse_sections
from incamera.errors import DeviceError

TOLD = """\
== boot
7d3f
== memory
MemTotal:         497912 kB
MemAvailable:     401000 kB
== mounts
rootfs / rootfs rw 0 0
tmpfs /tmp tmpfs rw,nosuid 0 0
/dev/mmcblk0p1 /var/spool/storage/SD_DISK ext4 rw,noexec 0 0
/dev/ubi0 /usr/local ubifs ro 0 0
== space
/tmp 900000 /tmp
/usr/local/packages - -
/var/spool/storage/SD_DISK 7000000 /var/spool/storage/SD_DISK
/root 0 /
== apps
/tmp /tmp/incamera/doorbell/current
== machine
armv7l
4.9.51
axis-accc8e
root
== system
PRETTY_NAME="AXIS OS 9"
== tools
tar
== trials
/tmp exec
/usr/local/packages exec
/var/spool/storage/SD_DISK write
/root exec
== loader
/lib/ld-linux-armhf.so.3
== libc
GNU C Library (crosstool) stable release version 2.31.
== libraries
= /lib
-rwxr-xr-x    1 0        0            98000 Jan  1  2020 ld-2.31.so
lrwxrwxrwx    1 0        0               10 Jan  1  2020 ld-linux-armhf.so.3 -> ld-2.31.so
= /usr/lib
lrwxrwxrwx    1 0        0               14 Jan  1  2020 libz.so.1 -> libz.so.1.2.11
-rwxr-xr-x    1 0        0            70000 Jan  1  2020 libz.so.1.2.11
"""


def test_answers_become_facts() -> None:
    facts = parse_probe(parse_sections(TOLD))
    assert (facts.architecture, facts.libc, facts.system, facts.user) == ("armv7l", "2.31", "AXIS OS 9", "root")
    assert facts.memory_available == 401000 * 1024
    places = {place.path: place for place in facts.places}
    assert places["/tmp"].ram
    assert places["/tmp"].free == facts.memory_available, "a tmpfs may promise more than there is"
    assert places["/tmp"].apps == ("doorbell",)
    assert places["/tmp"].executable
    assert not places["/var/spool/storage/SD_DISK"].executable
    assert places["/var/spool/storage/SD_DISK"].writable
    assert not places["/usr/local/packages"].writable, "its mount is read-only now"
    assert places["/usr/local/packages"].free is None
    assert places["/root"].free == facts.memory_available
    assert DeviceLibrary("ld-linux-armhf.so.3", "/lib/ld-linux-armhf.so.3", "ld-2.31.so", 98000) in facts.libraries


def test_second_probe_asks_only_what_can_have_changed() -> None:
    known = parse_probe(parse_sections(TOLD))
    short = TOLD[: TOLD.index("== machine")].replace("rw,nosuid", "rw,noexec") + "== same\n"
    again = parse_probe(parse_sections(short), known=known)
    assert again.libraries == known.libraries
    assert not next(place for place in again.places if place.path == "/tmp").executable, "mounts are compared"


def test_folder_of_ours_in_each_place_is_told_each_time() -> None:
    folders = "== folders\n/tmp incamera-u1000\n/usr/local/packages - mallory\n/root !\n"
    known = parse_probe(parse_sections(TOLD))
    told = TOLD[: TOLD.index("== machine")] + folders + "== same\n"
    places = {place.path: place for place in parse_probe(parse_sections(told), known=known).places}
    assert places["/tmp"].folder == "incamera-u1000"
    assert (places["/usr/local/packages"].folder, places["/usr/local/packages"].owner) == ("", "mallory")
    assert (places["/root"].folder, places["/root"].owner) == ("", "")
    assert places["/root"].renamed_by_all
    assert not places["/tmp"].renamed_by_all
    odd = parse_sections(told.replace("incamera-u1000", "../../etc"))
    assert parse_probe(odd, known=known).places[0].folder == ""


def test_library_of_the_first_folder_counts_and_links_are_followed() -> None:
    lines = [
        "= /lib/arm-linux-gnueabihf",
        "lrwxrwxrwx 1 0 0 28 Jan  1 12:00 libz.so.1 -> ../../usr/lib/libz.so.1.3",
        "= /usr/lib",
        "-rw-r--r-- 1 0 0 777 Jan  1 12:00 libz.so.1.3",
        "lrwxrwxrwx 1 0 0 11 Jan  1 12:00 libz.so.1 -> libz.so.1.2",
    ]
    folders, libraries = parse_libraries(lines)
    assert folders == ("/lib/arm-linux-gnueabihf", "/usr/lib")
    assert DeviceLibrary("libz.so.1", "/lib/arm-linux-gnueabihf/libz.so.1", "libz.so.1.3", 777) in libraries


def test_other_answers_are_an_error() -> None:
    with pytest.raises(DeviceError):
        parse_probe(parse_sections("Welcome to the switch\n"))


@pytest.mark.parametrize(
    ("line", "odd"),
    [
        ("MemTotal:         497912 kB", "MemTotal: x"),
        ("MemTotal:         497912 kB", "MemTotal:"),
        ("MemTotal:         497912 kB", "MemTotal: -1 kB"),
        ("MemAvailable:     401000 kB", f"MemAvailable: {'9' * 5000} kB"),
        ("MemAvailable:     401000 kB", "MemAvailable: ²³ kB"),
        ("/tmp 900000 /tmp", "/tmp"),
        ("/tmp 900000 /tmp", "tmp 900000 /tmp"),
        ("/tmp 900000 /tmp", f"/tmp {'9' * 100} /tmp"),
        ("/tmp 900000 /tmp", "/tmp -900000 /tmp"),
        ("/tmp 900000 /tmp", "/tmp nan /tmp"),
        ("/tmp /tmp/incamera/doorbell/current", "/tmp current"),
        ("/tmp exec", "/tmp"),
        ("armv7l", "armv7l\nmips"),
        ("armv7l", "a" * 100_000),
        ("/lib/ld-linux-armhf.so.3", "ld-linux-armhf.so.3"),
        ("= /lib", "= lib"),
        ("/root 0 /", "/root 0 /\n" * 100),
    ],
)
def test_odd_value_is_a_device_error(line: str, odd: str) -> None:
    assert f"{line}\n" in TOLD
    with pytest.raises(DeviceError, match="probe"):
        parse_probe(parse_sections(TOLD.replace(f"{line}\n", f"{odd}\n", 1)))


def test_link_without_a_target_is_left_out() -> None:
    lines = ["= /lib", "lrwxrwxrwx 1 0 0 28 Jan  1 12:00 libz.so.1"]
    lines += ["lrwxrwxrwx 1 0 0 28 Jan  1 12:00 a.so.1 -> a.so.1"]
    assert [library.soname for library in parse_libraries(lines)[1]] == ["a.so.1"]


def test_unknown_tools_and_odd_libraries_are_left_out() -> None:
    told = TOLD.replace("== trials", "gdbserver\n\x1b[2J\n== trials").replace(" 70000 ", f" {'9' * 5000} ")
    facts = parse_probe(parse_sections(told))
    assert facts.tools == ("tar", "gdbserver")
    assert "libz.so.1.2.11" not in [library.soname for library in facts.libraries]


@pytest.mark.starts_processes
def test_script_has_no_syntax_error() -> None:
    done = subprocess.run(["sh", "-n"], input=_PROBE.text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.starts_processes
def test_trial_file_is_not_written_through_another_users_link(tmp_path: Path) -> None:
    """Everybody may write to /tmp, and can guess at our process's number."""
    place, victim = tmp_path / "place", tmp_path / "victim"
    place.mkdir()
    victim.write_text("precious")
    plant = f'ln -s {victim} {place}/.incamera-probe-$$; exec sh -c "$1" probe "" "" {place}'
    done = subprocess.run(
        ["sh", "-c", plant, "sh", _PROBE.text],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "HOME": "/none"},
    )
    assert parse_sections(done.stdout)["trials"] == [f"{place} exec"]
    assert victim.read_text() == "precious"
    assert not list(place.iterdir())


@pytest.mark.starts_processes
def test_place_that_does_not_answer_is_left_out_though_no_signal_ends_df(tmp_path: Path) -> None:
    place, home, programs = "/var/spool/storage/NetworkShare", tmp_path / "home", tmp_path / "bin"
    mounts = tmp_path / "mounts"
    mounts.write_text(f"none / tmpfs rw 0 0\n//server/share {place} cifs rw 0 0\n")
    programs.mkdir()
    home.mkdir()
    (programs / "df").write_text("#!/bin/sh\necho $$ >>$HOME/asked\ntrap '' TERM\nwhile :; do sleep 0.1; done\n")
    (programs / "df").chmod(0o755)
    script = _PROBE.text.replace("/proc/mounts", str(mounts)).replace("sleep 4", "sleep 0.2")
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(home)}
    try:
        done = subprocess.run(
            ["sh", "-c", script, "sh", "", "", place, "/tmp"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
        )
        sections = parse_sections(done.stdout)
        assert sections["silent"] == [place]
        assert [line.split()[0] for line in sections["space"]] == ["/tmp", str(home)]
    finally:
        for pid in (home / "asked").read_text().split():
            os.kill(int(pid), signal.SIGKILL)


@pytest.mark.parametrize(
    "told", ["", "sh: syntax error", TOLD.replace("== machine", "== other"), TOLD.replace("401000", "²³")]
)
def test_device_that_does_not_answer_as_a_camera_is_named(told: str) -> None:
    with pytest.raises(DeviceError, match="doorbell"):
        parse_probe(parse_sections(told), device="doorbell")
