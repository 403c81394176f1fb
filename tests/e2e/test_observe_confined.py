# SPDX-License-Identifier: Apache-2.0
"""Nothing that an observer does runs into its filter of system calls, or that of the systemd unit."""
import os
import re
import shutil
import signal
import subprocess
import time

import pytest

from conftest import PROGRAM, ROOT, Tally, need, wait_for
from receiver import Receiver
from test_cgroup import enter, make, place, unified  # noqa: F401
from test_observe_guard import make_certificate

pytest.importorskip("thrift", reason="python3-thrift is not installed")
if not shutil.which("thrift"):
    pytest.skip("thrift-compiler is not installed", allow_module_level=True)

from thermos_streams import *  # noqa: E402

TARGETS = ["/", "/metrics", "/api/v1/tasks", "/api/v1/tasks?at=-1s", "/api/v1/status", "/j/task_ids",
           "/api/v1/tasks/steady?pids=1", "/api/v1/tasks/steady/history?since=-5s",
           "/api/v1/tasks/steady/disk", "/api/v1/tasks/steady/deleted", "/api/v1/tasks/nobody"]


class World:
    """Tasks of every source, with sandboxes; all of them move when told to."""

    def __init__(self, folder, child, root, records, place):
        self.folder, self.child, self.root, self.records = folder, child, root, records
        self.place, self.moves = place, 0
        for name in "pids", "service", "box", "box/below":
            (folder / name).mkdir()
        self.move()

    def sources(self):
        found = [f"pid:steady={os.getpid()}", f"thermos:{self.root.path}",
                 f"pidfile:{self.folder}/pids", f"supervise:{self.folder}/service",
                 f"pid:move-{self.moves}={self.child('sleep', 600).pid}"]
        if self.place:
            found.append(f"cgroup:{self.place.removeprefix(unified() + '/')}/*")
        return found

    def config(self):
        """As it is after so many moves."""
        sources = ", ".join(f"'{source}'" for source in self.sources())
        return (f"source: [{sources}]\ndisk-interval: 200ms\nmatch:\n  - task: 'of-{{{{user}}}}-{self.moves}'\n"
                "    comm: [sleep]\n    user: ['*']\n    cmdline: ['sleep (?<time>\\d+)']\n")

    def move(self):
        self.moves += 1
        name, process = f"task-{self.moves}", self.child("sleep", 600)
        box = self.folder / "box"
        (box / "below" / name).write_bytes(b"x" * 10_000 * self.moves)
        self.root.write(name, self.records.header(name, sandbox=str(box)) + self.records.status(ACTIVE)
                        + self.records.run("web", 0, FORKED, RUNNING, pid=process.pid,
                                           start=time.time()))
        if self.moves > 1:
            self.root.finish(f"task-{self.moves - 1}")
        (self.folder / "pids" / f"{name}.pid").write_text(f"{process.pid}\n")
        if self.place:
            enter(make(self.place, name), self.child("sleep", 600).pid)


def groups_of_systemd():
    """{@group: what is in it}, calls and groups."""
    found = {}
    for line in subprocess.run(["systemd-analyze", "syscall-filter"], capture_output=True, text=True,
                               check=True).stdout.splitlines():
        if line.startswith("@"):
            members = found.setdefault(line.strip(), set())
        elif re.match(r" +[@a-z]", line):
            members.add(line.strip())
    return found


def allowed_by_unit():
    """What the unit's own filter lets through: SystemCallFilter of systemd.exec(5)."""
    groups = groups_of_systemd()

    def calls(name):
        return set().union(*map(calls, groups[name])) if name in groups else {name}

    allowed = calls("@default")
    with open(os.path.join(ROOT, "deploy/systemd/tally.service")) as unit:
        for words in re.findall(r"^SystemCallFilter=(.*)", unit.read(), re.MULTILINE):
            named = set().union(*map(calls, words.removeprefix("~").split()))
            allowed = allowed - named if words.startswith("~") else allowed | named
    return allowed


@pytest.fixture
def cgroups(request):
    try:
        return request.getfixturevalue("place")
    except pytest.skip.Exception:
        return None  # The rest is worth a look without.


# The processes end before their cgroups do: `cgroups` comes first.
@pytest.fixture
def world(cgroups, tmp_path, child, root, records):
    return World(tmp_path, child, root, records, cgroups)


@pytest.fixture
def traced(tmp_path):
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    path = tmp_path / "calls"
    program = Tally(PROGRAM, ["strace", "-D", "-f", "-qq", "-o", str(path)])
    program.path = path
    return program


def named(observer):
    return {task["task"]: task for task in observer.ask("/api/v1/tasks", unix=True).json["tasks"]}


@pytest.mark.parametrize("collector", ["procfs", "bpf"])
def test_no_call_is_refused_whatever_it_observes(tally, traced, observe, world, collector, tmp_path):
    need(tally, collector)
    receiver = Receiver()
    cert, key = make_certificate(tmp_path)
    config = tmp_path / "tally.yaml"
    config.write_text(world.config())
    observer = observe("--config", config, "--pss", "--tls-cert", cert, "--tls-key", key,
                       "--history", "2s", "--remote-write", receiver.url,
                       "--remote-write-interval", "200ms", program=traced, collector=collector)
    assert "confined" in observer.log
    for count in range(3):
        wait_for(lambda: f"task-{world.moves}" in named(observer), "the task of this move")
        wait_for(lambda: named(observer)[f"task-{world.moves}"]["disk_bytes"], "its disk usage")
        for target in TARGETS:
            assert observer.ask(target, unix=True).status in (200, 404), target
        world.move()
        config.write_text(world.config())
        observer.process.send_signal(signal.SIGHUP)
        wait_for(lambda: observer.log.count("certificates were read again") > count, "the reload")
    wait_for(receiver.taken, "something pushed")
    assert observer.end() == 0
    calls = traced.path.read_text().splitlines()
    # A starved disk worker asks for ordinary priority, which the kernel refuses without CAP_SYS_NICE.
    assert not [line for line in calls if "EPERM" in line and "sched_setscheduler" not in line]
    used = {found[1] for line in calls if (found := re.match(r"\d+ +([a-z]\w+)\(", line))}
    assert {"openat", "bind", "seccomp"} <= used
    assert used - allowed_by_unit() == set()
