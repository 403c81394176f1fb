# SPDX-License-Identifier: Apache-2.0
"""An observer under test, and the ways to ask it."""
import gzip
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.parse

from conftest import PATIENCE, wait_for


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    @property
    def text(self):
        body = self.body
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        return body.decode()

    @property
    def json(self):
        assert self.headers["Content-Type"] == "application/json", self.text
        return json.loads(self.text)


class Observer:
    """The program as a daemon on a free port and a socket of its own."""

    def __init__(self, tally, folder, *words, sources=(), listen="127.0.0.1:0", interval="100ms",
                 collector="procfs", store=None, env=None, **options):
        self.socket = os.path.join(folder, "tally.sock")
        self.log_path = os.path.join(folder, "log")
        self.url = None
        # None is what the program does by itself; no source at all has to be asked for, except of a file.
        by_itself = sources is None or "--config" in words
        named = sources or ([] if by_itself else ["none"])
        with open(self.log_path, "w") as log:
            self.process = tally.start(
                "observe", "--socket", self.socket, *(("--listen", listen) if listen else ()),
                "--interval", interval, "--collector", collector,
                "--store", store or os.path.join(folder, "state", "history.db"),
                *(word for source in named for word in ("--source", source)),
                *words, stderr=log, stdin=subprocess.DEVNULL, env=env, **options)
        wait_for(lambda: "answers at" in self.log or self.process.poll() is not None,
                 "the observer starts")
        assert self.process.poll() is None, self.log
        found = re.search(r"answers at .*?(https?)://(\S+:\d+)", self.log)
        if found:
            self.scheme, self.address = found.groups()
            self.port = int(self.address.rpartition(":")[2])

    @property
    def log(self):
        with open(self.log_path) as file:
            return file.read()

    def ask(self, target, method="GET", headers=None, unix=False, body=None):
        connection = UnixConnection(self.socket) if unix else http.client.HTTPConnection(
            "127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, target, body=body, headers=headers or {})
            return Answer(connection.getresponse())
        finally:
            connection.close()

    def tasks(self, **query):
        query = "?" + urllib.parse.urlencode(query) if query else ""
        return {task["task"]: task for task in self.ask("/api/v1/tasks" + query).json["tasks"]}

    def status(self, unix=False):
        return self.ask("/api/v1/status", unix=unix).json

    def ticks(self, more=1):
        """Wait for so many ticks to be taken."""
        begun = self.status()["ticks"]
        wait_for(lambda: self.status()["ticks"] >= begun + more, "ticks")

    def raw(self, data, unix=False, wait=True):
        """Send bytes as they are; what comes back until the end of the connection."""
        connection = self.connect(unix)
        with connection:
            try:
                connection.sendall(data)
                if wait:
                    connection.shutdown(socket.SHUT_WR)
            except OSError:  # It has heard enough.
                pass
            return receive_all(connection)

    def connect(self, unix=False):
        connection = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        connection.settimeout(PATIENCE)
        connection.connect(self.socket if unix else ("127.0.0.1", self.port))
        return connection

    def figure(self, name):
        """A number of /proc/PID/status, as VmRSS in kB."""
        with open(f"/proc/{self.process.pid}/status") as file:
            return int(re.search(rf"^{name}:\s+(\d+)", file.read(), re.MULTILINE)[1])

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def end(self, number=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE)


def receive_all(connection):
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except (ConnectionResetError, TimeoutError):
        pass
    return data


def metrics(text):
    """{(name, frozenset of labels): value} of the plain text format."""
    found = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, labels, value = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)", line).groups()
        pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")
        key = (name, frozenset(pairs))
        assert key not in found, f"{key} comes twice"
        found[key] = float(value)
    return found


def sum_of(samples, name, **labels):
    return sum(value for (key, pairs), value in samples.items()
               if key == name and set(labels.items()) <= pairs)


def wait_seconds(seconds):
    time.sleep(seconds)
