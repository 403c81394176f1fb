# SPDX-License-Identifier: Apache-2.0
"""The programs compared. Each is a class with a name, a note, and how its cost is measured; a new
one is a class and a row of PROGRAMS at the end.

measure() returns CPU milliseconds per round ("ms") and resident memory ("rss"); a program that
cannot run here raises Skip with the reason.
"""
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from . import meter

HERE = os.path.dirname(os.path.abspath(__file__))


class Skip(Exception):
    """Why a program is not measured."""


class Paced:
    """A program that keeps a pace of one round a second by itself."""
    note = ""
    stdin = ""  # What it is told; its standard input then stays open.

    def command(self, load, build, folder, seconds):
        raise NotImplementedError

    def environment(self, folder):
        return {}

    def measure(self, load, build, rounds, warm_up):
        with tempfile.TemporaryDirectory() as folder:
            command = self.command(load, build, folder, rounds + warm_up + 60)
            with Running(command, self.told(load), self.environment(folder)) as program:
                time.sleep(warm_up)
                cost = meter.window(program.pid, rounds)
                program.check()
                return {"ms": cost, "rss": meter.rss_bytes(program.pid)}

    def told(self, load):
        return ""


class Running:
    """A program, for as long as the context lasts. Ended by its standard input, or SIGTERM."""

    def __init__(self, command, told="", environment=None):
        if not shutil.which(command[0]):
            raise Skip(f"{command[0]} is not installed")
        self.command = command
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=dict(os.environ, **(environment or {})), text=True)
        self.pid = self.process.pid
        try:
            self.process.stdin.write(told)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass

    def __enter__(self):
        return self

    def check(self):
        """A program that has ended by itself has measured nothing."""
        if self.process.poll() is not None:
            lines = self.process.stderr.read().strip().splitlines() or ["it ended"]
            raise Skip(f"{os.path.basename(self.command[0])}: {lines[-1]}")

    def __exit__(self, *unused):
        self.process.terminate()
        try:
            self.process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


class Tally(Paced):
    def __init__(self, collector):
        self.collector = collector
        self.name = f"**Tally** ({collector})"
        self.note = "all metrics of the table, sums and history, of every task"

    def command(self, load, build, folder, seconds):
        return [os.path.join(build, "bench/tally_monitor"), "--collector", self.collector,
                "--seconds", str(seconds)]

    def told(self, load):
        return load.lines()


class BareLoop(Paced):
    def __init__(self, mode, name, note):
        self.mode, self.name, self.note = mode, name, note

    def command(self, load, build, folder, seconds):
        return [os.path.join(build, "bench/bare_stat"), self.mode, str(seconds)]


class Pidstat(Paced):
    name = "pidstat -u -r -d 1"
    note = "CPU, faults, memory, I/O; no tasks"

    def command(self, load, build, folder, seconds):
        return ["pidstat", "-u", "-r", "-d", "1", str(seconds)]


class Atop(Paced):
    name = "atop -w FILE 1"
    note = "all of the machine, kept in a file; no tasks"

    def command(self, load, build, folder, seconds):
        return ["atop", "-w", os.path.join(folder, "atop.raw"), "1", str(seconds)]


class Netdata(Paced):
    name = "netdata apps.plugin"
    note = "one group for the whole load"

    def command(self, load, build, folder, seconds):
        with open(os.path.join(folder, "apps_groups.conf"), "w") as file:
            file.write("load: load_tasks*\n")
        program = "/usr/lib/netdata/plugins.d/apps.plugin"
        if not os.path.exists(program):
            raise Skip("netdata-core is not installed")
        return [program, "1"]

    def environment(self, folder):
        return {"NETDATA_USER_CONFIG_DIR": folder, "NETDATA_STOCK_CONFIG_DIR": folder}


class ProcessExporter:
    """Works only when it is scraped: CPU per scrape."""
    program = "prometheus-process-exporter"

    def __init__(self, name, note, options):
        self.name, self.note, self.options = name, note, options

    def measure(self, load, build, rounds, warm_up):
        with tempfile.TemporaryDirectory() as folder:
            config = os.path.join(folder, "config.yml")
            with open(config, "w") as file:
                file.write('process_names:\n  - name: "{{.Comm}}-{{.PID}}"\n    cmdline: [".+"]\n')
            address = f"127.0.0.1:{free_port()}"
            command = [self.program, "-config.path", config, "-web.listen-address", address,
                       *self.options]
            with Running(command) as program:
                return self.scrape(program, f"http://{address}/metrics", max(1, rounds // 2))

    def scrape(self, program, url, times):
        self.wait_for(program, url)
        meter.settle(program.pid)
        begin = meter.cpu_ns(program.pid)
        for _ in range(times):
            self.fetch(url)
            meter.settle(program.pid)
        cost = (meter.cpu_ns(program.pid) - begin) / 1e6 / times
        return {"ms": cost, "rss": meter.rss_bytes(program.pid)}

    def wait_for(self, program, url):
        """The first scrape, of which there is no warm-up, is not counted."""
        for _ in range(60):
            time.sleep(1)
            program.check()
            try:
                return self.fetch(url)
            except urllib.error.URLError:
                pass
        raise Skip(f"{self.program}: no answer at {url}")

    @staticmethod
    def fetch(url):
        with urllib.request.urlopen(url, timeout=120) as answer:
            return len(answer.read())


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class ThermosPsutil:
    name = "Thermos' algorithm (psutil)"
    sampled = 10

    @property
    def note(self):
        return f"{self.sampled} tasks measured, multiplied"

    def measure(self, load, build, rounds, warm_up):
        chosen = load.roots[:self.sampled]
        passes = max(2, rounds // 3)
        done = subprocess.run(
            [sys.executable, os.path.join(HERE, "thermos_psutil.py"), "sample", str(passes),
             *(str(pid) for _, pid in chosen)], stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(done.stdout)
        costs = sorted(result["cpu_ms"][1:])
        return {"ms": costs[len(costs) // 2] * len(load.roots) / len(chosen),
                "rss": result["rss_bytes"]}


PROGRAMS = [
    ThermosPsutil(),
    ProcessExporter("process-exporter", "a group per process; its defaults: threads and smaps too",
                    []),
    ProcessExporter("process-exporter, lean", "the same with `-threads=false -gather-smaps=false`",
                    ["-threads=false", "-gather-smaps=false"]),
    Atop(),
    Pidstat(),
    Netdata(),
    BareLoop("open", "bare C loop", "open, read, close /proc/PID/stat; the floor of /proc readers"),
    Tally("procfs"),
    BareLoop("keep", "bare C loop, kept descriptors", "pread of /proc/PID/stat"),
    Tally("bpf"),
]
