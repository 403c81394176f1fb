# SPDX-License-Identifier: Apache-2.0
"""`tally run -f`: the processes of a Procfile as one task."""
import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from conftest import PATIENCE, ROOT, alive, need, wait_for
from test_run_terminal import Terminal

PYTHON = sys.executable

# Where the collector does not matter: nothing has to be loaded into the kernel.
QUICK = ("--collector", "procfs")

# Puts a daemon into the background by forking twice; it writes its pid and ignores hang-ups.
DAEMONISE = """
import os, signal, sys, time
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(os.getpid()))
os.rename(sys.argv[1] + ".new", sys.argv[1])
end = time.process_time() + float(sys.argv[2])
while time.process_time() < end:
    pass
open(sys.argv[1] + ".done", "w").close()
time.sleep(50)
"""


@pytest.fixture
def procfile(tmp_path):
    """Write a Procfile, and scripts and an environment beside it: procfile(text, name=script)."""
    def write(text, env=None, **scripts):
        for name, code in scripts.items():
            (tmp_path / f"{name}.py").write_text(code)
        if env is not None:
            (tmp_path / ".env").write_text(env)
        path = tmp_path / "Procfile"
        path.write_text(text.replace("PYTHON", f"exec {PYTHON} -S -E"))
        return str(path)

    return write


@pytest.fixture(params=["procfs", "bpf"])
def collector(request, tally):
    need(tally, request.param)
    return request.param


def processes(path):
    with open(path) as file:
        report = json.load(file)
    return report, {process["process"]: process for process in report["processes"]}


def wait_for_file(path):
    wait_for(lambda: os.path.exists(path) and os.path.getsize(path), f"{path} is written")
    with open(path) as file:
        return int(file.read())


def gone(pid):
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), f"{pid} ends")


def test_lines_come_behind_the_names_of_their_processes(tally, procfile):
    path = procfile("# two of them\n\none: echo first; echo second\nlonger-name: echo third >&2\n")
    done = tally("run", *QUICK, "--quiet", "--keep-going", "-f", path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "one         | first\none         | second\n"
    assert done.stderr == "longer-name | third\n"


def test_every_process_gets_its_port_its_environment_and_the_folder_of_the_file(tally, procfile):
    path = procfile("a: echo $PORT $PS $GREETING $PWD\nb: echo $PORT $PS $TWO\n",
                    env="# ours\nexport GREETING='hello you'\nTWO=\"1\\n2\"\n")
    done = tally("run", *QUICK, "--quiet", "-k", "-f", path, env={**os.environ, "GREETING": "wrong"})
    folder = os.path.dirname(path)
    assert sorted(done.stdout.splitlines()) == [
        f"a     | 5000 a.1 hello you {folder}", "b     | 5100 b.1 1 2"]


@pytest.mark.parametrize("words,env,variables,ports", [
    ((), None, {}, ["5000", "5100"]),
    (("--port", "7000"), "PORT=6000\n", {"PORT": "4000"}, ["7000", "7100"]),
    ((), "PORT=6000\n", {"PORT": "4000"}, ["6000", "6100"]),
    ((), None, {"PORT": "4000"}, ["4000", "4100"]),
])
def test_ports_are_counted_as_foreman_does(tally, procfile, words, env, variables, ports):
    path = procfile("a: echo $PORT\nb: echo $PORT\n", env=env)
    inherited = {key: value for key, value in os.environ.items() if key != "PORT"}
    done = tally("run", *QUICK, "-q", "-k", *words, "-f", path, env={**inherited, **variables})
    assert [line.split("| ")[1] for line in sorted(done.stdout.splitlines())] == ports


def test_another_environment_file_can_be_named(tally, procfile, tmp_path):
    (tmp_path / "other").write_text("NAME=other\n")
    path = procfile("a: echo $NAME\n", env="NAME=this\n")
    other = tally("run", *QUICK, "-q", "--env", tmp_path / "other", "-f", path)
    assert other.stdout == "a     | other\n"
    missing = tally("run", *QUICK, "-q", "--env", tmp_path / "none", "-f", path)
    assert missing.returncode == 1 and "No such file" in missing.stderr


@pytest.mark.parametrize("text,expected", [
    ("", "it names no process"),
    ("# nothing\n", "it names no process"),
    ("web ./server\n", "Procfile:1: 'web ./server' is not NAME: COMMAND"),
    ("\nweb:\n", "Procfile:2: 'web:' is not NAME: COMMAND"),
    ("a b: c\n", "Procfile:1: 'a b: c' is not NAME: COMMAND"),
    ("web: a\nweb: b\n", "Procfile:2: there is a process 'web' already"),
    ("web: a\0b\n", "Procfile:1: it holds a NUL"),
    (f"{'x' * 65}: a\n", "is longer than 64 characters"),
    ("".join(f"p{i}: true\n" for i in range(129)), "Procfile:129: more than 128 entries"),
])
def test_a_procfile_that_is_none_is_refused_in_one_line(tally, procfile, text, expected):
    done = tally("run", "-f", procfile(text))
    assert done.returncode == 2
    assert expected in done.stderr and done.stderr.count("\n") == 1, done.stderr


@pytest.mark.parametrize("env,expected", [
    ("A\n", ".env:1: 'A' is not NAME=VALUE"),
    ("A=1\n1B=2\n", ".env:2: '1B=2' is not NAME=VALUE"),
    ("A='x\n", ".env:1: the quote that opens the value of A is not closed"),
    ("PORT=zero\n", "PORT=zero of the environment is no port"),
])
def test_an_environment_file_that_is_none_is_refused_in_one_line(tally, procfile, env, expected):
    done = tally("run", "-f", procfile("a: true\n", env=env))
    assert done.returncode == 2
    assert expected in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_options_that_do_not_go_together_are_refused(tally, procfile):
    path = procfile("a: true\n")
    for words in (["-f", path, "true"], ["-k", "true"], ["--port", "80", "true"],
                  ["-f", path, "--wait"], ["-f", path, "--port", "65536"], []):
        done = tally("run", *words)
        assert done.returncode == 2 and done.stderr.startswith("tally run: "), words


def test_when_one_ends_the_others_are_ended_and_its_status_is_ours(tally, procfile, tmp_path):
    path = procfile(f"stays: echo $$ > {tmp_path}/pid; exec sleep 50\n"
                    f"ends: while [ ! -s {tmp_path}/pid ]; do sleep 0.05; done; exit 7\n")
    done = tally("run", *QUICK, "--json", tmp_path / "report", "-f", path)
    assert done.returncode == 7, done.stderr
    gone(wait_for_file(tmp_path / "pid"))
    report, found = processes(tmp_path / "report")
    assert report["exit_code"] == 7 and report["signal"] is None and report["command"] is None
    assert report["procfile"] == path and report["task"] == os.path.basename(tmp_path)
    assert found["ends"]["exit_code"] == 7 and found["ends"]["signal"] is None
    assert found["stays"]["exit_code"] is None and found["stays"]["signal"] == signal.SIGTERM
    assert found["ends"]["port"] == 5100 and "exit 7" in found["ends"]["command"]
    assert "ends  | ended, exit 7" in done.stderr and "SIGTERM" in done.stderr
    assert re.search(r"^ends +exit 7 ", done.stderr, re.MULTILINE), "the table has a row for each"


def test_with_keep_going_all_run_to_their_own_end(tally, procfile, tmp_path):
    path = procfile(f"a: exit 3\nb: sleep 0.7; touch {tmp_path}/done\n")
    done = tally("run", *QUICK, "--keep-going", "-f", path)
    assert (tmp_path / "done").exists()
    assert done.returncode == 3


def test_who_does_not_heed_sigterm_is_killed_after_the_grace_period(tally, procfile, tmp_path):
    path = procfile(f"deaf: trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done\n"
                    f"ends: while [ ! -s {tmp_path}/pid ]; do sleep 0.05; done\n")
    done = tally("run", *QUICK, "--grace", "300ms", "--json", tmp_path / "report", "-f", path)
    gone(wait_for_file(tmp_path / "pid"))
    _, found = processes(tmp_path / "report")
    assert found["deaf"]["signal"] == signal.SIGKILL
    assert "SIGKILL" in done.stderr


def test_lines_are_never_torn(tally, procfile):
    script = ("import os, sys\n"
              "for i in range(300):\n"
              "    line = (sys.argv[1] * (i % 97 * 60 + 1) + '\\n').encode()\n"
              "    while line:\n"
              "        line = line[os.write(1 + i % 2, line[:1 + len(line) // 2]):]\n")
    path = procfile("".join(f"{name}: PYTHON talk.py {name}\n" for name in "abcd"), talk=script)
    with subprocess.Popen([*tally.command, "run", *QUICK, "-q", "-k", "-f", path],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        lines = process.communicate(timeout=PATIENCE)[0].splitlines()
    assert len(lines) == 1200
    for line in lines:
        name, _, text = line.partition(" | ")
        assert text and set(text) == {name.strip()}
    sizes = {name: [len(line.partition(" | ")[2]) for line in lines if line.startswith(name)]
             for name in "abcd"}
    for name in "abcd":
        assert sizes[name] == [i % 97 * 60 + 1 for i in range(300)], "in order, both streams"


def test_a_line_without_an_end_and_one_that_is_very_long_come_whole(tally, procfile):
    path = procfile("a: printf tail\nb: head -c 150000 /dev/zero | tr '\\0' x\n")
    done = tally("run", *QUICK, "-q", "-k", "-f", path)
    lines = done.stdout.splitlines()
    assert "a     | tail" in lines
    assert [len(line) - len("b     | ") for line in lines if line.startswith("b")] == [
        65536, 65536, 150000 - 2 * 65536]


def test_names_are_coloured_on_a_terminal_only(tally, procfile):
    path = procfile("a: echo hello\n")
    words = [*tally.command, "run", *QUICK, "-q", "-f", path]
    screen = Terminal(words)
    screen.wait()
    screen.close()
    assert re.search(rb"\x1b\[\d+ma     \|\x1b\[0m hello\r\n", screen.seen), screen.seen
    screen = Terminal(words, NO_COLOR="1")
    screen.wait()
    screen.close()
    assert b"a     | hello\r\n" in screen.seen and b"\x1b[3" not in screen.seen


def test_ctrl_c_leaves_nothing_behind(tally, procfile, tmp_path, collector):
    path = procfile(f"web: echo $$ > {tmp_path}/web; exec sleep 50\n"
                    f"daemon: PYTHON daemonise.py {tmp_path}/daemon 0\n"
                    f"tree: (setsid sh -c 'echo $$ > {tmp_path}/tree; sleep 50' &) ; exec sleep 50\n",
                    daemonise=DAEMONISE)
    screen = Terminal([*tally.command, "run", "-c", collector, "-f", path])
    try:
        pids = [wait_for_file(tmp_path / name) for name in ("web", "daemon", "tree")]
        screen.type(b"\x03")
        status = screen.wait()
    finally:
        screen.close()
    assert os.waitstatus_to_exitcode(status) == 130, screen.seen
    for pid in pids:
        assert not alive(pid), "by the time that it has ended, all have"


def test_a_second_ctrl_c_does_not_wait(tally, procfile, tmp_path):
    path = procfile(f"deaf: trap '' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.1; done\n")
    screen = Terminal([*tally.command, "run", *QUICK, "--grace", "1h", "-f", path])
    try:
        pid = wait_for_file(tmp_path / "pid")
        screen.type(b"\x03")
        screen.read_until(b"SIGTERM")
        screen.type(b"\x03")
        screen.wait()
    finally:
        screen.close()
    assert not alive(pid)


def test_a_daemon_goes_on_as_its_process_and_counts_there(tally, procfile, tmp_path, collector):
    """Its command has ended and succeeded, its parent is gone, and the others run on."""
    path = procfile(f"first: exec sleep 50\n"
                    f"daemon: PYTHON daemonise.py {tmp_path}/pid 0.4\n"
                    f"third: exec sleep 50\n", daemonise=DAEMONISE)
    process = tally.start("run", "-c", collector, "-i", "100ms", "--json", tmp_path / "report",
                          "-f", path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (tmp_path / "pid.done").exists() or process.poll() is not None,
             "the daemon computes")
    time.sleep(0.3)
    assert process.poll() is None, "the end of its command is not the end of the process"
    pid = wait_for_file(tmp_path / "pid")
    process.send_signal(signal.SIGTERM)
    stderr = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 128 + signal.SIGTERM
    assert not alive(pid)
    assert re.search(r"^daemon \| went into the background; \d+ of its", stderr, re.MULTILINE)
    _, found = processes(tmp_path / "report")
    cpu = {name: each["cpu_user_seconds"] + each["cpu_system_seconds"]
           for name, each in found.items()}
    assert cpu["daemon"] >= 0.39 and cpu["first"] < 0.2 and cpu["third"] < 0.2, cpu
    assert found["daemon"]["exit_code"] == 0


def test_figures_agree_with_wait4_over_all_processes(tally, procfile, tmp_path, collector):
    burn = "import sys, time\nwhile time.process_time() < float(sys.argv[1]): pass\n"
    path = procfile("a: PYTHON burn.py 0.4\n"
                    "b: for i in 1 2 3 4 5; do (PYTHON burn.py 0.05); done\n",
                    burn=burn)
    done = tally("run", "-k", "-c", collector, "--json", tmp_path / "report",
                 "--csv", tmp_path / "samples", "--store", tmp_path / "store", "-f", path)
    assert done.returncode == 0, done.stderr
    report, found = processes(tmp_path / "report")
    assert report["cpu_seconds"] == pytest.approx(report["waited_cpu_seconds"], rel=0.02, abs=0.02)
    cpu = {name: each["cpu_user_seconds"] + each["cpu_system_seconds"]
           for name, each in found.items()}
    assert cpu["a"] >= 0.39 and cpu["b"] >= 0.24
    assert sum(cpu.values()) == pytest.approx(report["cpu_seconds"], abs=0.001)
    rows = (tmp_path / "samples").read_text().splitlines()
    assert {"a", "b", ""} <= {row.split(",")[1] for row in rows[1:]}
    shown = tally("show", "--at", "now", "--store", tmp_path / "store")
    assert os.path.basename(tmp_path) in shown.stdout, shown.stderr


def test_the_time_limit_ends_all(tally, procfile, tmp_path):
    path = procfile(f"a: echo $$ > {tmp_path}/pid; exec sleep 50\nb: exec sleep 50\n")
    done = tally("run", *QUICK, "--time-limit", "700ms", "-f", path)
    assert done.returncode == 124
    if (tmp_path / "pid").exists():
        assert not alive(wait_for_file(tmp_path / "pid"))


def test_all_end_when_nobody_reads_the_output(tally, procfile, tmp_path):
    path = procfile(f"a: echo $$ > {tmp_path}/pid; while echo line; do sleep 0.05; done; sleep 50\n")
    process = tally.start("run", *QUICK, "-f", path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    pid = wait_for_file(tmp_path / "pid")
    process.stdout.read(10)
    process.stdout.close()
    process.wait(timeout=PATIENCE)
    assert not alive(pid)


def test_the_example_runs_and_leaves_nothing_behind(tally, collector):
    screen = Terminal([*tally.command, "run", "-c", collector, "--port", "15730", "-f",
                       os.path.join(ROOT, "examples/Procfile")])
    try:
        screen.read_until(b"Serving HTTP on 127.0.0.1 port 15730")
        screen.read_until(b"daemon: serves as pid ")
        screen.read_until(b"went into the background")
        pid = int(re.search(rb"serves as pid (\d+)\r\n", screen.seen)[1])
        assert alive(pid)
        screen.type(b"\x03")
        status = screen.wait()
    finally:
        screen.close()
    assert os.waitstatus_to_exitcode(status) == 130
    assert not alive(pid)
    assert b"daemon: ends" in screen.seen, "its last words are passed on"
