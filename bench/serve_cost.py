#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What an answer of the observer costs: CPU of its HTTP thread, and of process-exporter beside it.

One Markdown table on standard output. An answer is asked for once per tick, so that each is made
anew; "given again" is what the same answer costs within the same tick. The figures of a request are
those of the thread that answers (/proc/PID/task/TID/schedstat); process-exporter, which samples when it is
asked, is counted as a whole.
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from harness import loads, machine, programs, table

HERE = os.path.dirname(os.path.abspath(__file__))
PROMETHEUS = ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")

ANSWERS = [
    ("/metrics", "/metrics", {}),
    ("/metrics as Prometheus asks (OpenMetrics, gzip)", "/metrics",
     {"Accept": PROMETHEUS, "Accept-Encoding": "gzip"}),
    ("/metrics, zstd", "/metrics", {"Accept-Encoding": "zstd"}),
    ("/api/v1/tasks", "/api/v1/tasks", {}),
    ("/api/v1/tasks, gzip", "/api/v1/tasks", {"Accept-Encoding": "gzip"}),
    ("/api/v1/tasks, zstd", "/api/v1/tasks", {"Accept-Encoding": "zstd"}),
    ("/api/v1/tasks?at=-5s", "/api/v1/tasks?at=-5s", {}),
    ("one task", "/api/v1/tasks/{task}", {}),
    ("the history of one task, all there is", "/api/v1/tasks/{task}/history", {}),
    ("/api/v1/status", "/api/v1/status", {}),
    ("/healthz", "/healthz", {}),
]


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "build"))
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--processes", type=int, default=10, help="of each task")
    parser.add_argument("--named", action="store_true",
                        help="each of them a named process, with series of its own")
    parser.add_argument("--collector", default="auto")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--lock", help="hold this flock(1) file while measuring")
    return parser.parse_args()


def children():
    """{pid: its children} of all processes."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat") as file:
                parent = int(file.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        found.setdefault(parent, []).append(int(pid))
    return found


def sources(load, named):
    if not named:
        return [f"pid:{name}={pid}" for name, pid in load.roots]
    tree = children()
    return [f"pid:{name}/p{number}={pid}" for name, root in load.roots
            for number, pid in enumerate([root, *tree.get(root, [])])]


class Observer:
    def __init__(self, options, load, folder):
        self.port = programs.free_port()
        words = [word for source in sources(load, options.named) for word in ("--source", source)]
        self.process = subprocess.Popen(
            [os.path.join(options.build, "src/cli/tally"), "observe", "--socket", "none", "--listen",
             str(self.port), "--collector", options.collector, "--max-series", "1000000", *words],
            stderr=subprocess.DEVNULL)
        self.wait()
        self.thread = self.find_thread("tally-http")

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.process.terminate()
        self.process.wait()

    def wait(self):
        for _ in range(300):
            time.sleep(0.1)
            try:
                if self.fetch("/healthz")[0] == 200:
                    return
            except OSError:
                pass
        sys.exit("the observer does not answer")

    def find_thread(self, name):
        folder = f"/proc/{self.process.pid}/task"
        for thread in os.listdir(folder):
            with open(f"{folder}/{thread}/comm") as file:
                if file.read().strip() == name:
                    return f"{folder}/{thread}/schedstat"
        sys.exit(f"there is no thread {name}")

    def cpu_ms(self):
        with open(self.thread) as file:
            return int(file.read().split()[0]) / 1e6

    def fetch(self, target, headers=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{target}",
                                         headers=headers or {})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, len(answer.read())

    def cost(self, target, headers):
        begin = self.cpu_ms()
        _, length = self.fetch(target, headers)
        return self.cpu_ms() - begin, length

    def rss(self):
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(observer, target, headers, rounds):
    fresh, again, length = [], [], 0
    for _ in range(rounds):
        time.sleep(1.1)  # The next tick, and past the second that an answer is kept.
        cost, length = observer.cost(target, headers)
        fresh.append(cost)
        again.append(observer.cost(target, headers)[0])
    return fresh, again, length


def exporter(rounds):
    program = programs.ProcessExporter(
        "process-exporter", "", ["-threads=false", "-gather-smaps=false"])
    try:
        return program.measure(None, None, 2 * rounds, 1)["ms"]
    except (programs.Skip, FileNotFoundError) as why:
        machine.say(f"process-exporter: skipped: {why}")
        return None


def main():
    options = parse()
    rows = []
    with loads.Tasks(options.build, options.tasks, options.processes) as load, \
            tempfile.TemporaryDirectory() as folder, machine.alone(options.lock):
        with Observer(options, load, folder) as observer:
            time.sleep(5)
            for name, target, headers in ANSWERS:
                target = target.format(task=load.roots[len(load.roots) // 2][0])
                fresh, again, length = measure(observer, target, headers, options.rounds)
                machine.say(f"{name}: {statistics.median(fresh):.2f} ms")
                rows.append([name, table.spread(fresh, "{:.2f}"), f"{statistics.median(again):.2f}",
                             f"{length / 1024:.0f}"])
            rss = observer.rss()
        other = exporter(options.rounds)
    print(f"{options.tasks} tasks of {options.processes} processes"
          f"{', each of them named' if options.named else ''}. {machine.facts()}. "
          f"RSS of the observer {rss / 2**20:.1f} MiB.\n")
    if other is not None:
        rows.append(["process-exporter, lean: /metrics", f"{other:.0f}", "–", "–"])
    print(table.markdown(["answer", "CPU, ms", "given again, ms", "KiB"], rows, right=(1, 2, 3)))


if __name__ == "__main__":
    main()
