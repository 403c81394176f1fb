# SPDX-License-Identifier: Apache-2.0
"""Thermos tasks: streams written by the real Thrift library, live processes behind them."""
import json
import os
import random
import shutil
import subprocess
import sys
import time

import pytest

from conftest import PROGRAM, python, wait_for

pytest.importorskip("thrift", reason="python3-thrift is not installed")
if not shutil.which("thrift"):
    pytest.skip("thrift-compiler is not installed", allow_module_level=True)

from thermos_streams import *  # noqa: E402

TELL = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(PROGRAM))),
                    "tests/e2e/thermos_tell")

# A process that writes down who it is and when it began, burns CPU, holds memory, and at its end says
# what it used; it is ended by its standard input.
WORKER = """
import json, os, resource, sys, time
start = time.time()
keep = bytearray(os.urandom(1)) * int(sys.argv[2])
while time.process_time() < float(sys.argv[1]): pass
print(json.dumps(dict(pid=os.getpid(), start=start)), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def teller():
    """The source alone on a root: teller(root) gives a Teller."""
    opened = []

    def open_one(root, kind="thermos"):
        opened.append(Teller(TELL, root.path if isinstance(root, Root) else root, kind))
        return opened[-1]

    yield open_one
    for one in opened:
        assert one.close() == 0


class Worker:
    def __init__(self, child, cpu=0.0, memory=0, prefix=()):
        self.process = child(*prefix, *python(WORKER), cpu, memory, stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
        told = json.loads(self.process.stdout.readline())
        self.pid, self.start = told["pid"], told["start"]


@pytest.fixture
def worker(child):
    return lambda *words, **options: Worker(child, *words, **options)


def own_rss(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def show(tally, root, kind="thermos"):
    done = tally("show", "--interval", "200ms", "--json", "--source", f"{kind}:{root.path}")
    assert done.returncode == 0, done.stderr
    return {task["task"]: task for task in json.loads(done.stdout)["tasks"]}, done.stderr


# -- streams -------------------------------------------------------------------------------------

def whole_life(records):
    """A task through all of its states, with several runs of each way to end."""
    stream = [records.header("life", ports={"http": 80, "admin": 8081}), records.status(ACTIVE)]
    stream += [records.run("web", 0, FORKED, RUNNING, FAILED, pid=11, start=100.0, code=3),
               records.run("web", 4, FORKED, RUNNING, KILLED, pid=12, start=200.0, code=-9),
               records.run("web", 8, FORKED, LOST, start=300.0),
               records.run("web", 11, FORKED, RUNNING, SUCCESS, pid=13, start=400.0)]
    stream += [records.run("never", 0, FAILED, code=1), records.run("asleep", 0),
               records.run("lost", 0, FORKED, RUNNING, LOST, pid=14, start=500.0),
               records.run("killed", 0, FORKED, KILLED, start=600.0, code=-15)]
    return stream + [records.status(state) for state in (CLEANING, FINALIZING, TASK_FAILED)]


def check_whole_life(task):
    web = task["processes"]["web"]
    assert [run["state"] for run in web["runs"]] == ["FAILED", "KILLED", "LOST", "SUCCESS"]
    assert [run["pid"] for run in web["runs"]] == [11, 12, 0, 13]
    assert [run["return_code"] for run in web["runs"]] == [3, -9, 0, 0]
    assert [run["started"] for run in web["runs"]] == [100.0, 200.0, 300.0, 400.0]
    assert web["runs"][0]["ended"] == 101.0
    lives = {name: process["life"] for name, process in task["processes"].items()}
    assert lives == {"web": "success", "never": "failed", "asleep": "waiting", "lost": "lost",
                     "killed": "killed"}
    assert task["ports"] == {"http": 80, "admin": 8081}
    assert task["life"] == "failed"
    assert abs(task["ended"] - time.time()) < 60


def test_a_task_goes_through_all_states_with_several_runs(root, records, teller):
    stream = whole_life(records)
    root.write("life", stream[0])
    tell = teller(root)
    assert tell.look()["life"]["life"] == "active"
    lives = []
    for record in stream[1:]:
        root.append("life", record)
        lives.append(tell.look()["life"]["life"])
    assert lives[-3:] == ["cleaning", "finalizing", "failed"]
    check_whole_life(tell.look()["life"])
    root.finish("life")
    check_whole_life(tell.look()["life"])
    root.remove("life")
    assert tell.look() == {}
    assert tell.said() == []


def test_a_stream_torn_at_every_byte_comes_out_the_same(root, records, teller):
    stream = b"".join(whole_life(records))
    root.write("life", b"")
    tell = teller(root)
    for i in range(len(stream)):
        root.append("life", stream[i:i + 1])
        tasks = tell.look()
    check_whole_life(tasks["life"])
    assert tell.said() == []


def test_a_stream_cut_at_every_byte_gives_what_came_before(root, records, teller):
    """Each cut is a file of its own, as after a crash of its writer; then the rest comes."""
    stream = b"".join(whole_life(records))
    cuts = range(0, len(stream), 7)
    for cut in cuts:
        root.write(f"life{cut}", stream[:cut])
    tell = teller(root)
    tell.look()
    for cut in cuts:
        root.append(f"life{cut}", stream[cut:])
    tasks = tell.look()
    for cut in cuts:
        check_whole_life(tasks[f"life{cut}"])


def test_64_kib_of_ports(root, records, teller):
    ports = {f"port-{i:05}": 30000 + i for i in range(64 * 1024 // 22)}
    stream = records.header("many", ports=ports)
    assert len(stream) > 64 * 1024 - 100
    root.write("many", stream + records.run("web", 0))
    task = teller(root).look()["many"]
    assert task["ports"] == ports
    assert task["processes"]["web"]["life"] == "waiting"


def test_fields_of_the_future_are_ignored(root, records, teller):
    future, module = future_records()
    stream = whole_life(future)
    assert len(b"".join(stream)) > 10 * len(b"".join(whole_life(records)))
    stream.insert(3, future.frame(future=module.ThermosFuture(bytes=b"\0")))
    root.write("life", b"".join(stream))
    tell = teller(root)
    check_whole_life(tell.look()["life"])
    assert tell.said() == []


def test_text_of_any_language_comes_out_as_it_went_in(root, records, teller):
    root.write("täsk-Ω", records.header("täsk-Ω", user="jürgen", ports={"порт": 1})
               + records.run("процесс", 0))
    task = teller(root).look()["täsk-Ω"]
    assert (task["user"], task["ports"]) == ("jürgen", {"порт": 1})
    assert list(task["processes"]) == ["процесс"]


def test_garbage_stops_its_own_stream_with_one_line(root, records, teller):
    rng = random.Random(1)
    good = records.header("x") + records.run("web", 0)
    for i in range(50):
        root.write(f"bad{i}", records.header(f"bad{i}") + records.run("web", 0)
                   + b"\0\0\0\x20" + rng.randbytes(200))
    root.write("good", records.header("good") + records.run("web", 0))
    tell = teller(root)
    for _ in range(3):
        tasks = tell.look()
        assert len(tasks) == 51
        assert all(list(task["processes"]) == ["web"] for task in tasks.values())
        for i in range(50):
            root.append(f"bad{i}", good)
    said = tell.said()
    assert len(said) == 50
    assert all("its checkpoint is corrupt behind byte" in line for line in said)


def test_every_wrong_order_is_corruption(root, records, teller):
    header, run = records.header("x"), records.run("web", 0, FORKED)
    wrong = {
        "second-header": header + run + header,
        "no-header": run,
        "seq-again": header + run + records.process("web", 1, RUNNING, pid=1, start_time=1.0),
        "seq-skips": header + run + records.process("web", 3, RUNNING, pid=1, start_time=1.0),
        "waiting-twice": header + run + records.process("web", 2, WAITING),
        "success-unrun": header + run + records.process("web", 2, SUCCESS),
        "state-9": header + run + records.process("web", 2, 9),
    }
    for task, stream in wrong.items():
        root.write(task, stream)
    tell = teller(root)
    tasks = tell.look(3)
    said = [line for line in tell.said() if "corrupt" in line]
    for task in wrong:
        assert sum(f"task {task}:" in line for line in said) == 1, task
        if task != "no-header":
            assert tasks[task]["processes"]["web"]["runs"][-1]["state"] == "FORKED"


def test_a_stream_replaced_underneath_is_read_from_scratch(root, records, teller):
    root.write("x", records.header("x") + records.run("old", 0, FORKED))
    tell = teller(root)
    assert list(tell.look()["x"]["processes"]) == ["old"]
    root.replace("x", records.header("x") + records.run("new", 0, FORKED, FAILED)[:-3])
    assert list(tell.look()["x"]["processes"]) == ["new"]
    with open(root.runner("x"), "r+b") as file:  # In place, and longer.
        file.truncate(0)
        file.write(records.header("x") + records.run("third", 0, FORKED)
                   + records.run("fourth", 0))
    assert list(tell.look()["x"]["processes"]) == ["third", "fourth"]
    assert tell.said() == []


def test_a_record_of_megabytes_is_read_and_one_beyond_the_limit_is_not(root, records, teller):
    root.write("large", records.header("large", ports={"p" * 500_000: 1}) + records.run("web", 0))
    root.write("huge", records.header("huge") + struct.pack(">I", (64 << 20) + 1) + b"x" * 100)
    tell = teller(root)
    tasks = tell.look()
    assert tasks["large"]["ports"] == {"p" * 500_000: 1}
    assert list(tasks["large"]["processes"]) == ["web"]
    assert tasks["huge"]["processes"] == {}
    assert [line for line in tell.said() if "task huge" in line]


# -- live processes ------------------------------------------------------------------------------

def test_figures_are_those_of_the_processes_themselves(root, records, worker, tally, tmp_path):
    sandbox = tmp_path / "sandbox"
    sandbox.mkdir()
    (sandbox / "file").write_bytes(b"x" * 1_000_000)
    busy, large = worker(1.0), worker(0.1, 50_000_000)
    coordinator, runner = worker(0.5), worker(0.5)
    root.write("task", records.header("task", sandbox=str(sandbox)) + records.frame(
        task_status=types.ThermosTaskStatus(state=ACTIVE, timestamp_ms=1, runner_pid=runner.pid)))
    for name, one in ("busy", busy), ("large", large):
        root.append("task", b"".join((
            records.process(name, 0, WAITING),
            records.process(name, 1, FORKED, coordinator_pid=coordinator.pid, fork_time=one.start),
            records.process(name, 2, RUNNING, pid=one.pid, start_time=one.start))))
    tasks, said = show(tally, root)
    assert said == ""
    task = tasks["task"]
    processes = {process["process"]: process for process in task["processes"]}
    assert processes["busy"]["pid"] == busy.pid and processes["large"]["pid"] == large.pid
    for name, one in ("busy", busy), ("large", large):
        assert processes[name]["pids"] == 1
        assert abs(processes[name]["cpu_seconds"] - own_cpu(one.pid)) <= 0.03
        assert abs(processes[name]["rss_bytes"] - own_rss(one.pid)) < 1_000_000
    assert task["pids"] == 2  # Neither the runner nor the coordinator.
    assert task["cpu_seconds"] == pytest.approx(own_cpu(busy.pid) + own_cpu(large.pid), abs=0.05)
    assert task["sandbox"] == str(sandbox)


def test_a_thousand_tasks_at_once_each_with_its_own_pid(root, records, child, tally, teller):
    tell = teller(root)
    assert tell.look() == {}
    pids = {}
    for i in range(1000):
        started = time.time()
        pids[f"task-{i}"] = child("sleep", 120).pid
        root.write(f"task-{i}", records.header(f"task-{i}") + records.status(ACTIVE) + records.run(
            "web", 0, FORKED, RUNNING, pid=pids[f"task-{i}"], start=started))
    told = tell.look()
    assert {task: told[task]["processes"]["web"]["pid"] for task in told} == pids
    tasks, said = show(tally, root)
    assert said == ""
    assert {task: tasks[task]["processes"][0]["pid"] for task in tasks} == pids
    assert all(task["pids"] == 1 for task in tasks.values())
    sample = random.Random(1).sample(sorted(pids), 20)
    for task in sample:
        assert abs(tasks[task]["rss_bytes"] - own_rss(pids[task])) < 500_000


def test_a_process_that_restarts_is_followed(root, records, worker, tally, teller):
    first, second = worker(0.3), worker(0.2)
    root.write("task", records.header("task") + records.run(
        "web", 0, FORKED, RUNNING, pid=first.pid, start=first.start))
    tell = teller(root)
    assert tell.look()["task"]["processes"]["web"]["pid"] == first.pid
    root.append("task", records.process("web", 3, FAILED, stop_time=time.time(), return_code=1))
    assert tell.look()["task"]["processes"]["web"]["pid"] == 0
    root.append("task", records.run("web", 4, FORKED, RUNNING, pid=second.pid, start=second.start))
    web = tell.look()["task"]["processes"]["web"]
    assert (web["pid"], len(web["runs"])) == (second.pid, 2)


# An executor inside a pid namespace: writes its own stream, with the pids that it sees.
INSIDE = """
import os, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from thermos_streams import *
root, records = Root(sys.argv[2]), Records()
start = time.time()
burner = subprocess.Popen([sys.executable, "-S", "-E", "-c",
    "import time\\nwhile time.process_time() < 1: pass\\nprint(1, flush=True)\\ntime.sleep(60)"],
    stdout=subprocess.PIPE)
assert burner.stdout.readline()
root.write("inside", records.header("inside") + records.frame(
    task_status=types.ThermosTaskStatus(state=ACTIVE, timestamp_ms=1, runner_pid=os.getpid()))
    + records.run("web", 0, FORKED, RUNNING, pid=burner.pid, start=start))
print(burner.pid, flush=True)
time.sleep(60)
"""


def test_an_executor_inside_a_pid_namespace_is_measured_rightly(root, child, tally):
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("making a pid namespace takes root and unshare (util-linux)")
    here = os.path.dirname(os.path.abspath(__file__))
    executor = child("unshare", "--pid", "--fork", "--mount-proc", "--kill-child", sys.executable,
                     "-c", INSIDE, here, root.path, stdout=subprocess.PIPE, text=True)
    inner = int(executor.stdout.readline())
    tasks, said = show(tally, root)
    assert said == ""
    (web,) = tasks["inside"]["processes"]
    with open(f"/proc/{web['pid']}/status") as file:
        nspid = next(line.split() for line in file if line.startswith("NSpid:"))
    assert int(nspid[-1]) == inner and int(nspid[1]) == web["pid"] != inner
    assert tasks["inside"]["pids"] == 1
    assert abs(web["cpu_seconds"] - own_cpu(web["pid"])) <= 0.03
    assert web["cpu_seconds"] > 0.9


def test_mesos_tasks_are_shown(tmp_path, records, worker, tally):
    run = tmp_path / "mesos/slaves/s/frameworks/f/executors/e/runs/r"
    root, one = Root(run / "checkpoints"), worker(0.1)
    (run / "sandbox").mkdir()
    os.symlink("r", run.parent / "latest")
    root.write("task", records.header("task", sandbox=str(run / "sandbox")) + records.run(
        "web", 0, FORKED, RUNNING, pid=one.pid, start=one.start))
    root.path = str(tmp_path / "mesos")
    tasks, said = show(tally, root, "mesos")
    assert said == ""
    assert tasks["task"]["processes"][0]["pid"] == one.pid
    assert tasks["task"]["source"] == "mesos"


def test_a_task_is_seen_by_the_observer_at_once(root, records, worker, tmp_path):
    """Well before the poll of five seconds: the directories are watched."""
    one = worker(0.1)
    socket = tmp_path / "socket"
    observer = subprocess.Popen([PROGRAM, "observe", "--listen", "none", "--socket", socket,
                                 "--interval", "100ms", "--source", f"thermos:{root.path}"])
    try:
        wait_for(socket.exists, "the observer's socket")
        tasks = lambda: json.loads(subprocess.run(
            ["curl", "--silent", "--unix-socket", socket, "http://localhost/api/v1/tasks"],
            stdout=subprocess.PIPE, check=True).stdout or "{}").get("tasks", [])
        wait_for(lambda: tasks() == [], "an answer")
        begun = time.monotonic()
        root.write("task", records.header("task") + records.run(
            "web", 0, FORKED, RUNNING, pid=one.pid, start=one.start))
        wait_for(lambda: tasks() and tasks()[0]["processes"], "the task")
        assert time.monotonic() - begun < 4.0
        (task,) = tasks()
        assert task["processes"][0]["pid"] == one.pid
    finally:
        observer.terminate()
        observer.wait()


def test_the_bench_of_refreshes_runs():
    program = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(PROGRAM))),
                           "bench/thermos_refresh")
    done = subprocess.run([program, "--active", "20", "--finished", "50", "--polls", "3",
                           "--pace", "10"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["active"], figures["finished"]) == (20, 50)
    assert 0 < figures["poll_cpu_ms_median"] <= figures["poll_cpu_ms_max"]
