#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A long time of the observer in a short one: its memory and its descriptors must not grow.

It ticks twenty times a second instead of once (--interval), so that six minutes are two hours of ticks,
while all that may leak goes on: tasks that come and end all the time, a history so short that it is cut at each tick, a
store so small that it is pruned, scrapes and queries with and without an end, a receiver of remote
write that fails half of the time, and SIGHUP. What happens by the clock and not by the tick (the disk
interval, blocks of coarser resolutions) is not sped up by this.

Prints a Markdown table; fails when what it takes in the last third of the time is more than in the second.
"""
import argparse
import http.client
import http.server
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from harness import machine, programs, table

HERE = os.path.dirname(os.path.abspath(__file__))
TARGETS = ["/metrics", "/api/v1/tasks", "/api/v1/tasks?at=-2s", "/api/v1/status", "/j/task_ids", "/",
           "/api/v1/tasks/steady/history?since=-5s", "/api/v1/tasks/nobody", "/nonsense"]


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "build"))
    parser.add_argument("--seconds", type=float, default=360)
    parser.add_argument("--interval", type=int, default=50, help="of the ticks, in milliseconds")
    parser.add_argument("--collector", default="auto")
    return parser.parse_args()


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes what is pushed for two seconds, and fails for two."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204 if time.monotonic() % 4 < 2 else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class Churn(threading.Thread):
    """Processes that live for a second or two, as tasks of a directory of pid files."""

    def __init__(self, folder, stop):
        super().__init__()
        self.folder, self.stop, self.begun = folder, stop, 0

    def run(self):
        alive = []
        while not self.stop.wait(0.1):
            path = os.path.join(self.folder, f"job-{self.begun}.pid")
            process = subprocess.Popen(["sleep", "60"])
            with open(path, "w") as file:
                file.write(f"{process.pid}\n")
            alive.append((process, path))
            self.begun += 1
            if len(alive) > 15:
                self.end(*alive.pop(0))
        for one in alive:
            self.end(*one)

    @staticmethod
    def end(process, path):
        os.unlink(path)
        process.kill()
        process.wait()


class Clients(threading.Thread):
    """Ask for everything; now and then go away in the middle."""

    def __init__(self, port, stop):
        super().__init__()
        self.port, self.stop, self.answers, self.number = port, stop, 0, 0

    def run(self):
        while not self.stop.wait(0.02):
            self.number += 1
            try:
                self.ask() if self.number % 10 else self.leave()
            except (OSError, http.client.HTTPException):
                pass

    def ask(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", TARGETS[self.number % len(TARGETS)],
                               headers={"Accept-Encoding": ["gzip", "zstd", ""][self.number % 3]})
            connection.getresponse().read()
            self.answers += 1
        finally:
            connection.close()

    def leave(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(b"GET /api/v1/tasks HTTP/1.1\r\nHost: localhost\r\n\r\nGET /")


# The history is full within the first third: what fills it is no growth.
def start(options, folder, receiver, port):
    os.mkdir(os.path.join(folder, "jobs"))
    words = ["--source", f"pid:steady={os.getpid()}", "--source", f"pidfile:{folder}/jobs",
             "--socket", "none", "--listen", str(port), "--collector", options.collector,
             "--interval", f"{options.interval}ms", "--history", f"{min(10, options.seconds / 4):g}s",
             "--store", f"{folder}/state/history.db", "--store-size", "2M", "--remote-write",
             f"http://127.0.0.1:{receiver.server_port}/", "--remote-write-interval", "200ms"]
    return subprocess.Popen([os.path.join(options.build, "src/cli/tally"), "observe", *words],
                            stderr=open(os.path.join(folder, "log"), "w"))


def measure(process, seconds):
    """(RSS in KiB, descriptors) of each half second."""
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.5)
        if process.poll() is not None:
            sys.exit("the observer ended")
        with open(f"/proc/{process.pid}/statm") as file:
            rss = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024
        found.append((rss, len(os.listdir(f"/proc/{process.pid}/fd"))))
        if len(found) % 20 == 0:
            process.send_signal(signal.SIGHUP)
            machine.say(f"RSS {rss} KiB, {found[-1][1]} descriptors")
    return found


def status(port):
    import json
    import urllib.request
    return json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/status", timeout=30))


def main():
    options = parse()
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    port, stop = programs.free_port(), threading.Event()
    with tempfile.TemporaryDirectory() as folder:
        process = start(options, folder, receiver, port)
        workers = [Churn(os.path.join(folder, "jobs"), stop), Clients(port, stop)]
        for worker in workers:
            worker.start()
        try:
            samples = measure(process, options.seconds)
            told = status(port)
        finally:
            stop.set()
            for worker in workers:
                worker.join()
            process.terminate()
            begun = time.monotonic()
            code = process.wait(timeout=30)
            ended = time.monotonic() - begun
        with open(os.path.join(folder, "log")) as file:
            log = file.read()
        stored = ", ".join(f"{entry.name} {entry.stat().st_size >> 10} KiB" for entry in sorted(
            os.scandir(os.path.join(folder, "state")), key=lambda entry: entry.name))
    third = len(samples) // 3
    parts = [samples[:third], samples[third:2 * third], samples[2 * third:]]
    rows = [[name, *(f"{statistics.median(kind):.0f}" for kind in zip(*part)),
             f"{max(rss for rss, _ in part)}", f"{max(fds for _, fds in part)}"]
            for name, part in zip(["first", "second", "last"], parts)]
    print(f"{told['ticks']} ticks ({told['ticks_skipped']} skipped) in {options.seconds:.0f} s, "
          f"{workers[0].begun} tasks came and went, {workers[1].answers} answers, "
          f"{told['remote_write']['samples_sent']} samples pushed in "
          f"{told['remote_write']['requests']} requests, {told['remote_write']['retries']} of them "
          f"again; collector {told['collector']}; on disk: {stored}; ended in {ended:.2f} s; "
          f"{len(log.splitlines())} lines of log. {machine.facts()}.\n")
    print(table.markdown(["third of the time", "RSS, KiB", "descriptors", "RSS at most",
                          "descriptors at most"], rows, right=(1, 2, 3, 4)))
    (rss, fds), (rss_last, fds_last) = (
        [statistics.median(kind) for kind in zip(*part)] for part in parts[1:])
    if code or rss_last > rss * 1.05 + 512 or fds_last > fds + 3:
        sys.exit(f"it grows, or did not end well (status {code})")


if __name__ == "__main__":
    main()
