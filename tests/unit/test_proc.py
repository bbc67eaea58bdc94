"""The one door to other programs."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from incamera import proc
from incamera.errors import ToolFailed
from incamera.store import process_exists

pytestmark = pytest.mark.starts_processes
PATIENCE_SECONDS = 20


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (path.exists() and path.read_text().endswith("\n")):
        assert time.monotonic() < deadline, f"{path} did not come"
        time.sleep(0.01)
    return path.read_text().strip()


def wait_for_end(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while process_exists(pid) and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < deadline, f"{pid} did not end"
        time.sleep(0.01)


def test_what_it_printed_is_returned() -> None:
    result = proc.run(python("import sys; print('out'); print('err', file=sys.stderr)"), purpose="try")
    assert (result.stdout, result.stderr, result.text) == (b"out\n", b"err\n", "out\n")


def test_input_is_given_and_is_closed_otherwise() -> None:
    reader = python("import sys; print(len(sys.stdin.read()))")
    assert proc.run(reader, purpose="try", input=b"x" * 100_000).text == "100000\n"
    assert proc.run(reader, purpose="try").text == "0\n"


def test_only_a_few_variables_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INCAMERA_SECRET", "1")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    shown = proc.run(python("import os; print(sorted(os.environ))"), purpose="try").text
    assert "INCAMERA_SECRET" not in shown
    assert "PYTHONPATH" not in shown
    assert "'PATH'" in shown
    alone = proc.run(
        python("import os; print(os.environ.get('ONLY'), 'PATH' in os.environ)"), purpose="t", env={"ONLY": "1"}
    )
    assert alone.text == "1 False\n"


def test_a_failure_tells_the_purpose_the_code_and_the_last_lines() -> None:
    code = "import sys; [print('line', n, file=sys.stderr) for n in range(100)]; sys.exit(3)"
    with pytest.raises(ToolFailed, match=r"^cannot compile numbers: .*: exit code 3$") as caught:
        proc.run(python(code), purpose="compile numbers", hint="mend it")
    assert caught.value.tail.splitlines()[-1] == "line 99"
    assert len(caught.value.tail.splitlines()) < 50
    assert caught.value.hint == "mend it"
    assert caught.value.argv[0] == sys.executable


def test_a_failure_that_printed_only_to_standard_output() -> None:
    with pytest.raises(ToolFailed) as caught:
        proc.run(python("print('what is wrong'); raise SystemExit(1)"), purpose="try")
    assert caught.value.tail == "what is wrong"


def test_a_program_that_a_signal_killed() -> None:
    with pytest.raises(ToolFailed, match="SIGKILL"):
        proc.run(python("import os; os.kill(os.getpid(), 9)"), purpose="try")


def test_a_program_that_is_not_there() -> None:
    for start in (
        lambda: proc.run(["/nowhere/gcc"], purpose="compile"),
        lambda: proc.running(["/nowhere/gcc"], purpose="compile").__enter__(),
    ):
        with pytest.raises(ToolFailed, match="cannot compile: /nowhere/gcc: No such file"):
            start()


def test_a_program_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"import os, time; print(os.getpid(), file=open({str(note)!r}, 'w'), flush=True); time.sleep(600)"
    with pytest.raises(ToolFailed, match="took longer than 1 s"):
        proc.run(python(code), purpose="try", timeout=1)
    if note.exists():
        wait_for_end(int(note.read_text()))


def test_all_that_was_printed_is_logged_whatever_happens(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(ToolFailed):
        proc.run(python("print('said'); raise SystemExit(1)"), purpose="try", log=log)
    first, *rest = log.read_text().splitlines()
    assert first.startswith(f"$ {sys.executable} -c")
    assert rest == ["said"]
    slow = "import time; print('begun', flush=True); time.sleep(60)"
    with pytest.raises(ToolFailed, match="took longer"):
        proc.run(python(slow), purpose="try", timeout=1, log=log)
    assert "begun" in log.read_text()


def test_a_running_program_ends_with_its_block() -> None:
    with proc.running(python("import time; time.sleep(600)"), purpose="try") as child:
        assert child.poll() is None
    assert child.returncode == -signal.SIGTERM


def test_a_program_that_will_not_hear_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    code += f"; print(os.getpid(), file=open({str(note)!r}, 'w'), flush=True); time.sleep(600)"
    with proc.running(python(code), purpose="try") as child:
        wait_for(note)
    assert child.returncode == -signal.SIGKILL


def test_input_that_was_not_read_hides_no_error() -> None:
    """The program ends without reading: why the block was left is what counts."""

    def use() -> None:
        with proc.running(python("import time; time.sleep(600)"), purpose="try", stdin=subprocess.PIPE) as child:
            assert child.stdin is not None
            child.stdin.write(b"unread")
            raise KeyError("the reason")

    with pytest.raises(KeyError, match="the reason"):
        use()


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"import os, time; print(os.getpid(), file=open({str(note)!r}, 'w'), flush=True); time.sleep(600)"

    def press() -> None:
        wait_for(note)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press).start()
    with pytest.raises(KeyboardInterrupt):
        proc.run(python(code), purpose="try")
    wait_for_end(int(note.read_text()))


def test_a_service_reads_the_end_of_its_input_when_we_are_gone(tmp_path: Path) -> None:
    service = proc.start_service(
        python("import sys; print('up', flush=True); sys.stdin.read()"), purpose="try", log=tmp_path / "log"
    )
    with service:
        assert service.stdout is not None
        assert service.stdin is not None
        assert service.stdout.readline() == b"up\n"
        assert service.poll() is None
        service.stdin.close()
        assert service.wait(PATIENCE_SECONDS) == 0


def test_a_tied_program_is_killed_with_us(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"""
import os, sys, time
from pathlib import Path
from incamera import proc
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
child = proc.start_tied(sleep, purpose="try", log=Path(os.devnull), env={{}})
print(child.pid, file=open({str(note)!r}, "w"), flush=True)
time.sleep(600)
"""
    with subprocess.Popen(python(code)) as parent:
        child = int(wait_for(note))
        assert process_exists(child)
        parent.kill()
    wait_for_end(child)
