"""Starting other programs: output, errors, and that none is left running."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from tests.waiting import PATIENCE_SECONDS, wait_until

from incamera import proc
from incamera.errors import ToolFailed
from incamera.store import process_exists

pytestmark = pytest.mark.starts_processes


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def read_note(path: Path) -> str:
    """Wait until a program has written a line to *path*, and return it."""
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"), f"{path} has a line")
    return path.read_text().strip()


def wait_for_end(pid: int) -> None:
    def has_ended() -> bool:
        return not process_exists(pid) or " Z " in Path(f"/proc/{pid}/stat").read_text()

    wait_until(has_ended, f"process {pid} has ended")


def test_run_returns_what_the_program_printed() -> None:
    result = proc.run(python("import sys; print('out'); print('err', file=sys.stderr)"), purpose="try")
    assert (result.stdout, result.stderr, result.text) == (b"out\n", b"err\n", "out\n")


def test_standard_input_is_empty() -> None:
    reader = python("import sys; print(len(sys.stdin.read()))")
    assert proc.run(reader, purpose="try").text == "0\n"


def test_a_program_gets_only_a_few_environment_variables(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_failure_names_purpose_exit_code_and_last_lines() -> None:
    code = "import sys; [print('line', n, file=sys.stderr) for n in range(100)]; sys.exit(3)"
    with pytest.raises(ToolFailed, match=r"^cannot compile numbers: .*: exit code 3$") as caught:
        proc.run(python(code), purpose="compile numbers", hint="fix it")
    assert caught.value.tail.splitlines()[-1] == "line 99"
    assert len(caught.value.tail.splitlines()) < 50
    assert caught.value.hint == "fix it"


def test_last_lines_are_from_standard_output_when_standard_error_is_empty() -> None:
    with pytest.raises(ToolFailed) as caught:
        proc.run(python("print('what is wrong'); raise SystemExit(1)"), purpose="try")
    assert caught.value.tail == "what is wrong"


def test_a_program_killed_by_a_signal_is_an_error_that_names_the_signal() -> None:
    with pytest.raises(ToolFailed, match="SIGKILL"):
        proc.run(python("import os; os.kill(os.getpid(), 9)"), purpose="try")


def test_a_missing_program_is_an_error_that_names_it() -> None:
    for start in (
        lambda: proc.run(["/nowhere/gcc"], purpose="compile"),
        lambda: proc.running(["/nowhere/gcc"], purpose="compile").__enter__(),
    ):
        with pytest.raises(ToolFailed, match="cannot compile: /nowhere/gcc: No such file"):
            start()


def test_a_program_that_exceeds_the_timeout_is_ended(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"import os, time; print(os.getpid(), file=open({str(note)!r}, 'w'), flush=True); time.sleep(600)"
    with pytest.raises(ToolFailed, match="took longer than 1 s"):
        proc.run(python(code), purpose="try", timeout=1)
    if note.exists():
        wait_for_end(int(note.read_text()))


def test_a_running_program_is_ended_when_the_block_is_left() -> None:
    with proc.running(python("import time; time.sleep(600)"), purpose="try") as child:
        assert child.poll() is None
    assert child.returncode == -signal.SIGTERM


def test_a_program_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    code += f"; print(os.getpid(), file=open({str(note)!r}, 'w'), flush=True); time.sleep(600)"
    with proc.running(python(code), purpose="try") as child:
        read_note(note)
    assert child.returncode == -signal.SIGKILL


def test_unread_input_does_not_hide_the_error_of_the_block() -> None:
    def use() -> None:
        with proc.running(python("import time; time.sleep(600)"), purpose="try", stdin=subprocess.PIPE) as child:
            assert child.stdin is not None
            child.stdin.write(b"unread")
            raise KeyError("the reason")

    with pytest.raises(KeyError, match="the reason"):
        use()


def test_ctrl_c_ends_the_running_program(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"import os, time; print(os.getpid(), file=open({str(note)!r}, 'w'), flush=True); time.sleep(600)"

    def press_ctrl_c() -> None:
        read_note(note)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_ctrl_c).start()
    with pytest.raises(KeyboardInterrupt):
        proc.run(python(code), purpose="try")
    wait_for_end(int(note.read_text()))


def test_a_service_reads_end_of_file_when_its_pipe_is_closed(tmp_path: Path) -> None:
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


def test_a_tied_program_is_killed_when_its_parent_is_killed(tmp_path: Path) -> None:
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
        child = int(read_note(note))
        assert process_exists(child)
        parent.kill()
    wait_for_end(child)


def test_a_program_on_a_noexec_disk_is_an_error_that_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "tool"
    program.touch()  # it is not executable, so the kernel refuses it with the same error
    with pytest.raises(ToolFailed, match="Permission denied"):
        proc.run([program], purpose="compile")
    flags = os.statvfs_result((0,) * 8 + (os.ST_NOEXEC, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: flags)
    with pytest.raises(ToolFailed, match=r"cannot compile: the disk of .*tool is mounted noexec") as caught:
        proc.run([program], purpose="compile")
    assert "INCAMERA_STORE" in str(caught.value.hint)


@pytest.mark.parametrize("text", [b"\x7fELF", b"\x7fELF" + bytes(2000)])
def test_a_damaged_program_is_an_error_with_the_remedy(tmp_path: Path, text: bytes) -> None:
    program = tmp_path / "tool"
    program.write_bytes(text)
    program.chmod(0o755)
    with pytest.raises(ToolFailed, match="Exec format error") as caught:
        proc.run([program], purpose="compile")
    assert "`incamera store verify`" in str(caught.value.hint)


@pytest.mark.parametrize("end", ["kill -SEGV $$", "exit 127"])
def test_a_program_that_crashes_may_be_damaged(end: str) -> None:
    with pytest.raises(ToolFailed) as caught:
        proc.run(["sh", "-c", end], purpose="compile")
    assert "`incamera store verify`" in str(caught.value.hint)
