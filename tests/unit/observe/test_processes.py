"""What a look at a device's /proc tells of our runs."""

import pytest

from incamera.errors import DeviceError
from incamera.observe.processes import parse_sample, python_words

ROOT = "/tmp/incamera/bell/4f1c"
# As a virtual armv7hf camera printed it.
TEXT = f"""\
= sample -
1111.16 2001.50
MemTotal:         500588 kB
MemFree:          300000 kB
MemAvailable:     365540 kB
= stat 288
288 (ld-linux-armhf.) S 254 288 288 0 -1 4194304 963 0 0 0 455 86 0 0 20 0 2 0 59996 18419712 1400 4294967295 1 2
= run 288
INCAMERA_RUN=incamera-run-981ebe
= words 288
/lib/ld-linux-armhf.so.3
--library-path
{ROOT}/lib
--argv0
{ROOT}/bin/python3
{ROOT}/libexec/python3.11
app.py
--name
two words
= folder 288
{ROOT}/app
= memory 288
VmHWM:	    5800 kB
VmRSS:	    5600 kB
Threads:	2
Pss:                5488 kB
files: 3
= stat 300
300 (a) b) R 288 288 288 0 -1 0 0 0 0 0 7 0 0 0 20 0 1 0 100000 1 1
= run 300
INCAMERA_RUN=incamera-run-981ebe
= words 300
sh
-c
sleep 1
= folder 300
/
= memory 300
VmRSS:	     200 kB
Threads:	1
files: 4
= stat 301
301 (gone) R 1
= stat 302
302 (dead) Z 288 288 288 0 -1 0 0 0 0 0 7 0 0 0 20 0 1 0 100000 1 1
= run 302
INCAMERA_RUN=incamera-run-981ebe
= words 302
= folder 302
= memory 302
= end -
"""


def test_processes_are_told_as_they_were_meant() -> None:
    sample = parse_sample(TEXT, "cam")
    python, shell = sample.processes
    assert python.command == "python3 app.py --name 'two words'"
    assert python.interpreter == f"{ROOT}/bin/python3"
    assert (python.app, python.run, python.threads, python.files) == ("bell", "incamera-run-981ebe", 2, 3)
    assert (python.resident, python.proportional, python.peak) == (5600 * 1024, 5488 * 1024, 5800 * 1024)
    assert (shell.command, shell.interpreter, shell.proportional) == ("sh -c 'sleep 1'", None, None)
    assert shell.parent == python.pid
    assert (sample.free, sample.total) == (365540 * 1024, 500588 * 1024)


# An edit loop: the app is a fork of the warm process, which is one of the agent.
WATCHED = {
    223: ("/tmp/incamera/.guard/incamera-guard-a1b2", "supervise", "/tmp/incamera-run-7", "--grace", "3000"),
    224: ("python3", "-m", "incamera_agent", "--app", "bell", "--user", "me@home"),
    225: ("python3", "-m", "incamera_agent", "--fork-server", "", ""),
    226: ("python3", "app.py", "two words", "", ""),
    227: ("sleep", "600"),
    228: ("python3", "-m", "incamera_agent", "--compile-check"),
}


def test_every_process_has_a_role() -> None:
    parts = ["= sample -", "100.0 1", "MemTotal: 500588 kB"]
    for pid, words in WATCHED.items():
        parts += [f"= stat {pid}", f"{pid} (x) S 1 {'0 ' * 17}{pid} 1", f"= run {pid}"]
        parts += ["INCAMERA_RUN=incamera-run-7"] if pid > 223 else []
        parts += [f"= words {pid}", *words, f"= folder {pid}", "/", f"= memory {pid}", "VmRSS: 4 kB"]
    sample = parse_sample("\n".join([*parts, "= end -", ""]), "cam")
    assert [(str(process.role), process.app, process.command) for process in sample.processes] == [
        ("app", "bell", "python3 app.py 'two words'"),
        ("child", "bell", "sleep 600"),
        ("fork server", "bell", "python3 -m incamera_agent --fork-server"),
        ("check", "bell", "python3 -m incamera_agent --compile-check"),
        ("agent", "bell", "python3 -m incamera_agent --app bell --user me@home"),
        ("guard", "bell", "incamera-guard supervise /tmp/incamera-run-7 --grace 3000"),
    ]


def test_processor_use_is_that_between_two_samples() -> None:
    first = parse_sample(TEXT, "cam")
    later = parse_sample(TEXT.replace("1111.16", "1113.16").replace(" 455 86 ", " 555 136 "), "cam")
    assert later.usage_since(first)[288] == pytest.approx(75)
    # Without an earlier look: since it began, at 599.96 s.
    assert first.usage_since(None)[288] == pytest.approx(100 * 5.41 / (1111.16 - 599.96))


def test_new_process_counts_from_its_start() -> None:
    before = parse_sample(TEXT.partition("= stat 300")[0] + "= end -\n", "cam")
    assert parse_sample(TEXT, "cam").usage_since(before)[300] == pytest.approx(100 * 0.07 / (1111.16 - 1000))


@pytest.mark.parametrize("text", ["", "sh: syntax error", "= sample -\nnonsense\n= end -\n"])
def test_another_answer_is_an_error(text: str) -> None:
    with pytest.raises(DeviceError, match="cam"):
        parse_sample(text, "cam")


def test_only_our_loader_is_left_out() -> None:
    words = ["/lib/ld-linux-armhf.so.3", "--list", "/bin/true"]
    assert python_words(words) == (words, None)
    assert python_words([]) == ([], None)
