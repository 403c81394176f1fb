#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What fifty clients at once, as fast as they can, do to the observer: wrk on loopback, 30 s per route.

Prints a Markdown table. No tick may be skipped; memory and descriptors must come back to what they were.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

from harness import loads, machine, programs, table

HERE = os.path.dirname(os.path.abspath(__file__))
TARGETS = ["/metrics", "/api/v1/tasks", "/api/v1/tasks/{task}/history", "/healthz"]


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "build"))
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--processes", type=int, default=10, help="of each task")
    parser.add_argument("--seconds", type=int, default=30, help="of each route")
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--collector", default="auto")
    parser.add_argument("--lock", help="hold this flock(1) file while measuring")
    return parser.parse_args()


class Observer:
    def __init__(self, options, load):
        self.port = programs.free_port()
        sources = [word for name, pid in load.roots for word in ("--source", f"pid:{name}={pid}")]
        self.process = subprocess.Popen(
            [os.path.join(options.build, "src/cli/tally"), "observe", "--socket", "none", "--listen",
             str(self.port), "--collector", options.collector, "--store", "none", *sources],
            stderr=subprocess.DEVNULL)
        for _ in range(300):
            time.sleep(0.1)
            try:
                if urllib.request.urlopen(self.url("/healthz"), timeout=5).status == 200:
                    return
            except OSError:
                pass
        sys.exit("the observer does not answer")

    def url(self, target):
        return f"http://127.0.0.1:{self.port}{target}"

    def status(self):
        return json.load(urllib.request.urlopen(self.url("/api/v1/status"), timeout=30))

    def end(self):
        self.process.terminate()
        return self.process.wait(timeout=30)


def hammer(observer, target, options):
    before = observer.status()
    done = subprocess.run(["wrk", "-t2", f"-c{options.clients}", f"-d{options.seconds}s", "--latency",
                           "--timeout", "10s", observer.url(target)], capture_output=True, text=True,
                          check=True)
    time.sleep(2)
    after = observer.status()
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)[1])
    slowest = re.search(r"99%\s+(\S+)", done.stdout)[1]
    errors = re.search(r"Socket errors: (.*)|Non-2xx or 3xx responses: (.*)", done.stdout)
    return [f"`{target}`", f"{rate:.0f}", slowest, errors.group(0) if errors else "none",
            str(after["ticks"] - before["ticks"]),
            str(after["ticks_skipped"] - before["ticks_skipped"]),
            f"{after['self']['rss_bytes'] / 2**20:.1f}", str(after["self"]["fds"])]


def main():
    options = parse()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed: make deps-bench")
    with loads.Tasks(options.build, options.tasks, options.processes) as load, \
            tempfile.TemporaryDirectory(), machine.alone(options.lock):
        observer = Observer(options, load)
        try:
            time.sleep(5)
            begun = observer.status()
            rows = []
            for target in TARGETS:
                target = target.format(task=load.roots[len(load.roots) // 2][0])
                rows.append(hammer(observer, target, options))
                machine.say(" | ".join(rows[-1]))
            ended = observer.status()
        finally:
            observer.end()
    print(f"{load}, {options.clients} clients, {options.seconds} s each; collector "
          f"{ended['collector']}; before: RSS {begun['self']['rss_bytes'] / 2**20:.1f} MiB, "
          f"{begun['self']['fds']} descriptors. {machine.facts()}.\n")
    print(table.markdown(["route", "answers/s", "99 % within", "errors", "ticks", "ticks skipped",
                          "RSS, MiB", "descriptors"], rows, right=(1, 2, 4, 5, 6, 7)))
    if ended["ticks_skipped"] != begun["ticks_skipped"] or ended["self"]["fds"] > begun["self"]["fds"] + 3:
        sys.exit("ticks were skipped, or descriptors are left open")


if __name__ == "__main__":
    main()
