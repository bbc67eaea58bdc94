"""Which mirror is used: environment, the host's apt sources, or the public one."""

from __future__ import annotations

from pathlib import Path

import pytest

from incamera.debian.mirror import Mirror, find_mirror
from incamera.errors import ConfigError

DEB822 = """\
# Debian
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm
 bookworm-updates
Components: main

Enabled: yes
Types: deb
# a comment between
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
"""


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


def write(apt: Path, name: str, text: str) -> None:
    (apt / name).write_text(text)


def test_without_settings_and_apt_sources_the_public_mirror_is_used() -> None:
    mirror = find_mirror({}, Path("/nonexistent"))
    assert mirror == Mirror(main="http://ftp.debian.org/debian", security="http://security.debian.org/debian-security")


def test_the_variable_goes_before_apt_and_the_security_archive_is_beside_it(apt: Path) -> None:
    write(apt, "sources.list", "deb http://host.example/debian bookworm main\n")
    mirror = find_mirror({"INCAMERA_DEBIAN_MIRROR": "https://mine.example/x/debian/"}, apt)
    assert mirror == Mirror(main="https://mine.example/x/debian", security="https://mine.example/x/debian-security")


def test_a_snapshot_is_named_by_both_variables_and_may_be_expired() -> None:
    mirror = find_mirror(
        {
            "INCAMERA_DEBIAN_MIRROR": "http://s.example/debian/2025",
            "INCAMERA_DEBIAN_SECURITY_MIRROR": "http://s.example/sec/2025",
            "INCAMERA_DEBIAN_ALLOW_EXPIRED": "1",
        }
    )
    assert mirror == Mirror(
        main="http://s.example/debian/2025", security="http://s.example/sec/2025", allow_expired=True
    )


@pytest.mark.parametrize("value", ["", "0", "no"])
def test_allow_expired_can_be_switched_off(value: str) -> None:
    assert not find_mirror({"INCAMERA_DEBIAN_ALLOW_EXPIRED": value}, Path("/nonexistent")).allow_expired


def test_a_mirror_without_a_known_security_archive_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        find_mirror({"INCAMERA_DEBIAN_MIRROR": "http://s.example/archive/2025"})
    assert "INCAMERA_DEBIAN_SECURITY_MIRROR" in str(caught.value.hint)


@pytest.mark.parametrize(
    "value", ["mirror.example/debian", "file:///srv/debian", "http:///debian", "http://[bad/debian"]
)
def test_a_variable_that_is_no_http_url_is_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="INCAMERA_DEBIAN_MIRROR"):
        find_mirror({"INCAMERA_DEBIAN_MIRROR": value})


def test_the_mirror_is_read_from_deb822_sources(apt: Path) -> None:
    write(apt, "sources.list.d/debian.sources", DEB822)
    assert find_mirror({}, apt) == Mirror(
        main="http://mirror.example/debian", security="http://mirror.example/debian-security"
    )


def test_the_first_http_debian_mirror_in_one_line_sources_is_used(apt: Path) -> None:
    write(
        apt,
        "sources.list",
        """\
# deb http://commented.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb cdrom:[Debian GNU/Linux 12]/ bookworm main
deb file:/srv/debian bookworm main
deb mirror+file:/etc/apt/mirrors/debian.list bookworm main
deb tor+http://onion.example/debian bookworm main
deb http://archive.ubuntu.example/ubuntu noble main
  deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://first.example/debian bookworm main # why
deb http://second.example/debian bookworm main
deb http://first.example/debian-security bookworm-security main
""",
    )
    assert find_mirror({}, apt) == Mirror(
        main="http://first.example/debian", security="http://first.example/debian-security"
    )


def test_disabled_and_other_sources_are_ignored(apt: Path) -> None:
    write(apt, "sources.list.d/debian.sources", DEB822.replace("Types: deb deb-src", "Enabled: no\nTypes: deb"))
    write(apt, "sources.list.d/other.sources", "Types: deb\nURIs: https://other.example/apt\nSuites: x\n")
    write(apt, "sources.list.d/broken.list", "deb http://[bad/debian x main\ndeb\n\n\x00")
    write(apt, "sources.list.d/ignored.save", "deb http://saved.example/debian bookworm main\n")
    assert find_mirror({}, apt).main == "http://ftp.debian.org/debian"
