#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What it costs to know what a sandbox uses: Tally's walk beside GNU du, gdu and Python's, and the
tracker under load.

Markdown on standard output; progress on standard error. CPU time, user and system, caches warm; ways
are run in turn, so that what else the machine does meets all of them. The trees are made below
$TMPDIR and removed: a million files for "many", which take minutes on a disk and half of one on
tmpfs. --only names the parts, so that it can be measured in pieces.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

from harness import machine, table

HERE = os.path.dirname(os.path.abspath(__file__))
SETTLED_AFTER = 45
PARTS = ["walk", "one", "many", "hot", "compile"]
PYTHON = """
import os, sys
total, seen = 0, set()
for folder, dirs, files in os.walk(sys.argv[1]):
    for name in dirs + files:
        stat = os.lstat(os.path.join(folder, name))
        if stat.st_nlink == 1 or os.path.isdir(name) or stat.st_ino not in seen:
            total += stat.st_blocks * 512
            seen.add(stat.st_ino)
print(total)
"""


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "build"))
    parser.add_argument("--files", type=int, default=300_000)
    parser.add_argument("--sandboxes", type=int, default=100, help="of 10,000 files")
    parser.add_argument("--seconds", type=int, default=15, help="of each load")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", choices=PARTS, action="append", help="may be given again")
    parser.add_argument("--quick", action="store_true", help="see that it runs: small trees")
    options = parser.parse_args()
    options.only = options.only or PARTS
    if options.quick:
        options.files, options.sandboxes, options.seconds, options.repeat = 10_000, 3, 2, 1
    return options


class Bench:
    def __init__(self, options):
        self.options = options
        self.program = os.path.join(options.build, "bench", "disk_bench")

    def __call__(self, *words):
        done = subprocess.run([self.program, *map(str, words)], check=True, stdout=subprocess.PIPE,
                              text=True)
        return json.loads(done.stdout) if done.stdout else None


def cpu_of(words):
    """CPU time of a program, its output thrown away."""
    pid = os.posix_spawnp(words[0], words, os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise RuntimeError(f"{words[0]} failed")
    return usage.ru_utime + usage.ru_stime


def compare_walks(bench, tree, options):
    ways = {
        "Tally's walk": lambda: bench("walk", tree)["cpu"],
        "GNU du -s": lambda: cpu_of(["du", "-xs", tree]),
        "gdu": lambda: cpu_of(["gdu", "--non-interactive", "--no-progress", tree]),
        "Python os.walk + lstat": lambda: cpu_of([sys.executable, "-S", "-E", "-c", PYTHON, tree]),
    }
    if not shutil.which("gdu"):
        machine.say("gdu is not installed: left out")
        del ways["gdu"]
    found = {name: [] for name in ways}
    bench("walk", tree)
    for _ in range(options.repeat):
        for name, way in ways.items():
            found[name].append(way())
            machine.say(f"{name}: {found[name][-1]:.3f} s")
    base = table.middle(found["GNU du -s"])
    rows = [[name, table.spread(values, "{:.2f}"), f"{base / table.middle(values):.2f}×"]
            for name, values in sorted(found.items(), key=lambda item: table.middle(item[1]))]
    print(f"First walk of {options.files:,} files, warm:\n")
    print(table.markdown(["way", "CPU seconds", "speed by du"], rows, right=(1, 2)), "\n")
    return base


def change_one(bench, tree, made, du, options):
    # What was just written is looked at again and again, until its blocks are surely decided on.
    machine.say("letting the tree settle")
    if not options.quick:
        time.sleep(max(0, made + SETTLED_AFTER - time.monotonic()))
    du = du or cpu_of(["du", "-xs", tree])
    found = bench("one", tree)
    rows = [
        ["first walk, marking every directory", f"{found['first'] * 1e3:.0f} ms", ""],
        ["a look at a tree at rest",
         f"{found['rest'] * 1e3 / found['looks_at_rest']:.3f} ms",
         f"1/{du / max(found['rest'] / found['looks_at_rest'], 1e-9):,.0f}"],
        [f"a look that sees one changed file, {found['seen_after']:.2f} s after the change",
         f"{found['look'] * 1e3:.3f} ms", f"1/{du / max(found['look'], 1e-9):,.0f}"]]
    print(f"Following {options.files:,} files, a look each second, method {found['method']}:\n")
    print(table.markdown(["what", "CPU", "of du's"], rows, right=(1, 2)), "\n")


def load_row(name, found):
    return [name, found["method"], f"{found['share'] * 100:.2f} %", f"{found['oldest']:.2f} s",
            found["rereads"]]


def make_sandboxes(bench, folder, count):
    os.mkdir(folder)
    for i in range(count):
        bench("make", os.path.join(folder, str(i)), 100, 100)


def load(bench, folder, options):
    rows = []
    if "many" in options.only:
        machine.say("making sandboxes")
        many = os.path.join(folder, "many")
        make_sandboxes(bench, many, options.sandboxes)
        for interval, share in (1, 100), (10, 100), (1, 2), (60, 2):
            machine.say(f"50 changes a second, a look every {interval} s, budget {share} %")
            # Twice through all looks at least.
            seconds = max(options.seconds, 2 * interval if share == 100 else 120)
            if options.quick:
                seconds = options.seconds
            found = bench("many", many, options.sandboxes, seconds, 50, interval, share)
            rows.append(load_row(
                f"{options.sandboxes} sandboxes of 10,000 files, 50 changes/s, a look every "
                f"{interval} s, {'no budget' if share == 100 else f'budget {share} %'} "
                f"(first figures of all after {found['first']:.0f} s)", found))
    if "hot" in options.only:
        hot = os.path.join(folder, "hot")
        bench("make", hot, 10, 100)
        found = bench("hot", hot, options.seconds, 50_000)
        rows.append(load_row(f"a file written {found['writes']:,.0f} times a second", found))
    if "compile" in options.only:
        path = os.path.join(folder, "compile")
        os.makedirs(os.path.join(path, "out"))
        bench("make", os.path.join(path, "in"), 10, 100)
        rows.append(load_row("a compile that makes and removes files in and beside the sandbox",
                             bench("compile", path, options.seconds)))
    if rows:
        print("Under load, a look each second and no budget unless it says otherwise:\n")
        print(table.markdown(["load", "method", "of one core", "oldest figure", "full walks"], rows,
                             right=(2, 3, 4)), "\n")


def main():
    options = parse()
    bench = Bench(options)
    print(machine.facts(), "\n")
    folder = tempfile.mkdtemp(prefix="tally-bench-")
    try:
        tree, du = os.path.join(folder, "tree"), None
        if {"walk", "one"} & set(options.only):
            machine.say(f"making {options.files:,} files")
            bench("make", tree, options.files // 100, 100)
            os.sync()
            made = time.monotonic()
        if "walk" in options.only:
            du = compare_walks(bench, tree, options)
        if "one" in options.only:
            change_one(bench, tree, made, du, options)
        load(bench, folder, options)
    finally:
        machine.say("removing")
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
