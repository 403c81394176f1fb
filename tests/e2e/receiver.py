# SPDX-License-Identifier: Apache-2.0
"""What remote write is sent to: Debian's Prometheus, and a receiver that answers as it is told to."""
import http.server
import json
import os
import shutil
import socket
import struct
import subprocess
import threading
import urllib.parse
import urllib.request

import pytest

from conftest import wait_for


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Prometheus:
    def __init__(self, folder, port, config, *words):
        if not shutil.which("prometheus"):
            pytest.skip("prometheus (Debian's package) is not installed")
        self.address = f"127.0.0.1:{port}"
        self.log_path = os.path.join(folder, "prometheus.log")
        path = os.path.join(folder, "prometheus.yml")
        with open(path, "w") as file:
            file.write(config)
        self.log = open(self.log_path, "a")
        self.command = ["prometheus", f"--config.file={path}", f"--storage.tsdb.path={folder}/data",
                        f"--web.listen-address={self.address}", *words]
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, stderr=self.log, stdout=self.log)
        wait_for(self.ready, "Prometheus starts")

    def kill(self):
        self.process.kill()
        self.process.wait(timeout=60)

    def ready(self):
        assert self.process.poll() is None, "Prometheus ended"
        try:
            return urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=5).status == 200
        except OSError:
            return False

    def ask(self, expression):
        answer = json.load(urllib.request.urlopen(
            f"http://{self.address}/api/v1/query?" + urllib.parse.urlencode({"query": expression}),
            timeout=10))
        return answer["data"]["result"]

    def query(self, expression):
        return [(result["metric"], float(result["value"][1])) for result in self.ask(expression)]

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=60)
        self.log.close()


# -- the wire, written from its description ------------------------------------------------------

def varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        shift += 7
        at += 1
        if data[at - 1] < 128:
            return value, at


def unsnap(data):
    """Snappy's block format."""
    length, at = varint(data, 0)
    out = bytearray()
    while at < len(data):
        tag, kind = data[at], data[at] & 3
        at += 1
        if kind == 0:
            size = tag >> 2
            if size >= 60:
                more = size - 59
                size = int.from_bytes(data[at:at + more], "little")
                at += more
            out += data[at:at + size + 1]
            at += size + 1
            continue
        if kind == 1:
            size, offset = (tag >> 2 & 7) + 4, tag >> 5 << 8 | data[at]
            at += 1
        else:
            width = 2 if kind == 2 else 4
            size, offset = (tag >> 2) + 1, int.from_bytes(data[at:at + width], "little")
            at += width
        for _ in range(size):
            out.append(out[-offset])
    assert len(out) == length
    return bytes(out)


def fields(data):
    """(number, value) of a message of protobuf."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        if tag & 7 == 2:
            length, at = varint(data, at)
            yield tag >> 3, data[at:at + length]
            at += length
        elif tag & 7 == 1:
            yield tag >> 3, data[at:at + 8]
            at += 8
        else:
            assert tag & 7 == 0
            value, at = varint(data, at)
            yield tag >> 3, value


def text(message):
    return {1: "", 2: "", **{number: value.decode() for number, value in fields(message)}}


class Sample:
    def __init__(self, series):
        parts = list(fields(series))
        self.labels = [tuple(text(value)[i] for i in (1, 2)) for number, value in parts
                       if number == 1]
        (sample,) = [dict(fields(value)) for number, value in parts if number == 2]
        self.value, = struct.unpack("<d", sample.get(1, bytes(8)))
        self.bits, = struct.unpack("<Q", sample.get(1, bytes(8)))
        self.time = sample[2]

    def has(self, **labels):
        return set(labels.items()) <= set(self.labels)


def decode(body):
    series = list(fields(unsnap(body)))
    assert {number for number, _ in series} <= {1}
    return [Sample(value) for _, value in series]


class Receiver:
    """Answers with the statuses it is given, one after another, then with the last for good."""

    def __init__(self, *answers, port=0):
        self.answers = list(answers) or [204]
        self.requests = []  # (status, headers, samples)
        self.lock = threading.Lock()
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.answer(self, body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/v1/write"

    def answer(self, handler, body):
        with self.lock:
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            status, headers, said = (answer, {}, b"") if isinstance(answer, int) else answer
            self.requests.append((status, dict(handler.headers), decode(body)))
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(said)))
        handler.end_headers()
        handler.wfile.write(said)

    def taken(self):
        with self.lock:
            return [samples for status, _, samples in self.requests if status < 300]

    def end(self):
        self.server.shutdown()
        self.server.server_close()
