# SPDX-License-Identifier: Apache-2.0
"""The loads of bench/ do what their figures rest on, and the benchmarks run."""
import json
import os
import signal
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("TALLY_BUILD", os.path.join(ROOT, "build"))


def parents():
    """ppid of every pid."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                found[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            pass
    return found


def descendants(pid):
    tree, found = parents(), {pid}
    while more := {p for p, parent in tree.items() if parent in found} - found:
        found |= more
    return found - {pid}


def start_tasks(*arguments):
    """load_tasks, when it is ready; and its roots."""
    program = subprocess.Popen([os.path.join(BUILD, "bench/load_tasks"), "--seconds", "60",
                                *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    roots = []
    for line in program.stdout:
        if line == "ready\n":
            return program, roots
        roots.append(int(line.rpartition("=")[2]))
    pytest.fail("load_tasks never was ready")


def gone(pids):
    limit = time.monotonic() + 20
    while alive := [p for p in pids if os.path.exists(f"/proc/{p}")]:
        assert time.monotonic() < limit, f"{len(alive)} processes are left"
        time.sleep(0.05)


def test_tasks_are_as_many_as_asked_and_end_with_standard_input():
    program, roots = start_tasks("--threads", "3", "7", "4")
    made = descendants(program.pid)
    assert len(roots) == 7 and len(made) == 28
    assert all(len(descendants(root)) == 3 for root in roots)
    assert all(len(os.listdir(f"/proc/{pid}/task")) == 3 for pid in made)
    program.communicate("")
    assert program.returncode == 0
    gone(made)


def test_tasks_end_when_their_maker_is_killed():
    program, _ = start_tasks("5", "4")
    made = descendants(program.pid)
    assert len(made) == 20
    program.kill()
    program.communicate()
    assert program.returncode == -signal.SIGKILL
    gone(made)


def storm(mode, length):
    done = subprocess.run([os.path.join(BUILD, "bench/load_storm"), mode, length],
                          stdout=subprocess.PIPE, check=True, timeout=60)
    return json.loads(done.stdout)


@pytest.mark.parametrize("mode", ["true", "forkexit", "twenty"])
def test_truth_of_a_reaped_storm_is_its_rusage(mode):
    said = storm(mode, "100")
    assert said["children"] == 100
    assert said["processes"] == 100 + said["workers"] + 2
    assert said["cpu_seconds"] == pytest.approx(said["rusage_seconds"], rel=0.02, abs=0.005)


@pytest.mark.parametrize("mode,least", [("nochld", 0.002 * 80), ("daemon", 0.005 * 40)])
def test_truth_has_what_nobody_reaped(mode, least):
    said = storm(mode, "20" if mode == "nochld" else "40")
    assert said["cpu_seconds"] - said["rusage_seconds"] >= least


def test_no_cgroup_of_a_storm_is_left():
    program = subprocess.Popen([os.path.join(BUILD, "bench/load_storm"), "forkexit", "10"],
                               stdout=subprocess.DEVNULL)
    assert program.wait(timeout=60) == 0
    for mount in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
        assert not os.path.exists(f"{mount}/load-storm-{program.pid}")


def run_quick(script, *arguments):
    command = [sys.executable, os.path.join(ROOT, "bench", script), "--build", BUILD, "--quick"]
    done = subprocess.run([*command, *arguments], stdout=subprocess.PIPE, text=True, timeout=300)
    assert done.returncode == 0
    return done.stdout


def test_bench_compares_on_one_load():
    text = run_quick("bench.py", "--only", "C loop")
    rows = [line for line in text.splitlines() if line.startswith("| bare C loop")]
    assert len(rows) == 2
    assert all(float(row.split("|")[2].strip(" †")) > 0 for row in rows)


def test_bench_storm_weighs_against_the_truth():
    text = run_quick("storm.py", "--only", "twenty")
    row = next(line for line in text.splitlines() if line.startswith("| 20 parents"))
    assert 0 <= float(row.split("|")[6]) < 100
    assert float(row.split("|")[7]) == pytest.approx(100, abs=2)
