#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a second of monitoring costs: Tally and its peers, side by side on the same load.

One Markdown table on standard output; progress on standard error. Each program runs by itself on
the same sleeping processes, at its own pace of one round a second (in a hot loop caches would
be warmer than they are in life). Its figure is the CPU time, user and system, of the whole program
over whole rounds after a warm-up. All programs are run in turn, and that as often as --repeat
says; the table has the median and, in brackets, the range.
"""
import argparse
import os
import sys
import time

from harness import loads, machine, programs, table

HERE = os.path.dirname(os.path.abspath(__file__))


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "build"))
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--processes", type=int, default=10, help="of each task")
    parser.add_argument("--rounds", type=int, default=10, help="measured")
    parser.add_argument("--warm-up", type=int, default=3, help="rounds not measured")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", help="programs whose name contains this")
    parser.add_argument("--quick", action="store_true",
                        help="see that it runs: a small load, few rounds")
    parser.add_argument("--results", help="append to this file, and make the table of all in it")
    parser.add_argument("--report", action="store_true", help="measure nothing, make the table")
    parser.add_argument("--lock", help="hold this flock(1) file while measuring")
    options = parser.parse_args()
    if options.quick:
        options.tasks, options.rounds, options.warm_up, options.repeat = 20, 2, 2, 1
    return options


def chosen(options):
    return [p for p in programs.PROGRAMS if not options.only or options.only in p.name]


def measure_all(options, results, size):
    with loads.Tasks(options.build, options.tasks, options.processes) as load:
        time.sleep(1)
        programs_chosen = chosen(options)
        for number, program in enumerate(programs_chosen, 1):
            machine.progress(f"program {number} of {len(programs_chosen)}: {program.name}, some "
                             f"{options.rounds + options.warm_up} s")
            others = machine.Others()
            try:
                measured = program.measure(load, options.build, options.rounds, options.warm_up)
            except programs.Skip as why:
                machine.say(f"{program.name}: skipped: {why}")
                results.add(bench="tick", load=size, program=program.name, skipped=str(why))
                continue
            record = results.add(bench="tick", load=size, program=program.name, at=time.time(),
                                 others=others.cpus(), **measured)
            machine.say(f"{program.name}: {record['ms']:.1f} ms "
                        f"(others: {record['others']:.2f} CPUs)")


def measured(results, size, program):
    return [r for r in results.of(bench="tick", load=size, program=program.name) if "ms" in r]


def row(program, results, size, best):
    records = measured(results, size, program)
    if not records:
        skipped = results.of(bench="tick", load=size, program=program.name)[-1]["skipped"]
        return [program.name, "–", "–", "–", f"skipped: {skipped}"]
    records, quiet = table.quiet(records)
    cost = table.middle(r["ms"] for r in records)
    return [program.name, table.spread([r["ms"] for r in records]) + ("" if quiet else " †"),
            f"{cost / best:.1f}×", f"{table.middle(r['rss'] for r in records) / 2**20:.1f}",
            program.note]


def cheapest(results, size, shown):
    """The best median of Tally; where Tally was not measured, of all."""
    medians = {p: table.middle(r["ms"] for r in table.quiet(found)[0])
               for p in shown if (found := measured(results, size, p))}
    tally = [cost for p, cost in medians.items() if isinstance(p, programs.Tally)]
    return min(tally or medians.values(), default=1)


def report(options, results, size):
    shown = [p for p in chosen(options) if results.of(bench="tick", load=size, program=p.name)]
    rows = [row(p, results, size, cheapest(results, size, shown)) for p in shown]
    print(f"{options.tasks} tasks of {options.processes} sleeping processes, 1 s interval. "
          f"{machine.facts()}.\n")
    print(table.markdown(["program", "CPU per tick, ms", "against Tally", "RSS, MiB",
                          "what it does"], rows, right=(1, 2, 3)))
    if any("†" in r[1] for r in rows):
        print(f"\n† others kept more than {machine.Others.QUIET} CPUs busy meanwhile, which makes figures higher.")


def main():
    options = parse()
    size = f"{options.tasks}x{options.processes}"
    results = table.Results(options.results)
    lack = machine.lacking(options.tasks * options.processes)
    if lack and not options.report:
        sys.exit(f"bench: {lack}")
    for turn in range(0 if options.report else options.repeat):
        machine.say(f"turn {turn + 1} of {options.repeat}")
        with machine.alone(options.lock):
            measure_all(options, results, size)
    report(options, results, size)


if __name__ == "__main__":
    main()
