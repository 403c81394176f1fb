#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a fork storm feels of being watched: the same storm with Tally attached and without.

Runs alternate (alone, bpf, procfs, control; then backwards), so that a drift of the machine meets
all alike; each is compared with the storm alone of the same turn, and the median of these is what
the table has. The control is the storm alone once more: what it shows is noise. Two figures: rounds per second of wall time, which the monitor's own
share of the CPUs lowers too, and CPU time per round, which only what is added to each fork raises.
"""
import argparse
import os
import time

from harness import loads, machine, table

HERE = os.path.dirname(os.path.abspath(__file__))
CONDITIONS = ["alone", "bpf", "procfs", "control"]
WATCHERS = {"bpf": "Tally (bpf)", "procfs": "Tally (procfs)", "control": "nobody (control)"}
MODES = ["forkexit", "true"]


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "build"))
    parser.add_argument("--length", default="4s", help="of a run")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--mode", choices=MODES, help="only this one")
    parser.add_argument("--quick", action="store_true", help="see that it runs")
    parser.add_argument("--results", help="append to this file, and make the table of all in it")
    parser.add_argument("--report", action="store_true", help="measure nothing, make the table")
    parser.add_argument("--lock", help="hold this flock(1) file during each turn")
    options = parser.parse_args()
    if options.quick:
        options.length, options.turns = "1s", 2
    return options


def run(options, mode, condition):
    """Rounds per second, and CPU milliseconds per round."""
    tally = os.path.join(options.build, "src/cli/tally")

    def wrap(command):
        return [tally, "run", "--quiet", "--collector", condition, "--", *command]
    storm = loads.storm(options.build, mode, options.length,
                        *([wrap] if condition in ("bpf", "procfs") else []))
    return {"rate": storm["children"] / storm["wall_seconds"],
            "cpu_ms": 1000 * storm["cpu_seconds"] / storm["children"]}


def take_turn(options, results, mode, turn):
    order = CONDITIONS if turn % 2 == 0 else CONDITIONS[::-1]
    others = machine.Others()
    found = {}
    for condition in order:
        try:
            found[condition] = run(options, mode, condition)
        except (SystemExit, FileNotFoundError) as why:
            machine.say(f"{mode} {condition}: skipped: {why}")
    busy = others.cpus()
    for condition in CONDITIONS[1:]:
        if condition in found and "alone" in found:
            relative = {f"{key}_percent": 100 * (found[condition][key] / found["alone"][key] - 1)
                        for key in ("rate", "cpu_ms")}
            results.add(bench="slowdown", mode=mode, condition=condition, at=time.time(),
                        alone=found["alone"], others=busy, **relative)
            machine.say(f"{mode} {condition}: rate {relative['rate_percent']:+.1f} %, "
                        f"CPU per round {relative['cpu_ms_percent']:+.1f} % "
                        f"(others: {busy:.2f} CPUs)")


def quartiles(values):
    """Median, and the half of all values around it."""
    values = sorted(values)
    low, high = values[len(values) // 4], values[(3 * len(values)) // 4]
    return f"{table.middle(values):+.1f} ({low:+.1f} to {high:+.1f})"


def report(results):
    rows = []
    for mode in MODES:
        for condition in CONDITIONS[1:]:
            found = results.of(bench="slowdown", mode=mode, condition=condition)
            if found:
                found, quiet = table.quiet(found)
                rows.append([mode, WATCHERS[condition], f"{len(found)}{'' if quiet else ' †'}",
                             f"{table.middle(r['alone']['rate'] for r in found):,.0f}",
                             quartiles([r["rate_percent"] for r in found]),
                             quartiles([r["cpu_ms_percent"] for r in found])])
    print(f"Median of paired runs and, in brackets, its middle half. {machine.facts()}.\n")
    print(table.markdown(["storm", "watched by", "pairs", "rounds/s alone",
                          "change of rounds/s, %", "change of CPU per round, %"],
                         rows, right=(2, 3, 4, 5)))
    if any("†" in row[2] for row in rows):
        print(f"\n† others kept more than {machine.Others.QUIET} CPUs busy meanwhile.")


def main():
    options = parse()
    results = table.Results(options.results)
    for turn in range(0 if options.report else options.turns):
        for mode in [options.mode] if options.mode else MODES:
            with machine.alone(options.lock):
                take_turn(options, results, mode, turn)
    report(results)


if __name__ == "__main__":
    main()
