#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What it costs to know which tasks there are, when nothing changes.

One line of JSON per source on standard output: 1,000 active and 5,000 finished Thermos tasks, and as many
cgroups as asked for. A poll is what each source does every 5 s, to be certain.
"""
import argparse
import os
import subprocess
import sys

from harness import machine

HERE = os.path.dirname(os.path.abspath(__file__))


def unified():
    with open("/proc/self/mountinfo") as mounts:
        for line in mounts:
            if " - cgroup2 " in line:
                return line.split()[4]
    return None


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(HERE, "..", "build"))
    parser.add_argument("--cgroups", type=int, default=500)
    parser.add_argument("--polls", type=int, default=20)
    parser.add_argument("--only", choices=["thermos", "cgroup"])
    parser.add_argument("--lock", help="hold this flock(1) file while measuring")
    options = parser.parse_args()
    mount = unified()
    runs = {"thermos": ["thermos_refresh", "--polls", str(options.polls)],
            "cgroup": ["cgroup_refresh", mount or "", str(options.cgroups), str(options.polls),
                       "100"]}
    if not mount or not os.access(mount, os.W_OK):
        machine.say("no cgroup can be made here: that source is left out")
        del runs["cgroup"]
    failed = False
    for source, (program, *words) in runs.items():
        if options.only in (None, source):
            with machine.alone(options.lock):
                machine.say(source)
                print(source, flush=True, end=" ")
                failed |= subprocess.run(
                    [os.path.join(options.build, "bench", program), *words]).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main())
