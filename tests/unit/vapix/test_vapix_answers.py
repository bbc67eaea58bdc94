"""Answers of cameras, recorded ones where there are some, become values; anything else is an error or is left out."""

from __future__ import annotations

import pytest
from tests.unit.vapix.fake_camera import recorded

from incamera.vapix.accounts import check_passphrase, parse_message
from incamera.vapix.applications import Application, parse_applications, parse_result, parse_switches
from incamera.vapix.device_info import parse_apis, parse_device_info, parse_system_ready
from incamera.vapix.documents import parse_json, parse_xml
from incamera.vapix.params import parse_params
from incamera.vapix.system_log import Entry, find_news, parse_entry, parse_lines

LOG = b"""----- Contents of SYSTEM_LOG for 'own' -----

2025-04-17T20:24:33.559+00:00 axis-0123456789ab [ INFO    ] own[140843]: first: text
2025-04-17T20:24:33.560+00:00 axis-0123456789ab [ ERR     ] sdkown.service: no number\r
14:13:07.412 [ INFO ] own[7]: the time of day
  something else
"""


@pytest.mark.parametrize(
    ("name", "uptime", "policy"),
    [("M3066-V@10.12.323", None, ""), ("M1075-L@11.11.192", 0, ""), ("D2210-VE@12.9.57", 0, "none")],
)
def test_state_of_each_generation(name: str, uptime: int | None, policy: str) -> None:
    state = parse_system_ready(parse_json(recorded(f"system_ready_1_system_ready-{name}")))
    assert (state.is_ready, state.needs_setup, state.uptime, state.passphrase_policy) == (True, False, uptime, policy)


@pytest.mark.parametrize(
    ("name", "architecture"), [("P3245-LVE@11.11.192", "armv7hf"), ("Q1961-TE@12.9.57", "aarch64")]
)
def test_product_of_each_generation(name: str, architecture: str) -> None:
    info = parse_device_info(parse_json(recorded(f"basic_device_info_get_all_properties-{name}")))
    number, _, version = name.partition("@")
    assert (info.number, info.version, info.architecture) == (number, version, architecture)
    assert info.generation == version.partition(".")[0]


def test_product_without_a_login_has_no_architecture() -> None:
    info = parse_device_info(parse_json(recorded("basic_device_info_get_all_unrestricted")))
    assert (info.number, info.architecture, info.soc) == ("Q1961-TE", "", "")


def test_apis_are_listed() -> None:
    apis = {api.id: api.version for api in parse_apis(parse_json(recorded("api_discovery_1_get_api_list-Q1961")))}
    assert apis["ssh"] == "1.0"
    assert apis["param-cgi"] == "1.0"


def test_apps_of_each_generation() -> None:
    found = parse_applications(recorded("applications_list-12.11.77"))
    assert [(app.name, app.is_signed, app.is_bundled, app.is_running) for app in found] == [
        ("vmd", True, True, True),
        ("own_app", False, False, False),
    ]
    assert (found[1].title, found[1].page) == ("Own <app>", "local/own_app/index.html")
    assert parse_applications(recorded("applications_list-10.12.300")) == (
        Application(
            name="vmd",
            title="AXIS Video Motion Detection",
            vendor="Axis Communications",
            version="2.20-2",
            state="Running",
            license="None",
        ),
    )
    assert parse_applications(b'<reply result="ok"></reply>') == ()


@pytest.mark.parametrize(
    ("answer", "code"),
    [(b"OK", None), (b"OK\n", None), (b"OK package=x", None), (b"Error: 10\n", 10), (b"", 0), (b"<html>OK</html>", 0)],
)
def test_result_of_an_upload(answer: bytes, code: int | None) -> None:
    assert parse_result(answer) == code


def test_switches_are_read() -> None:
    assert parse_switches(b'<reply result="ok"><param name="AllowUnsigned" value="true" /></reply>') == {
        "AllowUnsigned": "true"
    }
    assert parse_switches(b'<reply result="error"><error type="1" message="Error: x" /></reply>') == {}


def test_parameters_of_a_recorded_device_are_read() -> None:
    params = parse_params(recorded("parameter_management_list_all").decode())
    assert len(params) > 1500
    assert params["Properties.System.Architecture"] == "armv7hf"
    assert parse_params(recorded("parameter_management_list_error").decode()) == {}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pwdgrp_add_user_already_exists-D4200-VE@12.9.57.html", "Created account cassettetest."),
        (
            "pwdgrp_add_user_already_exists-D4200-VE@12.9.57-001.html",
            "this user name already exists, consult the system log file.",
        ),
        ("pwdgrp_remove_user_does_not_exist", "account user name."),
    ],
)
def test_pages_about_accounts_become_text(name: str, text: str) -> None:
    assert parse_message(recorded(name)) == text


@pytest.mark.parametrize(
    ("password", "policy", "lacks"),
    [
        ("x", "none", None),
        ("", "none", "has 0 characters"),
        ("x" * 65, "none", "has 65 characters"),
        ("pässword", "", "ASCII"),
        ("x" * 14, "length", "at least 15"),
        ("x" * 15, "length", None),
        ("Abcdefghij1", "complex", "at least 12"),
        ("Abcdefghijk1", "complex", "small and capital"),
        ("Abcdefghij1!", "complex", None),
        ("x", "something new", None),
    ],
)
def test_passphrase_policies(password: str, policy: str, lacks: str | None) -> None:
    problem = check_passphrase(password, policy)
    assert problem is None if lacks is None else lacks in str(problem)


BOMBS = [
    b"<reply>" * 33 + b"</reply>" * 33,
    b"<r>" + b"<x/>" * 60_000 + b"</r>",
    b'<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><r>&b;</r>',
    b'<!DOCTYPE r SYSTEM "file:///etc/passwd"><r/>',
    b"<reply>",
    b"\xff\xfe",
    b"",
]


@pytest.mark.parametrize("data", BOMBS)
def test_xml_bomb_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_xml(data)


@pytest.mark.parametrize(
    "data",
    [b"[" * 100_000, b'{"a":' * 33 + b"1" + b"}" * 33, b"[]", b'{"a": ' + b"9" * 5000 + b"}", b"{", b"\xff", b""],
)
def test_json_bomb_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        parse_json(data)


def test_brackets_in_texts_are_no_depth() -> None:
    assert parse_json(b'{"a": "' + b"[" * 1000 + b'\\""}')["a"].startswith("[[")


def test_log_lines_have_parts() -> None:
    lines = parse_lines(LOG)
    assert [parse_entry(line) for line in lines] == [
        Entry("2025-04-17T20:24:33.559+00:00", "INFO", "own", "first: text", "140843"),
        Entry("2025-04-17T20:24:33.560+00:00", "ERR", "sdkown.service", "no number"),
        Entry("14:13:07.412", "INFO", "own", "the time of day", "7"),
        Entry("", "", "", "  something else"),
    ]


def test_log_with_the_newest_line_first_is_turned_round() -> None:
    lines = [line for line in LOG.decode().splitlines() if "2025" in line]
    assert parse_lines("\n".join(reversed(lines)).encode()) == tuple(lines)


@pytest.mark.parametrize(
    ("before", "now", "news", "has_gap"),
    [
        ("", "", "", False),
        ("", "ab", "ab", False),
        ("ab", "ab", "", False),
        ("ab", "abcd", "cd", False),
        ("abcd", "cdef", "ef", False),  # the beginning was removed
        ("abcd", "xdef", "ef", False),  # and the first line cut off
        ("abcd", "efgh", "efgh", True),
        ("abcd", "", "", True),
        ("aab", "aabaab", "aab", False),  # as many lines as possible were shown before
        ("abab", "ababab", "ab", False),
        ("xab", "abab", "ab", False),
    ],
)
def test_following_a_log_neither_loses_nor_repeats_lines(before: str, now: str, news: str, has_gap: bool) -> None:
    found = find_news(list(before), list(now))
    assert ("".join(found.lines), found.has_gap) == (news, has_gap)


def test_following_a_log_takes_time_in_proportion_to_its_length() -> None:
    lines = ["same"] * 100_000
    assert find_news(lines, [*lines, "new"]).lines == ("new",)
