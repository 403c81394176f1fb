# SPDX-License-Identifier: Apache-2.0
"""The loads, started and always ended."""
import json
import os
import subprocess
import tempfile

from . import machine


class Tasks:
    """Tasks of sleeping processes (bench/load/load_tasks.c), as a context.

    roots is a list of (name, pid)."""

    def __init__(self, build, tasks, processes, threads=1, busy=0, seconds=600):
        self.tasks, self.processes, self.threads = tasks, processes, threads
        self.command = [os.path.join(build, "bench/load_tasks"), "--seconds", str(seconds),
                        "--threads", str(threads), "--busy", str(busy),
                        str(tasks), str(processes)]
        self.roots = []

    def __str__(self):
        more = f" of {self.threads} threads" if self.threads > 1 else ""
        return f"{self.tasks}×{self.processes}{more}"

    def __enter__(self):
        machine.say(f"load: making {self}")
        self.program = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for line in self.program.stdout:
            if line == "ready\n":
                return self
            name, _, pid = line.strip().partition("=")
            self.roots.append((name, int(pid)))
        self.__exit__()
        raise SystemExit(f"load_tasks could not make {self}: see above")

    def __exit__(self, *unused):
        self.program.stdin.close()
        self.program.wait()
        self.program.stdout.close()

    def lines(self):
        """The roots as bench/load/tally_monitor.c reads them."""
        return "".join(f"{name}={pid}\n" for name, pid in self.roots) + "ready\n"


def storm_command(build, mode, length, truth):
    return [os.path.join(build, "bench/load_storm"), "--truth", truth, mode, length]


def storm(build, mode, length, wrap=lambda command: command, watch=None):
    """Run a storm (bench/load/load_storm.c) and return what it says about itself.

    wrap   makes the command to run from that of the storm
    watch  starts a program that watches a pid; the JSON it prints at the end is in "watched"
    """
    with tempfile.TemporaryDirectory() as folder:
        truth = os.path.join(folder, "truth.json")
        program = subprocess.Popen(wrap(storm_command(build, mode, length, truth)))
        watcher = watch(program.pid) if watch else None
        code = program.wait()
        watched = json.loads(watcher.communicate()[0]) if watcher else None
        if code != 0:
            raise SystemExit(f"the storm \"{mode}\" ended with {code}")
        with open(truth) as file:
            return dict(json.load(file), watched=watched)
