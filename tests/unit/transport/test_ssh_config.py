"""~/.ssh/config, read as OpenSSH reads it: its own answers are in tests/data/ssh_config."""

from __future__ import annotations

import json
import socket
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from incamera.errors import ConfigError
from incamera.transport.ssh_config import Place, SshConfig, find_hosts, read_config
from incamera.transport.ssh_syntax import split_arguments

DATA = Path(__file__).parents[2] / "data" / "ssh_config"
CASES: dict[str, Any] = tomllib.loads((DATA / "cases.toml").read_text("utf-8"))
ANSWERS: dict[str, Any] = json.loads((DATA / "answers.json").read_text("utf-8"))
# No camera has such a key, and asyncssh cannot use one.
NOT_TRIED = ("id_xmss", "id_dsa")


def place(folder: Path, config: str, system: str = "", **environment: str) -> Place:
    """Write the configuration of a user and the system's, and return where they are."""
    (folder / "home" / ".ssh").mkdir(parents=True, exist_ok=True)
    (folder / "home" / ".ssh" / "config").write_text(config, newline="")
    (folder / "ssh_config").write_text(system)
    return Place(home=folder / "home", environment=environment, system_file=folder / "ssh_config")


def describe(config: SshConfig, name: str) -> dict[str, Any]:
    """Return *config* in the words of `ssh -G`."""
    found = {
        "hostname": config.host,
        "user": config.user or ANSWERS["user"],
        "port": str(config.port),
        "identitiesonly": "yes" if config.flag("identitiesonly", default=False) else "no",
        "keys": [str(key) for key in (config.default_keys if config.keys is None else config.keys)],
        "hostkeyalias": config.host_key_alias,
        "identityagent": config.agent,
        "preferredauthentications": config.values.get("preferredauthentications"),
        "known_hosts": [str(path) for path in config.known_hosts],
        "proxyjump": ",".join(config.proxy_jump) or None,
        "proxycommand": config.proxy_command,
        "connecttimeout": config.values.get("connecttimeout", "none"),
        "addressfamily": config.values.get("addressfamily", "any"),
        "pubkeyauthentication": "yes" if config.flag("pubkeyauthentication", default=True) else "no",
    }
    return {key: value for key, value in found.items() if value is not None}


@pytest.mark.starts_processes
@pytest.mark.parametrize("name", CASES)
def test_configuration_means_what_it_means_to_openssh(name: str, tmp_path: Path) -> None:
    case, answer = CASES[name], dict(ANSWERS[name])
    for file, text in case.get("files", {}).items():
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text(text.replace("FOLDER", str(tmp_path)))
    where = place(tmp_path, case["config"].replace("FOLDER", str(tmp_path)), **case.get("environment", {}))
    where = replace(where, resolve=case.get("names", {}).get)
    found = describe(read_config(where, case["host"], user=case.get("user"), port=case.get("port")), name)

    local = socket.gethostname()
    answer["pubkeyauthentication"] = "no" if answer["pubkeyauthentication"] in ("no", "false") else "yes"
    answer["keys"] = [key for key in answer["keys"] if not key.endswith(NOT_TRIED)]
    answer["known_hosts"] = answer.pop("userknownhostsfile").split() + answer.pop("globalknownhostsfile").split()
    found["known_hosts"] = [word for path in found["known_hosts"] for word in path.split()]
    assert (tmp_path / "ran").exists() == answer.pop("ran")
    if "proxycommand" in answer:  # `ssh -G` leaves its tokens as they are
        answer["proxycommand"] = answer["proxycommand"].replace("%h", found["hostname"]).replace("%p", found["port"])
    expected = json.loads(json.dumps(answer).replace("HOME", str(where.home)).replace("LOCAL", local))
    assert found == expected


def test_include_is_relative_to_the_folder_of_the_configuration(tmp_path: Path) -> None:
    where = place(tmp_path, "Include conf.d/*\n", "Include more/*\n")
    for file, text in {"home/.ssh/conf.d/a": "User mine\n", "more/a": "User theirs\nPort 99\n"}.items():
        (tmp_path / file).parent.mkdir()
        (tmp_path / file).write_text(text)
    config = read_config(where, "cam")
    assert (config.user, config.port) == ("mine", 99)


def test_include_of_itself_ends(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="include one another"):
        read_config(place(tmp_path, "Include config\nUser a\n"), "cam")


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ('Host cam\n  IdentityFile "/keys/a\n', "line 2: a quote is missing"),
        ("Port many\n", 'line 1: "many" is not a port'),
        ("\nHostName\n", "line 2: the value is missing"),
        ("HostName a b\n", "line 1: hostname has more than one value"),
        ("Match originalhost\n", "line 1: `Match originalhost` has no value"),
        ("Match localnetwork 192.0.2.0/24\n", "cannot decide `Match localnetwork`"),
        ("IdentityFile ${NO_SUCH}/x\n", "the environment has no NO_SUCH"),
        ("IdentityFile /keys/%Q\n", "%Q means nothing there"),
        ("ConnectTimeout soon\n", 'line 1: "soon" is not a time'),
        (f"ConnectTimeout {'9' * 5000}\n", "is not a time"),
        ("IdentitiesOnly maybe\n", 'line 1: "maybe" is not one of yes, no'),
        ("AddressFamily ipv6\n", '"ipv6" is not one of any, inet, inet6'),
        ("CanonicalizeMaxDots many\n", '"many" is not a number'),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_line(config: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        read_config(place(tmp_path, config), "cam")
    assert told in str(error.value)


def test_host_that_no_domain_has_is_refused_where_the_short_name_is_forbidden(tmp_path: Path) -> None:
    config = "CanonicalizeHostname yes\nCanonicalDomains a b\nCanonicalizeFallbackLocal no\n"
    asked: list[str] = []
    where = replace(place(tmp_path, config), resolve=asked.append)
    with pytest.raises(ConfigError, match=r"no host called cam in the domains of ~/.ssh/config \(a b\)"):
        read_config(where, "cam")
    assert asked == ["cam.a.", "cam.b."]
    assert read_config(where, "127.0.0.1").host == "127.0.0.1"


@pytest.mark.parametrize("limit", ["0", "none"])
def test_no_limit_for_connecting_is_ours(limit: str, tmp_path: Path) -> None:
    assert read_config(place(tmp_path, f"ConnectTimeout {limit}\n"), "cam").values["connecttimeout"] == "0"


def test_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    where = place(tmp_path, "")
    where.files[0].write_bytes("\ufeffHost door\n  User door\n".encode())
    assert read_config(where, "cam").user is None


def test_what_is_not_about_this_host_does_no_harm(tmp_path: Path) -> None:
    config = "Match originalhost door localnetwork 192.0.2.0/24\n  User door\nHost *\n  FutureOption a\n  User root\n"
    assert read_config(place(tmp_path, config), "cam").user == "root"


def test_hosts_are_found_by_name_and_by_pattern(tmp_path: Path) -> None:
    config = 'Include "more"\nHost "gate" cam-* !cam-9\nHost *\n  User root\nMatch originalhost door,x* user a\n'
    where = place(tmp_path, config)
    (where.home / ".ssh" / "more").write_text("Host=lobby # not the hall\n")
    assert find_hosts(where, "nowhere") == (False, ["lobby", "gate", "door"])
    for name in ("gate", "cam-12", "lobby", "door", "xyz"):
        assert find_hosts(where, name)[0], name


def test_words_are_split_as_openssh_does() -> None:
    assert split_arguments(r"""a "b c" 'd "e"' f\ g h#i "\"" # j""") == ["a", "b c", 'd "e"', "f g", "h#i", '"']


@pytest.mark.parametrize(("port", "number"), [("ssh", 22), ("0022", 22), ("2222", 2222)])
def test_port_may_be_the_name_of_a_service(
    port: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getservbyname", lambda name, protocol: 22)
    assert read_config(place(tmp_path, f"Port {port}\n"), "cam").port == number


@pytest.mark.parametrize("port", ["0", "70000", "nothing-is-called-so", "²", "9" * 5000])
def test_what_is_no_port_is_refused(port: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a port"):
        read_config(place(tmp_path, f"Port {port}\n"), "cam")


def test_values_need_not_be_utf_8(tmp_path: Path) -> None:
    where = place(tmp_path, "")
    where.files[0].write_bytes(b"User \xe9\nHostKeyAlias \xff\n")
    assert read_config(where, "cam").user == "\udce9"
    where.files[0].write_bytes(b"Port \xe9\n")
    with pytest.raises(ConfigError, match="is not a port"):
        read_config(where, "cam")
