# SPDX-License-Identifier: Apache-2.0
"""`tally run` on a terminal: its keys, its jobs, its live line."""
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

import pytest

from conftest import COUNT_SIGNALS, PATIENCE, python


class Terminal:
    """A pseudo terminal, and a program that is the leader of its session and in its foreground."""

    def __init__(self, words, rows=24, columns=80, **environment):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # Jobs in the background begin without.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            inherited = {key: os.environ[key] for key in os.environ if key != "NO_COLOR"}
            os.execvpe(words[0], [str(word) for word in words],
                       {**inherited, "TERM": "xterm", **environment})

    def read_until(self, text):
        end = time.monotonic() + PATIENCE
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} did not come; this did: {self.seen!r}"
            if select.select([self.fd], [], [], 1)[0]:
                self.read()

    def read(self):
        try:
            more = os.read(self.fd, 65536)
        except OSError:  # Nobody has the other end any more.
            more = b""
        self.seen += more
        return bool(more)

    def type(self, keys):
        os.write(self.fd, keys)

    def wait(self, flags=0):
        """Read to the end, and give the wait status."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                self.read()
            pid, status = os.waitpid(self.pid, flags | os.WNOHANG)
            if pid:
                while select.select([self.fd], [], [], 0)[0] and self.read():
                    pass
                return status
        raise AssertionError("it does not end")

    def close(self):
        os.close(self.fd)
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


@pytest.fixture
def terminal(tally):
    opened = []

    def start(*words, **options):
        opened.append(Terminal([*tally.command, *words], **options))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_ctrl_c_reaches_the_command_once(terminal):
    screen = terminal("run", "--quiet", *python(COUNT_SIGNALS))
    screen.read_until(b"ready")
    screen.type(b"\x03")
    assert os.waitstatus_to_exitcode(screen.wait()) == 101


def test_ctrl_c_ends_a_command_that_does_not_catch_it(terminal):
    screen = terminal("run", "sh", "-c", "echo ready; exec sleep 30")
    screen.read_until(b"ready")
    screen.type(b"\x03")
    assert os.waitstatus_to_exitcode(screen.wait()) == 130
    assert b"ended by SIGINT" in screen.seen


def test_ctrl_z_stops_the_job_and_it_goes_on(tally, tmp_path):
    """Below a shell with job control, as a user has it."""
    script = tmp_path / "script"
    script.write_text(f"echo ready; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo went on\n")
    screen = Terminal(["bash", "--norc", "--noprofile", "-i"])
    try:
        screen.type(f"{' '.join(tally.command)} run --quiet sh {script}\n".encode())
        screen.read_until(b"ready\r\n")
        screen.type(b"\x1a")
        screen.read_until(b"Stopped")
        (tmp_path / "go").touch()
        time.sleep(0.3)
        assert b"went on" not in screen.seen, "the command itself is stopped"
        screen.type(b"fg; echo status $?\n")
        screen.read_until(b"went on\r\n")
        screen.read_until(b"status 0\r\n")
        screen.type(b"exit\n")
        screen.wait()
    finally:
        screen.close()


def test_a_live_line_stands_at_the_foot_and_goes(terminal):
    screen = terminal("run", "--interval", "200ms", "--name", "example", "sleep", "2.5", rows=30)
    status = screen.wait()
    assert os.waitstatus_to_exitcode(status) == 0
    assert b"\x1b[1;29r" in screen.seen, "the last row is kept out of what scrolls"
    assert b"\x1b[30;1H\x1b[2K[example]  1." in screen.seen
    live, _, report = screen.seen.rpartition(b"\x1b[r\x1b[30;1H\x1b[2K\x1b8")
    assert live and b"[example]" not in report
    assert b"exit 0" in report


def test_the_live_line_is_redrawn_a_few_times_a_second(terminal):
    screen = terminal("run", "--interval", "10ms", "sleep", "3")
    screen.wait()
    assert 3 <= screen.seen.count(b"[sleep]") <= 12


@pytest.mark.parametrize("options, environment", [
    (["--quiet"], {}),
    ([], {"TERM": "dumb"}),
])
def test_there_is_no_live_line_where_it_is_not_wanted(terminal, options, environment):
    screen = terminal("run", *options, "sleep", "1.6", **environment)
    screen.wait()
    assert b"\x1b" not in screen.seen


def test_no_live_line_for_a_command_that_reads_keys(terminal):
    screen = terminal("run", *python(
        "import tty, time; tty.setcbreak(0); time.sleep(1.8)"))
    screen.wait()
    assert b"\x1b[1;" not in screen.seen.partition(b"exit 0")[0].replace(b"\x1b[1m", b"")


def test_no_color_leaves_colours_out(terminal):
    coloured, plain = terminal("run", "true"), terminal("run", "true", NO_COLOR="1")
    coloured.wait()
    plain.wait()
    assert b"\x1b[32mexit 0" in coloured.seen
    assert b"\x1b[" not in plain.seen


def test_output_of_the_command_scrolls_above_the_live_line(tally, tmp_path):
    """As a real terminal emulator shows it."""
    if subprocess.run(["which", "tmux"], capture_output=True).returncode:
        pytest.skip("tmux is not installed")
    socket = f"tally-test-{os.getpid()}"
    tmux = ["tmux", "-L", socket, "-f", "/dev/null"]
    script = "i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i; sleep 0.04; done; sleep 1.2"
    environment = {key: value for key, value in os.environ.items() if key != "TMUX"}
    command = " ".join(tally.command)
    subprocess.run([*tmux, "new-session", "-d", "-x", "70", "-y", "20",
                    f"{command} run sh -c '{script}'; sleep 30"], check=True, env=environment)
    try:
        screen = watch(tmux, lambda lines: "line 60" in lines and lines[-1].startswith("[sh]"))
        assert screen[-1].startswith("[sh]")
        above = [line for line in screen[:-1] if line]
        assert above == [f"line {i}" for i in range(61 - len(above), 61)]
        screen = watch(tmux, lambda lines: any("sh: exit 0" in line for line in lines))
        assert not any(line.startswith("[sh]") for line in screen)
    finally:
        subprocess.run([*tmux, "kill-server"], env=environment)


def watch(tmux, condition):
    for _ in range(PATIENCE * 10):
        lines = subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True,
                               text=True).stdout.split("\n")
        lines = [line.rstrip() for line in lines]
        while lines and not lines[-1]:
            lines.pop()
        if lines and condition(lines):
            return lines
        time.sleep(0.1)
    raise AssertionError(f"it did not come; this is there: {lines}")
