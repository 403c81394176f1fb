# SPDX-License-Identifier: Apache-2.0
"""Writes what Thermos writes, with the real Thrift library, from src/source/thermos.thrift."""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import pytest
from thrift.protocol import TBinaryProtocol
from thrift.transport import TTransport

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
IDL = os.path.join(ROOT, "src/source/thermos.thrift")

WAITING, FORKED, RUNNING, SUCCESS, KILLED, FAILED, LOST = range(7)
ACTIVE, TASK_SUCCESS, TASK_FAILED, TASK_KILLED, TASK_LOST, CLEANING, FINALIZING = range(7)

# What a writer of the future might add: new fields of every type everywhere, and a new kind of record.
FUTURE = """
struct ThermosFuture { 1: map<string, list<ThermosFuture>> more 2: set<i16> numbers 3: binary bytes }
"""
FUTURE_FIELDS = """
	40: ThermosFuture future
	41: list<map<i64, string>> lists
	42: bool flag
	43: byte small
	44: double real
	45: binary bytes
"""


def generate(idl, name):
    """Compile an IDL with Thrift's compiler and import what it made."""
    folder = tempfile.mkdtemp()
    try:
        path = os.path.join(folder, name + ".thrift")
        with open(path, "w") as file:
            file.write(idl)
        subprocess.run(["thrift", "--gen", "py", "-out", folder, path], check=True)
        sys.path.insert(0, folder)
        try:
            module = __import__(name + ".ttypes")
        finally:
            sys.path.remove(folder)
    finally:
        shutil.rmtree(folder)
    return module.ttypes


def _present():
    with open(IDL) as file:
        return file.read()


def _future():
    text = _present()
    text = text.replace("/** One transition", FUTURE + "/** One transition", 1)
    for struct_ in ("ThermosProcessStatus", "ThermosTaskStatus", "ThermosRunnerHeader"):
        text = text.replace(f"struct {struct_} {{", f"struct {struct_} {{" + FUTURE_FIELDS, 1)
    return text.replace("3: ThermosTaskStatus task_status",
                        "3: ThermosTaskStatus task_status 4: ThermosFuture future", 1)


types = generate(_present(), "thermos_now")


class Records:
    """Makes framed records; `types` may be those of the future."""

    def __init__(self, types=types, decorate=lambda struct_: struct_):
        self.types, self.decorate = types, decorate

    def frame(self, **branch):
        memory = TTransport.TMemoryBuffer()
        self.types.ThermosRunnerCkpt(**branch).write(TBinaryProtocol.TBinaryProtocol(memory))
        body = memory.getvalue()
        return struct.pack(">I", len(body)) + body

    def header(self, task, sandbox=None, uid=None, ports=None, **more):
        more.setdefault("user", "a-user")
        return self.frame(runner_header=self.decorate(self.types.ThermosRunnerHeader(
            task_id=task, launch_time_ms=int(time.time() * 1000), sandbox=sandbox,
            hostname="a-host", ports=ports or {}, log_dir="/var/log",
            uid=os.getuid() if uid is None else uid, **more)))

    def status(self, state, **more):
        return self.frame(task_status=self.decorate(self.types.ThermosTaskStatus(
            state=state, timestamp_ms=int(time.time() * 1000), runner_pid=1, runner_uid=0, **more)))

    def process(self, name, seq, state, **more):
        return self.frame(process_status=self.decorate(self.types.ThermosProcessStatus(
            process=name, seq=seq, state=state, **more)))

    def run(self, name, seq, *states, pid=0, start=0.0, code=0):
        """A run, from WAITING through the states given."""
        fields = {
            FORKED: dict(coordinator_pid=1, fork_time=start),
            RUNNING: dict(pid=pid, start_time=start),
            SUCCESS: dict(stop_time=start + 1, return_code=code),
            FAILED: dict(stop_time=start + 1, return_code=code),
            KILLED: dict(stop_time=start + 1, return_code=code),
        }
        return b"".join(self.process(name, seq + i, state, **fields.get(state, {}))
                        for i, state in enumerate((WAITING, *states)))


def future_records():
    future = generate(_future(), "thermos_future")

    def decorate(struct_):
        struct_.future = future.ThermosFuture(
            more={"a": [future.ThermosFuture(numbers={1, 2}, bytes=b"\0\xff")], "b": []})
        struct_.lists = [{1: "one", -1: "minus"}, {}]
        struct_.flag, struct_.small, struct_.real, struct_.bytes = True, -5, 0.5, b"\0" * 1000
        return struct_

    return Records(future, decorate), future


class Root:
    """A checkpoint root."""

    def __init__(self, path):
        self.path = str(path)
        for folder in ("tasks/active", "tasks/finished", "checkpoints"):
            os.makedirs(os.path.join(self.path, folder), exist_ok=True)

    def runner(self, task):
        return os.path.join(self.path, "checkpoints", task, "runner")

    def write(self, task, stream, definition=None):
        os.makedirs(os.path.dirname(self.runner(task)), exist_ok=True)
        with open(self.runner(task), "wb") as file:
            file.write(stream)
        with open(os.path.join(self.path, "tasks/active", task), "w") as file:
            json.dump(definition or {"name": "name of " + task}, file)

    def append(self, task, stream):
        with open(self.runner(task), "ab") as file:
            file.write(stream)

    def replace(self, task, stream):
        with open(self.runner(task) + ".new", "wb") as file:
            file.write(stream)
        os.rename(self.runner(task) + ".new", self.runner(task))

    def finish(self, task):
        os.rename(os.path.join(self.path, "tasks/active", task),
                  os.path.join(self.path, "tasks/finished", task))

    def remove(self, task):
        os.unlink(os.path.join(self.path, "tasks/finished", task))


class Teller:
    """The source alone, driven look by look: thermos_tell."""

    def __init__(self, program, root, kind="thermos"):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([program, kind, str(root)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)

    def look(self, times=1):
        for _ in range(times):
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        return json.loads(line)

    def said(self):
        """What it warned of, without the processes that are not there: most of them are made up."""
        self.log.seek(0)
        return [line for line in self.log.read().splitlines() if "is not counted" not in line]

    def close(self):
        self.process.stdin.close()
        status = self.process.wait()
        self.process.stdout.close()
        self.log.close()
        return status


def own_cpu(pid):
    """CPU seconds that a process says it used: its own stat."""
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path / "thermos")


@pytest.fixture
def records():
    return Records()
