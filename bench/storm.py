#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How much of the CPU time of a fork storm is counted: Tally and a polled psutil tree against the
truth.

The storm (bench/load/load_storm.c) runs in a cgroup of its own and reads from it, at its end, what
all its processes used: the kernel's sum, whoever reaped them. Without the right to make a cgroup
the truth is rusage, completed by what the children say of themselves where nobody reaps them.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

from harness import loads, machine, table

HERE = os.path.dirname(os.path.abspath(__file__))

MODES = {
    "true": "fork and exec of /bin/true, reaped",
    "compile": "gcc of a small file, two at a time",
    "twenty": "20 parents, children of 10 ms",
    "forkexit": "fork and exit, as fast as it goes",
    "nochld": "parents that ignore SIGCHLD",
    "daemon": "double-forking daemons of 5 ms",
}


class Unavailable(Exception):
    """Why a counter cannot be measured here."""


def count_by_tally(options, mode, collector):
    """Run the storm under `tally run`; what its report says."""
    with tempfile.TemporaryDirectory() as folder:
        report = os.path.join(folder, "report.json")
        program = os.path.join(options.build, "src/cli/tally")
        if not os.path.exists(program):
            raise Unavailable(f"{program} is not built")

        def wrap(command):
            return [program, "run", "--quiet", "--collector", collector, "--json", report,
                    "--", *command]
        try:
            truth = loads.storm(options.build, mode, options.length, wrap)
        except SystemExit as why:
            raise Unavailable(str(why)) from None
        with open(report) as file:
            said = json.load(file)
        return truth, said["cpu_seconds"], said.get("pids_started")


def count_by_psutil(options, mode, _):
    """Poll the storm's tree once a second, and keep the last that was seen of each process."""
    def watch(pid):
        return subprocess.Popen(
            [sys.executable, os.path.join(HERE, "harness/thermos_psutil.py"), "follow", str(pid)],
            stdout=subprocess.PIPE, text=True)
    truth = loads.storm(options.build, mode, options.length, watch=watch)
    return truth, truth["watched"]["cpu_seconds"], truth["watched"]["processes"]


COUNTERS = {
    "tally bpf": (count_by_tally, "bpf"),
    "tally procfs": (count_by_tally, "procfs"),
    "psutil tree": (count_by_psutil, None),
}


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "build"))
    parser.add_argument("--length", default="10s", help="of a storm: SECONDSs or a number of rounds")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", choices=MODES, help="this mode alone")
    parser.add_argument("--quick", action="store_true", help="see that it runs: short storms, once")
    parser.add_argument("--results", help="append to this file, and make the table of all in it")
    parser.add_argument("--report", action="store_true", help="measure nothing, make the table")
    parser.add_argument("--lock", help="hold this flock(1) file during each storm")
    options = parser.parse_args()
    if options.quick:
        options.length, options.repeat = "1s", 1
    return options


def measure(options, results, mode, counter):
    count, argument = COUNTERS[counter]
    try:
        with machine.alone(options.lock):
            truth, cpu, processes = count(options, mode, argument)
    except Unavailable as why:
        machine.say(f"{mode}: {counter}: skipped: {why}")
        results.add(bench="storm", mode=mode, counter=counter, skipped=str(why))
        return
    record = {
        "percent": 100 * cpu / truth["cpu_seconds"], "cpu_seconds": truth["cpu_seconds"],
        "rusage_percent": 100 * truth["rusage_seconds"] / truth["cpu_seconds"],
        "truth": truth["truth"], "rate": truth["children"] / truth["wall_seconds"],
        "processes": truth["processes"], "processes_seen": processes,
    }
    machine.say(f"{mode}: {counter}: {cpu:.3f} s of {truth['cpu_seconds']:.3f} s, "
                f"{record['percent']:.2f} %; processes {processes} of {truth['processes']}")
    results.add(bench="storm", mode=mode, counter=counter, at=time.time(), **record)


def cell(results, mode, counter):
    records = results.of(bench="storm", mode=mode, counter=counter)
    values = [r["percent"] for r in records if "percent" in r]
    return table.spread(values, "{:.2f}") if values else "–"


def row(results, mode):
    measured = [r for r in results.of(bench="storm", mode=mode) if "percent" in r]
    if not measured:
        return [MODES[mode]] + ["–"] * (2 + len(COUNTERS) + 1)
    return [MODES[mode], f"{table.middle(r['rate'] for r in measured):,.0f}",
            f"{table.middle(r['cpu_seconds'] for r in measured):.1f}",
            *(cell(results, mode, counter) for counter in COUNTERS),
            f"{table.middle(r['rusage_percent'] for r in measured):.2f}"]


def report(results):
    modes = [m for m in MODES if results.of(bench="storm", mode=m)]
    truths = sorted({r["truth"] for r in results.of(bench="storm") if "truth" in r})
    print(f"Percent of the storm's CPU time that was counted; truth: {', '.join(truths)}. "
          f"{machine.facts()}.\n")
    head = ["storm", "children/s", "CPU, s", *COUNTERS, "rusage (wait4)"]
    print(table.markdown(head, [row(results, m) for m in modes], right=range(1, len(head))))
    for why in sorted({r["skipped"] for r in results.of(bench="storm") if "skipped" in r}):
        print(f"\nskipped: {why}")


def main():
    options = parse()
    results = table.Results(options.results)
    for turn in range(0 if options.report else options.repeat):
        machine.say(f"turn {turn + 1} of {options.repeat}")
        for mode in [options.only] if options.only else MODES:
            for counter in COUNTERS:
                measure(options, results, mode, counter)
    report(results)


if __name__ == "__main__":
    main()
