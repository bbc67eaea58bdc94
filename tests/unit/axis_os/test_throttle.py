"""Which clients are blocked after wrong passwords, and until when."""

from __future__ import annotations

from incamera.axis_os.facts import Facts
from incamera.axis_os.parameters import own_parameters
from incamera.axis_os.throttle import GROUP, Limits, Throttle, parse_line

LIMITS = Limits(page=(3, 10.0), site=(5, 10.0), blocked_seconds=20.0)


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_limits_of_a_camera_are_as_recorded_and_can_be_switched_off() -> None:
    parameters = own_parameters(Facts(version="12.9.57", architecture="armv7hf", serial="0123456789AB"))
    assert Limits.of(parameters) == Limits(page=(20, 1.0), site=(20, 1.0), blocked_seconds=10.0)
    assert Limits.of(parameters | {f"{GROUP}.ActivatePasswordThrottling": "Off"}) is None


def test_client_is_blocked_by_its_failures_within_the_interval_and_not_by_those_of_others() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    assert not any(throttle.fail("10.0.2.2", "/a", LIMITS) for _ in range(2))
    assert not throttle.fail("10.0.2.3", "/a", LIMITS)
    clock.seconds += 11
    assert [throttle.fail("10.0.2.2", "/a", LIMITS) for _ in range(3)] == [False, False, True]
    assert throttle.seconds_left == 20.0


def test_pages_together_have_a_limit_of_their_own() -> None:
    throttle = Throttle(Clock())
    assert [throttle.fail("10.0.2.2", f"/{page}", LIMITS) for page in "abcde"] == [False] * 4 + [True]


def test_block_ends_after_the_period_whatever_comes_meanwhile_and_then_counting_begins_anew() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(3):
        throttle.fail("10.0.2.2", "/a", LIMITS)
    clock.seconds += 19
    assert not throttle.fail("10.0.2.2", "/a", LIMITS)
    assert throttle.release() == []
    clock.seconds += 1
    assert throttle.release() == ["10.0.2.2"]
    assert throttle.seconds_left is None
    assert not throttle.fail("10.0.2.2", "/a", LIMITS)


def test_what_it_keeps_is_limited() -> None:
    throttle = Throttle(Clock())
    for number in range(5000):
        throttle.fail(f"10.{number >> 8}.{number & 255}.1", f"/{number}", LIMITS)
    assert len(throttle._failures) <= 1000


def test_damaged_lines_name_nobody() -> None:
    assert parse_line("10.0.2.2 /axis-cgi/a b\n") == ("10.0.2.2", "/axis-cgi/a b")
    assert parse_line("fe80::1 /") == ("fe80::1", "/")
    for line in ("", "../x /", "10.0.2.2/../x /", "/axis-cgi"):
        assert parse_line(line) is None
