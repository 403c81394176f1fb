#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a second that is remembered costs: bytes, memory, and the time of an answer.

Tables in Markdown on standard output; progress on standard error. The samples are recordings of
real programs (bench/traces, made by bench/history_record.py). Every one is read back and
compared before a figure is printed. Prometheus is Debian's: the same series at the same times,
made into blocks by `promtool tsdb create-blocks-from openmetrics`.
"""
import argparse
import csv
import io
import json
import lzma
import os
import shutil
import subprocess
import tempfile

from harness import loads, machine, table

HERE = os.path.dirname(os.path.abspath(__file__))
TRACES = ["mixed", "busy"]
# What the design asks for.
REACH = {"mixed": 0.25, "busy": 0.5}


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "build"))
    parser.add_argument("--only", choices=["size", "speed", "memory"])
    parser.add_argument("--tasks", type=int, default=500, help="of the observer")
    parser.add_argument("--processes", type=int, default=10, help="of each task, each by its name")
    parser.add_argument("--quick", action="store_true",
                        help="see that it runs: without Prometheus, a small observer")
    options = parser.parse_args()
    if options.quick:
        options.tasks = 20
    return options


def trace(name):
    with lzma.open(os.path.join(HERE, "traces", name + ".csv.xz"), "rt") as file:
        return file.read()


def replay(build, text, *words):
    with tempfile.TemporaryDirectory(prefix="tally-history-") as folder:
        done = subprocess.run(
            [os.path.join(build, "bench/history_replay"), os.path.join(folder, "h.db"), *words],
            input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"history_replay failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


# ---- Prometheus ----

def openmetrics(text, processes_only):
    """The samples as OpenMetrics: a family after the other, a series after the other."""
    series, states = {}, {}  # Prometheus has numbers only: a state is one of them.
    for row in csv.DictReader(io.StringIO(text)):
        if processes_only and not row["process"]:
            continue
        labels = f'{{task="{row["task"]}",process="{row["process"]}"}}'
        for key, value in row.items():
            if key in ("task", "process", "time") or value == "":
                continue
            if key == "state":
                value = str(states.setdefault(value, len(states)))
            series.setdefault(key, {}).setdefault(labels, []).append((row["time"], value))
    lines, count = [], 0
    for key, family in series.items():
        lines.append(f"# TYPE tally_{key} gauge")
        for labels, samples in family.items():
            count += len(samples)
            lines += [f"tally_{key}{labels} {value} {time}" for time, value in samples]
    return "\n".join(lines) + "\n# EOF\n", count


def folder_bytes(path):
    return sum(os.path.getsize(os.path.join(folder, name))
               for folder, _, names in os.walk(path) for name in names)


def prometheus(text, processes_only):
    """Bytes per sample in a real TSDB: chunks alone, and with the index; None without promtool."""
    if not shutil.which("promtool"):
        machine.say("promtool (Debian package prometheus) is not installed: left out")
        return None
    with tempfile.TemporaryDirectory(prefix="tally-tsdb-") as folder:
        source, out = os.path.join(folder, "in.om"), os.path.join(folder, "out")
        lines, count = openmetrics(text, processes_only)
        with open(source, "w") as file:
            file.write(lines)
        done = subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", source, out],
                              capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"promtool failed: {done.stderr.strip()}")
        blocks = [entry.path for entry in os.scandir(out) if entry.is_dir()]
        made = [json.load(open(os.path.join(block, "meta.json")))["stats"]["numSamples"]
                for block in blocks]
        if sum(made) != count:
            raise SystemExit(f"promtool took {sum(made)} of {count} samples")
        chunks = sum(folder_bytes(os.path.join(block, "chunks")) for block in blocks)
        return chunks / count, sum(map(folder_bytes, blocks)) / count


def without_totals(measured):
    """Tally derives the total of a task where it is the sum of its processes; it costs nothing."""
    return (measured["block_bytes"] + measured["time_bytes"]) / measured["process_values"]


def size_rows(build, name, compare):
    text = trace(name)
    machine.say(f"{name}: replaying")
    tally = replay(build, text)
    if tally["wrong"] or tally["damaged"]:
        raise SystemExit(f"{name}: {tally['wrong']} samples were not as they were given")
    both = (tally["block_bytes"] + tally["time_bytes"]) / tally["values"]
    yield [f"{name}: tasks and processes", f"{tally['series']} × {tally['seconds']} s",
           f"{tally['values']:,}", f"{both:.3f}", f"≤ {REACH[name]}",
           *peer(text, False, both, compare)]
    own = without_totals(tally)
    yield [f"{name}: processes alone", "", f"{tally['process_values']:,}", f"{own:.3f}", "",
           *peer(text, True, own, compare)]


def peer(text, processes_only, own, compare):
    found = prometheus(text, processes_only) if compare else None
    if not found:
        return ["–", "–", "–"]
    chunks, whole = found
    return [f"{chunks:.3f}", f"{whole:.3f}", f"{whole / own:.1f}×"]


def sizes(options):
    rows = [row for name in TRACES for row in size_rows(options.build, name, not options.quick)]
    print("Bytes per value, lossless; every sample was read back and compared.\n")
    print(table.markdown(
        ["recording", "series", "values", "Tally, blocks and times", "reach",
         "Prometheus, chunks", "Prometheus, block", "ratio"], rows, right=range(2, 8)))
    print()


# ---- answers ----

def speeds(options):
    machine.say("an hour of the mixed recording: asking")
    told = replay(options.build, trace("mixed"), "--hour")
    asked = [("one instant, from memory", "nearest_memory_us", "≤ 0.1"),
             ("one instant, from the store", "nearest_store_us", "≤ 2"),
             ("an hour of seconds, from memory", "hour_memory_us", "≤ 5"),
             ("an hour of seconds, from the store", "hour_store_us", "≤ 5")]
    print("Time of an answer about a task or process, ms, out of an hour of the mixed recording.\n")
    print(table.markdown(
        ["question", "median", "99 of 100", "reach (median)"],
        [[what, f"{told[key][0] / 1e3:.3f}", f"{told[key][1] / 1e3:.3f}", reach]
         for what, key, reach in asked], right=range(1, 4)))
    print()


# ---- memory ----

def named(load):
    """Every process of a load by a name of its own: TASK/PROCESS=PID."""
    for name, root in load.roots:
        with open(f"/proc/{root}/task/{root}/children") as file:
            for number, pid in enumerate(file.read().split()):
                yield f"{name}/p{number}={pid}\n"


# Of the processes, one in so many wakes up each second; 0: they sleep, as the load does.
WAKES = {0: "all asleep, as this load is", 30: "1 in 30 wakes up each second"}


def watch(options, load, wake):
    machine.say(f"an observer, an hour of a simulated clock: {WAKES[wake]}")
    with tempfile.TemporaryDirectory(prefix="tally-history-") as folder:
        done = subprocess.run([os.path.join(options.build, "bench/history_observer"),
                               os.path.join(folder, "h.db"), str(wake)],
                              input="".join(named(load)) + "ready\n", capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"history_observer failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def memory(options):
    with loads.Tasks(options.build, options.tasks, options.processes + 1) as load:
        told = {wake: watch(options, load, wake) for wake in WAKES}
    one = told[0]
    print(f"Memory of the observer ({one['collector']}, with a store), {one['tasks']} tasks, "
          f"{one['processes']} named processes, MiB.\n")
    print(table.markdown(
        ["processes", "resident at its start", "after an hour of seconds", "reach",
         "of which the history"],
        [[WAKES[wake], *(f"{told[wake][key] / 2**20:.1f}" for key in ("rss_before", "rss_after")),
          "≤ 32" if wake == 0 else "", f"{told[wake]['history_bytes'] / 2**20:.1f}"]
         for wake in WAKES], right=range(1, 5)))
    print()


def main():
    options = parse()
    print(f"{machine.facts()}\n")
    for name, measure in (("size", sizes), ("speed", speeds), ("memory", memory)):
        if options.only in (None, name):
            measure(options)


if __name__ == "__main__":
    main()
