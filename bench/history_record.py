#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Record what real programs do, second by second, for bench/history.py to replay.

Two recordings, each a table of all samples as `tally store export --csv` writes it, xz'd:

    mixed   a machine as it mostly is: a build with pauses, a database with a few clients, services
            that idle, a log, cron, and now and then a storm of short-lived processes
    busy    nothing but work: the build without a pause, the database as fast as it goes, a web
            server under load, a compressor, inserts into SQLite, and a storm without an end

Needs root, and the Debian packages postgresql, sqlite3, prometheus, curl and meson. Everything it
starts is niced, is in a folder of its own, and ends with it.
"""
import argparse
import csv
import glob
import io
import lzma
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from harness import machine

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

# An edit and a build, over and over: --pause is how long one thinks in between.
BUILD = """
import glob, os, random, subprocess, sys, time
source, pause = sys.argv[1], float(sys.argv[2])
files = sorted(glob.glob(source + "/src/*/*.c"))
while True:
    for path in random.sample(files, 12):
        os.utime(path)
    subprocess.run(["ninja", "-C", source + "/build", "-j2", "--quiet", "src/cli/tally"],
                   stdout=subprocess.DEVNULL)
    time.sleep(pause)
"""

# A service that takes a batch of readings every so often.
INGEST = """
import random, sqlite3, sys, time
path, pause = sys.argv[1], float(sys.argv[2])
db = sqlite3.connect(path)
db.execute("CREATE TABLE IF NOT EXISTS readings (at REAL, sensor INTEGER, value REAL)")
db.execute("CREATE INDEX IF NOT EXISTS by_sensor ON readings (sensor, at)")
while True:
    with db:
        db.executemany("INSERT INTO readings VALUES (?, ?, ?)",
                       [(time.time(), random.randrange(100), random.gauss(20, 3))
                        for _ in range(500)])
        db.execute("DELETE FROM readings WHERE at < ?", (time.time() - 60,))
    db.execute("SELECT sensor, avg(value) FROM readings GROUP BY sensor").fetchall()
    time.sleep(pause)
"""

STORM = "while :; do i=0; while [ $i -lt {burst} ]; do /bin/true; i=$((i+1)); done; sleep {pause}; done"
LOGGER = "i=0; while :; do i=$((i+1)); echo \"request $i took $((i % 37)) ms\"; sleep 0.7; done >> {log}"
COMPRESS = "while :; do xz -6 -T1 -c {file} > /dev/null; done"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class World:
    """The programs of a recording: started, named as tasks, and always ended."""

    def __init__(self, folder):
        self.folder, self.programs, self.sources = folder, [], []
        os.chmod(folder, 0o755)

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, name, *words, **options):
        """A process of a task: TASK/PROCESS, and the words of its command."""
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL)
        program = subprocess.Popen(["nice", "-n", "15", *map(str, words)], start_new_session=True,
                                   stdin=subprocess.DEVNULL, **options)
        self.programs.append(program)
        self.sources.append(f"pid:{name}={program.pid}")

    def end(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            for program in self.programs:
                try:
                    os.killpg(program.pid, number)
                except ProcessLookupError:
                    pass
            deadline = time.monotonic() + 5
            for program in self.programs:
                try:
                    program.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    pass


def build(world, pause):
    source = world.path("source")
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns("build*", ".git", "node_modules"))
    subprocess.run(["meson", "setup", "build"], cwd=source, check=True, stdout=subprocess.DEVNULL)
    world.start("build/ninja", sys.executable, "-c", BUILD, source, pause)


def database(world, clients, rate):
    (binaries,) = glob.glob("/usr/lib/postgresql/*/bin")[-1:]
    data, port = world.path("data"), free_port()
    os.mkdir(data)
    os.chown(data, 65534, 65534)
    subprocess.run([*AS_NOBODY, f"{binaries}/initdb", "-D", data, "-U", "bench", "-A", "trust"],
                   check=True, stdout=subprocess.DEVNULL)
    world.start("database/postgres", *AS_NOBODY, f"{binaries}/postgres", "-D", data,
                "-p", port, "-k", data, "-c", "listen_addresses=")
    connect = ["-h", data, "-p", str(port), "-U", "bench", "postgres"]
    for _ in range(100):
        if subprocess.run(["psql", *connect, "-c", "SELECT 1"], capture_output=True).returncode == 0:
            break
        time.sleep(0.2)
    subprocess.run(["pgbench", "-i", "-q", "-s", "5", *connect], check=True, capture_output=True)
    limit = ["-R", str(rate)] if rate else []
    world.start("database/pgbench", "pgbench", "-c", clients, "-T", 3600, *limit, *connect)


def web(world, pause):
    port = free_port()
    world.start("web/server", sys.executable, "-m", "http.server", port, "--bind", "127.0.0.1",
                "--directory", HERE)
    world.start("web/health", "sh", "-c", f"while :; do curl -s -o /dev/null "
                f"http://127.0.0.1:{port}/bench.py; sleep {pause}; done")


def watch(world):
    """Prometheus, looking at itself: a real service that does little."""
    port, config = free_port(), world.path("prometheus.yml")
    with open(config, "w") as file:
        file.write(f"""scrape_configs:
- job_name: prometheus
  scrape_interval: 5s
  static_configs:
  - targets: ["127.0.0.1:{port}"]
""")
    world.start("watch/prometheus", "prometheus", f"--config.file={config}",
                f"--storage.tsdb.path={world.path('tsdb')}", f"--web.listen-address=127.0.0.1:{port}")


def logs(world):
    log = world.path("log")
    world.start("logs/writer", "sh", "-c", LOGGER.format(log=log))
    world.start("logs/tail", "tail", "-F", log)


def mixed(world):
    build(world, 25)
    database(world, 4, 15)
    web(world, 5)
    watch(world)
    logs(world)
    world.start("ingest/sqlite", sys.executable, "-c", INGEST, world.path("ingest.db"), 3)
    world.start("storm/sh", "sh", "-c", STORM.format(burst=1500, pause=45))
    world.start("cron/sh", "sh", "-c", "while :; do sleep 20; ls -lR /etc > /dev/null; done")
    for name in ("mail", "print", "sync", "backup"):
        world.start(f"{name}/daemon", sys.executable, "-c", "import signal; signal.pause()")
        world.start(f"{name}/helper", "sleep", 3600)


def busy(world):
    build(world, 0)
    database(world, 4, 0)
    web(world, 0)
    world.start("ingest/sqlite", sys.executable, "-c", INGEST, world.path("ingest.db"), 0)
    world.start("storm/sh", "sh", "-c", STORM.format(burst=1000000, pause=0))
    world.start("compress/xz", "sh", "-c", COMPRESS.format(file=shutil.which("prometheus")))


RECORDINGS = {"mixed": mixed, "busy": busy}


def observe(tally, world, seconds, collector):
    """Let an observer sample them once a second. @return its store."""
    store = world.path("history.db")
    command = [tally, "observe", "--listen", "none", "--socket", world.path("tally.sock"),
               "--collector", collector, "--store", store, "--interval", "1s"]
    for source in world.sources:
        command += ["--source", source]
    observer = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        time.sleep(seconds)
    finally:
        observer.terminate()
        if observer.wait(30) != 0:
            raise SystemExit("the observer failed: see above")
    return store


def export(tally, store):
    """Its samples as they were taken, as CSV: absent columns and what others derive left out."""
    text = subprocess.run([tally, "store", "export", "--csv", "--store", store],
                          check=True, capture_output=True, text=True).stdout
    rows = [row for row in csv.DictReader(io.StringIO(text)) if float(row["step_seconds"]) == 0]
    keys = [key for key in rows[0] if key not in ("step_seconds", "cpu_seconds")
            and any(row[key] for row in rows)]
    out = io.StringIO()
    writer = csv.DictWriter(out, keys, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recording", choices=RECORDINGS)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--collector", default="auto")
    parser.add_argument("--out", help="default: bench/traces/RECORDING.csv.xz")
    options = parser.parse_args()
    tally = os.path.join(options.build, "src/cli/tally")
    path = options.out or os.path.join(HERE, "traces", options.recording + ".csv.xz")

    with tempfile.TemporaryDirectory(prefix="tally-record-") as folder:
        world = World(folder)
        try:
            RECORDINGS[options.recording](world)
            machine.say(f"{len(world.sources)} processes for {options.seconds} s")
            store = observe(tally, world, options.seconds, options.collector)
        finally:
            world.end()
        text = export(tally, store)
    with lzma.open(path, "wt", preset=9 | lzma.PRESET_EXTREME) as file:
        file.write(text)
    machine.say(f"{path}: {text.count(chr(10)) - 1} samples, {os.path.getsize(path)} bytes")


if __name__ == "__main__":
    main()
