# SPDX-License-Identifier: Apache-2.0
"""`tally run`: the command is as it would be without it, and the report tells the truth."""
import csv
import json
import os
import random
import signal
import stat
import subprocess
import time

import pytest

from conftest import COUNT_SIGNALS, PATIENCE, alive, burn, need, python, wait_for


# -- the command's own ---------------------------------------------------------------------------

@pytest.mark.parametrize("status", [0, 1, 3, 255])
def test_the_exit_status_is_the_commands(tally, status):
    assert tally("run", "sh", "-c", f"exit {status}").returncode == status


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGUSR1, signal.SIGSEGV])
def test_a_signal_that_ends_the_command_gives_128_and_its_number(tally, number):
    done = tally("run", "sh", "-c", f"ulimit -c 0; kill -{int(number)} $$; sleep 10")
    assert done.returncode == 128 + number
    assert number.name in done.stderr


def test_a_command_that_is_not_there_gives_127_and_one_line(tally):
    done = tally("run", "tally-no-such-command")
    assert done.returncode == 127
    assert done.stderr == "tally run: tally-no-such-command: command not found\n"


@pytest.mark.parametrize("path", ["/etc/passwd", "/tmp"])
def test_a_command_that_cannot_be_executed_gives_126_and_one_line(tally, path):
    done = tally("run", path)
    assert done.returncode == 126
    assert done.stderr == f"tally run: {path}: cannot be executed: Permission denied\n"


def test_a_script_without_its_interpreter_is_told_apart_from_no_script(tally, tmp_path):
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    script.chmod(0o755)
    done = tally("run", script)
    assert done.returncode == 127
    assert "interpreter" in done.stderr and done.stderr.count("\n") == 1


def test_bytes_pass_through_unchanged(tally, tmp_path):
    data = random.Random(1).randbytes(1 << 20)
    source = tmp_path / "data"
    source.write_bytes(data)
    with open(source, "rb") as stdin:
        done = tally("run", "--quiet", "cat", stdin=stdin, text=False)
    assert done.returncode == 0
    assert done.stdout == data
    assert done.stderr == b""


def test_standard_error_of_the_command_is_its_own(tally):
    done = tally("run", "--quiet", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_the_command_inherits_no_descriptor_and_no_blocked_signal(tally, tmp_path):
    look = ("import os; print(sorted(os.listdir('/proc/self/fd')))\n"
            "print(open('/proc/self/status').read())")
    done = tally("run", "--quiet", "--json", tmp_path / "r.json", *python(look))
    fds, *status = done.stdout.splitlines()
    assert eval(fds) == ["0", "1", "2", "3"]  # 3 is the folder that is being listed.
    masks = dict(line.split(":\t") for line in status if line.startswith("Sig"))
    plain = subprocess.run(python(look), capture_output=True, text=True).stdout
    expected = dict(line.split(":\t") for line in plain.splitlines() if line.startswith("Sig"))
    assert masks["SigBlk"] == expected["SigBlk"]
    assert masks["SigIgn"] == expected["SigIgn"]


def test_closed_descriptors_stay_closed_and_nothing_gets_into_their_place(tally, tmp_path):
    path = tmp_path / "r.json"
    process = tally.start("run", "--json", path, "sh", "-c",
                          f"ls -l /proc/self/fd > {tmp_path}/fds",
                          stdin=subprocess.DEVNULL, preexec_fn=lambda: os.closerange(0, 3))
    assert process.wait(PATIENCE) == 0
    assert json.loads(path.read_text())["exit_code"] == 0
    fds = (tmp_path / "fds").read_text()
    assert " 0 -> " not in fds.replace(" 0 -> /proc", "") and " 2 -> " not in fds


def test_words_behind_the_command_are_the_commands(tally):
    done = tally("run", "--quiet", "printf", "%s.", "--quiet", "--", "-x")
    assert done.stdout == "--quiet.--.-x."


# -- signals -------------------------------------------------------------------------------------

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1,
                                    signal.SIGUSR2])
def test_a_signal_to_tally_reaches_the_command_once(tally, number):
    process = tally.start("run", "--quiet", *python(COUNT_SIGNALS), stdout=subprocess.PIPE,
                          start_new_session=True)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    assert process.wait(PATIENCE) == 101
    process.stdout.close()


def test_sigterm_ends_a_command_that_does_not_expect_it(tally):
    process = tally.start("run", "--quiet", "sh", "-c", "echo ready; exec sleep 30",
                          stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    assert process.wait(PATIENCE) == 128 + signal.SIGTERM
    process.stdout.close()


# -- the report ----------------------------------------------------------------------------------

@pytest.mark.parametrize("collector", ["procfs", "bpf"])
def test_cpu_time_is_within_one_percent_of_what_wait4_says(tally, tmp_path, collector):
    need(tally, collector)
    script = f"""
import subprocess, sys
children = [subprocess.Popen([sys.executable, "-S", "-c", {burn(1.6)!r}]) for _ in range(2)]
for _ in range(60):
    subprocess.run(["/bin/true"])
for child in children:
    child.wait()
{burn(1.0)}
"""
    report = tally.report(tmp_path, *python(script), options=["--collector", collector])
    assert report["waited_cpu_seconds"] > 2.4
    assert abs(report["cpu_seconds"] / report["waited_cpu_seconds"] - 1) <= 0.01
    assert report["cpu_seconds"] == pytest.approx(
        report["cpu_user_seconds"] + report["cpu_system_seconds"])
    assert report["pids_started"] >= 3


def test_a_command_shorter_than_the_interval_has_a_truthful_report(tally, tmp_path):
    report = tally.report(tmp_path, *python(burn(0.1)), options=["--interval", "1h"])
    assert report["samples"] >= 2
    assert report["waited_cpu_seconds"] >= 0.1
    assert abs(report["cpu_seconds"] / report["waited_cpu_seconds"] - 1) <= 0.01
    assert report["pids_started"] == 1
    assert report["peak_pids"] == 1
    assert report["peak_rss_bytes"] > 1 << 20


def test_memory_peak_is_seen(tally, tmp_path):
    size = 64 << 20
    report = tally.report(tmp_path, *python(f"b = b'x' * {size}"))
    assert size < report["peak_rss_bytes"] < 2 * size


def test_storage_writes_are_counted(tally, tmp_path):
    target = os.environ.get("TALLY_TEST_DISK", "/var/tmp")
    path = os.path.join(target, f"tally-test-{os.getpid()}")
    try:
        report = tally.report(tmp_path, "dd", "if=/dev/zero", f"of={path}", "bs=1M", "count=8",
                              "conv=fsync", "status=none")
        if report["io_write_bytes"] is None:
            pytest.skip(report["missing"]["io_write_bytes"])
        if report["io_write_bytes"] == 0:
            pytest.skip(f"{target} does not count writes to storage")
        assert 8 << 20 <= report["io_write_bytes"] < 16 << 20
    finally:
        if os.path.exists(path):
            os.unlink(path)


def test_what_is_absent_is_null_and_has_a_reason(tally, tmp_path):
    report = tally.report(tmp_path, "true")
    assert report["pss_bytes"] is None
    assert "--pss" in report["missing"]["pss_bytes"]
    assert report["disk_bytes"] is None
    assert "--sandbox" in report["missing"]["disk_bytes"]
    for key in report["missing"]:
        assert report[key] is None
    for key in ("signal", *report["missing"]):
        assert report[key] is None
    assert report["exit_code"] == 0


def test_the_report_names_the_task_the_command_and_the_process(tally, tmp_path):
    report = tally.report(tmp_path, "/bin/sh", "-c", "exit 4", status=4,
                          options=["--name", "a task"])
    assert report["task"] == "a task"
    assert report["command"] == ["/bin/sh", "-c", "exit 4"]
    assert [process["process"] for process in report["processes"]] == ["sh"]
    assert report["processes"][0]["cpu_seconds"] == report["cpu_seconds"]
    assert (report["exit_code"], report["signal"]) == (4, None)
    assert report["wall_seconds"] > 0
    assert report["interval_seconds"] == 1.0
    assert report["collector"] in ("bpf", "procfs")


def test_the_report_tells_the_signal(tally, tmp_path):
    report = tally.report(tmp_path, "sh", "-c", "kill -TERM $$", status=143)
    assert (report["exit_code"], report["signal"]) == (None, 15)


def test_names_that_are_no_text_are_shown_and_not_obeyed(tally, tmp_path):
    done = tally("run", "--name", b"\x1b[31mred\xff".decode(errors="surrogateescape"),
                 "--json", tmp_path / "r.json", "true")
    assert done.returncode == 0
    assert "\x1b" not in done.stderr and "?[31mred?" in done.stderr
    assert json.loads((tmp_path / "r.json").read_text())["task"] == "\x1b[31mred\ufffd"


def test_the_text_report_says_what_happened(tally):
    done = tally("run", "sh", "-c", "exit 3")
    lines = done.stderr.splitlines()
    assert lines[0].startswith("sh: exit 3 after ")
    assert [line.split("  ")[1] for line in lines[1:3]] == ["CPU time", "CPU wait"]
    assert "\x1b" not in done.stderr
    assert done.stdout == ""


def test_every_sample_goes_into_the_csv(tally, tmp_path):
    path = tmp_path / "samples.csv"
    report = tally.report(tmp_path, *python(burn(0.5)), options=[
        "--csv", path, "--interval", "50ms", "--name", 'a "task", with commas'])
    rows = list(csv.DictReader(path.open()))
    task = [row for row in rows if row["process"] == ""]
    process = [row for row in rows if row["process"] != ""]
    assert {row["task"] for row in rows} == {'a "task", with commas'}
    assert len(task) == report["samples"] >= 5
    assert len(process) == len(task)
    assert [row["time"] for row in rows] == sorted(row["time"] for row in rows)
    cpu = [float(row["cpu_seconds"]) for row in task]
    assert cpu == sorted(cpu)
    assert cpu[-1] == pytest.approx(report["cpu_seconds"])
    assert max(int(row["rss_bytes"]) for row in task) <= report["peak_rss_bytes"]


def test_the_csv_has_what_the_history_has_long_forgotten(tally, tmp_path):
    path = tmp_path / "samples.csv"
    report = tally.report(tmp_path, "sleep", "8", options=["--csv", path, "--interval", "10ms"])
    times = [row["time"] for row in csv.DictReader(path.open()) if row["process"] == ""]
    assert len(times) == report["samples"] > 500
    assert len(set(times)) == len(times)
    assert times == sorted(times)


@pytest.mark.parametrize("seconds", [0, 0.4])
def test_disk_usage_is_that_which_the_command_left_behind(tally, tmp_path, seconds):
    sandbox = tmp_path / "sandbox"
    sandbox.mkdir()
    report = tally.report(tmp_path, "sh", "-c",
                          f"head -c 1M /dev/zero > {sandbox}/file; sync; sleep {seconds}",
                          options=["--sandbox", sandbox])
    assert 1 << 20 <= report["disk_bytes"] < 2 << 20
    assert report["disk_files"] == 2
    assert report["disk_age_seconds"] < report["wall_seconds"] + 5


# -- what outlives the command -------------------------------------------------------------------

def daemon(seconds):
    """A shell that leaves a daemon behind: forked twice, in a session of its own."""
    return ["sh", "-c", f"(setsid python3 -S -c '{burn(seconds)}' >/dev/null 2>&1 &)"]


@pytest.mark.parametrize("collector", ["procfs", "bpf"])
def test_a_double_forked_daemon_stays_counted_until_it_ends(tally, tmp_path, collector):
    need(tally, collector)
    report = tally.report(tmp_path, *daemon(0.5),
                          options=["--wait", "--interval", "100ms", "--collector", collector])
    assert 0.5 <= report["cpu_seconds"] < 1.5
    assert abs(report["cpu_seconds"] / report["waited_cpu_seconds"] - 1) <= 0.01
    assert report["pids"] == 0


def test_a_daemon_that_outlives_the_command_is_in_its_report(tally, tmp_path):
    report = tally.report(tmp_path, "sh", "-c", "(setsid sleep 12 >/dev/null 2>&1 &); sleep 0.3")
    assert report["pids"] == 1
    assert report["wall_seconds"] < 10


def test_an_orphan_that_has_ended_is_reaped_at_once(tally, tmp_path):
    """A command that waits for its daemon's pid to be gone must not wait for the interval."""
    script = ("(setsid sleep 0.2 & echo $! > pid); pid=$(cat pid); i=0\n"
              "while kill -0 $pid 2>/dev/null; do\n"
              "sleep 0.05; i=$((i+1)); [ $i -lt 200 ] || exit 9\n"
              "done")
    done = tally("run", "--quiet", "--interval", "1h", "sh", "-c", script, cwd=tmp_path)
    assert done.returncode == 0


def test_waiting_for_what_is_left_can_be_interrupted(tally, tmp_path):
    pids = tmp_path / "pid"
    process = tally.start("run", "--wait", "--json", tmp_path / "r.json", "sh", "-c",
                          f"setsid sleep 30 >/dev/null 2>&1 & echo $! > {pids}",
                          stderr=subprocess.DEVNULL)
    wait_for(lambda: pids.exists() and pids.read_text().endswith("\n"), "the daemon to start")
    time.sleep(0.3)
    assert process.poll() is None
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert json.loads((tmp_path / "r.json").read_text())["pids"] == 1
    os.kill(int(pids.read_text()), signal.SIGKILL)


# -- the time limit ------------------------------------------------------------------------------

def test_the_time_limit_ends_the_command_and_all_it_started(tally, tmp_path):
    pids = tmp_path / "pid"
    begun = time.monotonic()
    done = tally("run", "--time-limit", "500ms", "sh", "-c",
                 f"setsid sleep 30 & echo $! > {pids}; sleep 30; true")
    assert done.returncode == 124
    assert time.monotonic() - begun < 20
    assert "time limit of 500 ms" in done.stderr
    wait_for(lambda: not alive(int(pids.read_text())), "the daemon to end")


def test_what_ignores_sigterm_is_killed(tally):
    done = tally("run", "--time-limit", "200ms", "sh", "-c",
                 "trap '' TERM; while :; do sleep 0.1; done")
    assert done.returncode == 124


def test_a_command_within_its_time_limit_is_left_alone(tally):
    assert tally("run", "--quiet", "--time-limit", "1h", "sh", "-c", "exit 6").returncode == 6


# -- files ---------------------------------------------------------------------------------------

def test_a_report_that_could_not_be_written_is_said_before_the_command_starts(tally, tmp_path):
    marker = tmp_path / "marker"
    done = tally("run", "--json", "/no/such/folder/r.json", "touch", marker)
    assert done.returncode == 1
    assert done.stderr.startswith("tally run: cannot write /no/such/folder/r.json")
    assert not marker.exists()


def test_a_file_is_replaced_whole_and_keeps_its_mode(tally, tmp_path):
    path = tmp_path / "r.json"
    path.write_text("before")
    path.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    seen = tally("run", "--quiet", "--json", link, "cat", path)
    assert seen.stdout == "before"
    assert json.loads(path.read_text())["exit_code"] == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path)) == ["link.json", "r.json"]


def test_a_command_that_did_not_start_leaves_no_file(tally, tmp_path):
    assert tally("run", "--json", tmp_path / "r.json", "tally-no-such-command").returncode == 127
    assert os.listdir(tmp_path) == []


def test_a_report_can_go_to_a_descriptor(tally):
    read, write = os.pipe()
    done = tally("run", "--quiet", "--json", f"/dev/fd/{write}", "echo", "hi", pass_fds=[write])
    os.close(write)
    with os.fdopen(read) as pipe:
        assert json.load(pipe)["exit_code"] == 0
    assert done.stdout == "hi\n"


def test_a_full_disk_is_said_and_fails(tally):
    done = tally("run", "--quiet", "--json", "/dev/full", "true")
    assert done.returncode == 1
    assert done.stderr == "tally run: cannot write /dev/full: No space left on device\n"


def test_standard_output_is_refused(tally):
    done = tally("run", "--json", "-", "true")
    assert done.returncode == 2
    assert "/dev/fd/3" in done.stderr


# -- without privileges --------------------------------------------------------------------------

def test_nobody_can_measure_a_command_of_their_own(nobody, shared):
    report = nobody.report(shared, "/usr/bin/python3", "-S", "-c", burn(0.3))
    assert abs(report["cpu_seconds"] / report["waited_cpu_seconds"] - 1) <= 0.01
    assert report["collector"] == "procfs"
    assert report["peak_rss_bytes"] > 1 << 20
    assert report["io_read_bytes"] is not None and report["io_write_bytes"] is not None
    for key, reason in report["missing"].items():
        assert report[key] is None and reason


# -- wrong usage ---------------------------------------------------------------------------------

@pytest.mark.parametrize("words, message", [
    ([], "a command is missing"),
    (["--intervall", "1s", "true"], "did you mean --interval?"),
    (["--interval", "soon", "true"], "'soon' is not a duration"),
    (["--interval"], "--interval needs a value"),
    (["--interval", "1ms", "true"], "10ms to 1h"),
    (["--quiet=yes", "true"], "--quiet takes no value"),
    (["-z", "true"], "there is no option -z"),
    (["--sandbox", "/no/such", "true"], "cannot use /no/such"),
    (["--sandbox", "/etc/passwd", "true"], "not a directory"),
])
def test_wrong_usage_is_refused_before_anything_runs(tally, words, message):
    done = tally("run", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_wrong_usage_is_pointed_at(tally):
    done = tally("run", "--quiet", "--intervall", "2s", "--", "make")
    text, line, mark = done.stderr.splitlines()
    assert line[mark.index("^"):].startswith("--intervall ")
    assert mark.strip() == "^" + "~" * (len("--intervall") - 1)
