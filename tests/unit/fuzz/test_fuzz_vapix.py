"""What a camera's web server sends, damaged or invented, is a value or the documented error; it takes no long time.

Each target has few examples each time, and many in `make test-all`. The seed is fixed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.fuzz.documents import damaged_bytes, damaged_values
from tests.unit.vapix.fake_camera import recorded

from incamera.http_auth import Authorizer, Login, parse_challenges
from incamera.vapix.accounts import parse_message
from incamera.vapix.applications import parse_applications, parse_result, parse_switches
from incamera.vapix.certificate import read_certificate
from incamera.vapix.device_info import parse_apis, parse_device_info, parse_system_ready
from incamera.vapix.documents import parse_json
from incamera.vapix.params import parse_params
from incamera.vapix.system_log import find_news, parse_entry, parse_lines

# One example may take so long on a busy computer; a parser that goes back and forth takes minutes.
_MOST_SECONDS = 5.0

words = st.sampled_from(
    [
        *("Digest", "Basic", "Negotiate", "realm", "nonce", "qop", "opaque", "algorithm", "stale", "MD5", "SHA-256"),
        *(
            '"auth"',
            '"AXIS_00408C"',
            '"a\\"b"',
            '"',
            "=",
            ",",
            " ",
            "\t",
            "\\",
            "\r\n",
            "\0",
            "\x85",
            "é",
            "x" * 300,
            "",
        ),
        *("auth-int", "true", "MD5-sess", "token68==", "a/b+c=", "name ="),
    ]
)
headers = st.lists(words, max_size=30).map("".join) | st.text(max_size=200)


def check_challenges(texts: list[str]) -> None:
    for encrypted in (True, False):
        authorizer = Authorizer(Login("root", "secret word"), encrypted=encrypted)
        if not authorizer.take(parse_challenges(texts)):
            assert authorizer.header("GET", "/") is None
            continue
        header = authorizer.header("GET", "/x?y=z")
        assert header is not None
        assert header.isprintable()
        assert "secret" not in header
        assert encrypted or not header.startswith("Basic")


def check_documents(documents: list[dict[str, object]]) -> None:
    for document in documents:
        assert parse_system_ready(document).is_ready in (True, False)
        info = parse_device_info(document)
        assert not info.version or info.version.replace(".", "").isdecimal()
        assert all(api.id for api in parse_apis(document))


def check_bytes(data: bytes) -> None:
    readers: list[Callable[[bytes], object]] = [parse_json, parse_applications, parse_switches]
    for read in readers:
        try:
            read(data)
        except ValueError:
            continue
    code = parse_result(data)
    assert code is None or 0 <= code <= 9999
    assert isinstance(parse_message(data), str)
    assert parse_params(data.decode("utf-8", "replace")) is not None
    lines = parse_lines(data)
    assert all("\n" not in str(parse_entry(line)) for line in lines)
    assert find_news(lines, lines).lines == ()
    assert len(read_certificate(data).digest) == 64


documents = st.one_of(
    *(
        damaged_values(json.loads(recorded(name)))
        for name in (
            "system_ready_1_system_ready-D2210",
            "basic_device_info_get_all_properties-P3245",
            "api_discovery_1_get_api_list-M3066",
        )
    )
)
LOG = (
    b"----- Contents of SYSTEM_LOG for 'x' -----\n\n"
    b"2025-04-17T20:24:33.559+00:00 axis-01 [ INFO    ] own[140843]: text\n14:13:07.412 [ ERR ] app: x\n"
)
answers = st.one_of(
    *(
        damaged_bytes(data)
        for data in (
            recorded("system_ready_1_system_ready-D2210"),
            recorded("applications_list-12.11.77"),
            recorded("pwdgrp_remove_user_does_not_exist"),
            b'<reply result="ok"><param name="AllowUnsigned" value="true" /></reply>',
            b"root.Brand.Brand=AXIS\nroot.Brand.ProdNbr=P3245-LVE\n",
            b"Error: 12\n",
            LOG,
        )
    ),
    st.binary(max_size=300),
    st.sampled_from(
        [b"[" * 5000, b"<" * 5000, b"<a>" * 5000, b"-" * 5000, b"12:34:56 " * 500, b"[ INFO" * 900, b'"' * 5000]
    ),
)

TARGETS: dict[str, tuple[st.SearchStrategy[object], Callable[..., None], int]] = {
    "challenges": (st.lists(headers, max_size=4), check_challenges, 60),
    "documents": (st.lists(documents, min_size=1, max_size=2), check_documents, 30),
    "answers": (answers, check_bytes, 60),
}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("times", [1, pytest.param(30, marks=pytest.mark.matrix)])
def test_any_answer_of_a_camera_is_a_value_or_an_error(target: str, times: int) -> None:
    strategy, check, examples = TARGETS[target]

    def timed(value: object) -> None:
        began = time.process_time()
        check(value)
        assert time.process_time() - began < _MOST_SECONDS

    fixed = settings(
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=examples * times,
        suppress_health_check=list(HealthCheck),
    )
    fixed(given(strategy)(timed))()


@pytest.mark.parametrize("text", ["a" * 4096, " " * 4096, "a=" * 2048, 'a="' * 1365, 'a="\\' * 1024, ",=" * 2048])
def test_long_challenge_takes_no_time(text: str) -> None:
    began = time.process_time()
    parse_challenges([text] * 4)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "text", ["[" * 8000, "1" * 8000, "00:00:00" + " " * 8000, "00:00:00 " + "a " * 4000, "a" * 8000]
)
def test_long_log_line_takes_no_time(text: str) -> None:
    began = time.process_time()
    parse_entry(text)
    assert time.process_time() - began < 1
