# SPDX-License-Identifier: Apache-2.0
"""Tasks that are cgroups, made in the machine's own hierarchy of version 2 and removed again."""
import os
import subprocess
import uuid

import pytest
from conftest import burn, need, python, wait_for

ID = "ab" * 32


def unified():
    with open("/proc/self/mountinfo") as mounts:
        for line in mounts:
            if " - cgroup2 " in line:
                return line.split()[4]
    return None


@pytest.fixture
def place():
    """A cgroup of our own, removed with all that is below it."""
    mount = unified()
    path = f"{mount}/tally-test-{uuid.uuid4().hex[:12]}"
    try:
        os.mkdir(path if mount else "/nowhere/at/all")
    except OSError as error:
        pytest.skip(f"no cgroup can be made: {error}")
    yield path
    for folder, below, _ in os.walk(path, topdown=False):
        def empty():
            with open(f"{folder}/cgroup.procs") as procs:
                return not procs.read()
        wait_for(empty, f"{folder} is empty")
        os.rmdir(folder)


def make(place, below):
    os.makedirs(f"{place}/{below}")
    return f"{place}/{below}"


def enter(cgroup, pid):
    with open(f"{cgroup}/cgroup.procs", "w") as procs:
        procs.write(str(pid))


def inside(cgroup, child, code, **options):
    """A process that is in a cgroup before Python begins: its start counts there, too."""
    return child("/bin/sh", "-c", f"echo $$ > '{cgroup}/cgroup.procs' && exec \"$@\"", "sh",
                 *python("import os\n" + code), **options)


def usage(cgroup):
    with open(f"{cgroup}/cpu.stat") as stat:
        return int(stat.readline().split()[1]) / 1e6


def tasks(observer):
    return {task["task"]: task for task in observer.ask("/api/v1/tasks", unix=True).json["tasks"]}


@pytest.mark.parametrize("collector", ["bpf", "procfs"])
def test_cpu_agrees_with_the_kernel_while_processes_move(
        tally, observe, tmp_path, place, child, collector):
    need(tally, collector)
    name = os.path.basename(place)
    first = make(place, "system.slice/nginx.service")
    other = make(place, f"kubepods.slice/kubepods-pod0f1e_2d3c.slice/cri-containerd-{ID}.scope")
    observer = observe(sources=[f"cgroup:/{name}/"], collector=collector)
    pod = f"pod-0f1e-2d3/{ID[:12]}"
    wait_for(lambda: {"nginx.service", pod} <= set(tasks(observer)), "the tasks are seen")
    # BPF sees the instant of a move. A look at /proc sees who is where by then: it is let look before and after.
    go, burnt, done = (tmp_path / name for name in ("go", "burnt", "done"))
    if collector == "bpf":
        go.touch()
    process = inside(
        first, child, burn(2) + f"open('{burnt}', 'w')\n"
        f"while not os.path.exists('{go}'): time.sleep(0.05)\n"
        f"open('{other}/cgroup.procs', 'w').write(str(os.getpid()))\n"
        f"time.sleep({0 if collector == 'bpf' else 1})\n"
        "end = time.process_time() + 2\nwhile time.process_time() < end: pass\n"
        f"open('{done}', 'w')\ninput()\n", stdin=subprocess.PIPE)

    def differs(task, cgroup):
        counted = tasks(observer)[task]["cpu_seconds"] or 0
        return abs(counted - usage(cgroup)) / usage(cgroup)

    # Whoever waits or sleeps consumes nothing: the next sample has all of it.
    if collector == "procfs":
        wait_for(lambda: burnt.exists() and differs("nginx.service", first) < 0.01,
                 "what was burnt before the move is counted")
        go.touch()
    wait_for(done.exists, "it has moved and burnt")
    for task, cgroup in ("nginx.service", first), (pod, other):
        wait_for(lambda: differs(task, cgroup) < 0.01 or process.poll() is not None,
                 f"{task} agrees within 1 %: {tasks(observer)[task]['cpu_seconds']} {usage(cgroup)}")
    observer.ticks(2)
    for task, cgroup in ("nginx.service", first), (pod, other):
        assert differs(task, cgroup) < 0.01, (task, tasks(observer)[task], usage(cgroup))


def test_a_service_that_starts_anew_goes_on(observe, place, child):
    name = os.path.basename(place)
    cgroup = make(place, "x.service")
    observer = observe(sources=[f"cgroup:/{name}/"])
    inside(cgroup, child, burn(0.3)).wait()
    wait_for(lambda: (tasks(observer).get("x.service", {}).get("cpu_seconds") or 0) > 0.2, "counted")
    before = tasks(observer)["x.service"]["cpu_seconds"]
    os.rmdir(cgroup)
    wait_for(lambda: tasks(observer)["x.service"]["state"] == "lost", "its end is seen")
    os.mkdir(cgroup)
    inside(cgroup, child, burn(0.3)).wait()
    wait_for(lambda: tasks(observer)["x.service"]["cpu_seconds"] > before + 0.2, "it goes on")


def test_without_a_source_something_is_shown(observe, place, child):
    """A unit is a task of its cgroup; what lies in none is a session or a daemon."""
    inside(make(place, "y.service"), child, burn(0.1) + "import time\ntime.sleep(30)\n")
    observer = observe(sources=None)
    wait_for(lambda: tasks(observer).get("y.service", {}).get("cpu_seconds"), "it is counted")
    assert tasks(observer)["y.service"]["source"] == "auto"
