#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How the cost of a tick grows: with processes, with tasks of the same processes, with threads.

CSV on standard output; --plot FILE.svg draws it with gnuplot.
"""
import argparse
import collections
import os
import subprocess
import sys
import tempfile
import time

from harness import loads, machine, programs, table

HERE = os.path.dirname(os.path.abspath(__file__))
Point = collections.namedtuple("Point", "curve tasks processes threads")

# Processes of a fixed number of tasks; tasks of a fixed number of processes; threads.
POINTS = [
    Point("processes", 100, 10, 1),
    Point("processes", 100, 50, 1),
    Point("processes", 100, 100, 1),
    Point("processes", 100, 200, 1),
    Point("tasks", 10, 1000, 1),
    Point("tasks", 100, 100, 1),
    Point("tasks", 1000, 10, 1),
    Point("tasks", 2000, 5, 1),
    Point("threads", 10, 10, 1),
    Point("threads", 10, 10, 200),
]
QUICK = [Point("processes", 10, 5, 1), Point("tasks", 25, 2, 1), Point("threads", 5, 2, 5)]
COLLECTORS = ["bpf", "procfs"]
COLUMNS = ["curve", "tasks", "processes", "threads", "collector", "ms_per_tick", "rss_mib", "quiet"]


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "build"))
    parser.add_argument("--rounds", type=int, default=10, help="measured")
    parser.add_argument("--warm-up", type=int, default=4, help="rounds not measured")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--curve", choices=["processes", "tasks", "threads"], help="only this one")
    parser.add_argument("--quick", action="store_true", help="see that it runs: small loads")
    parser.add_argument("--results", help="append to this file, and report all in it")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--plot", metavar="FILE.svg", help="draw the curves")
    parser.add_argument("--lock", help="hold this flock(1) file while one load lasts")
    options = parser.parse_args()
    options.points = QUICK if options.quick else POINTS
    if options.quick:
        options.rounds, options.warm_up = 2, 2
    if options.curve:
        options.points = [p for p in options.points if p.curve == options.curve]
    return options


def loads_of(points):
    """Points of the same load are measured once."""
    shapes = {}
    for point in points:
        shapes.setdefault(point[1:], []).append(point)
    return shapes


def measure_load(options, results, shape, points):
    tasks, processes, threads = shape
    lack = machine.lacking(tasks * processes, threads)
    if lack:
        machine.say(f"skipped: {lack}")
        return
    with loads.Tasks(options.build, tasks, processes, threads) as load:
        time.sleep(1)
        for collector in COLLECTORS:
            others = machine.Others()
            try:
                cost = programs.Tally(collector).measure(
                    load, options.build, options.rounds, options.warm_up)
            except programs.Skip as why:
                machine.say(f"{load} {collector}: skipped: {why}")
                continue
            cost["others"] = others.cpus()
            machine.say(f"{load} {collector}: {cost['ms']:.1f} ms, {cost['rss'] / 2**20:.0f} MiB "
                        f"(others: {cost['others']:.2f} CPUs)")
            for point in points:
                results.add(bench="scale", collector=collector, at=time.time(),
                            **point._asdict(), **cost)


def rows(results):
    """One row per point and collector, in the order of the columns: medians of the turns in which
    the machine was quiet, or of all when it never was."""
    groups = collections.defaultdict(list)
    for r in results.of(bench="scale"):
        groups[(r["curve"], r["tasks"], r["tasks"] * r["processes"],
                r["tasks"] * r["processes"] * r["threads"], r["collector"])].append(r)
    for key, found in sorted(groups.items()):
        found, quiet = table.quiet(found)
        yield [*key, f"{table.middle(r['ms'] for r in found):.2f}",
               f"{table.middle(r['rss'] for r in found) / 2**20:.1f}", "yes" if quiet else "no"]


def plot(rows_, path):
    """Give gnuplot one file per curve and collector, with the columns above."""
    with tempfile.TemporaryDirectory() as folder:
        for curve in ("processes", "tasks"):
            for collector in COLLECTORS:
                with open(os.path.join(folder, f"{curve}-{collector}.dat"), "w") as file:
                    for row in rows_:
                        if row[0] == curve and row[4] == collector:
                            file.write(" ".join(map(str, row)) + "\n")
        subprocess.run(["gnuplot", "-e", f"folder='{folder}'; out='{path}'",
                        os.path.join(HERE, "scale.gp")], check=True)


def main():
    options = parse()
    results = table.Results(options.results)
    for turn in range(0 if options.report else options.repeat):
        machine.say(f"turn {turn + 1} of {options.repeat}")
        for shape, points in loads_of(options.points).items():
            with machine.alone(options.lock):
                measure_load(options, results, shape, points)
    found = list(rows(results))
    print(f"# CPU per tick at 1 s. {machine.facts()}")
    print("\n".join(",".join(map(str, row)) for row in [COLUMNS, *found]))
    if options.plot:
        plot(found, options.plot)


if __name__ == "__main__":
    sys.exit(main())
