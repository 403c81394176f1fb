#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The algorithm of Thermos' resource monitor, written anew on psutil; a program of its own, so
that its CPU time is its own.

    thermos_psutil.py sample PASSES PID...   sample the tree of each root; per pass, the CPU ms
    thermos_psutil.py follow PID             poll one tree once a second until its root is gone;
                                             the CPU seconds it has seen

Thermos samples each named process by itself: the root and psutil's children(recursive=True), and of
each of them the CPU rate and times, memory, niceness, state and number of threads.
"""
import json
import sys
import time

import psutil


def sample_one(process):
    rate = process.cpu_percent(0.0)
    times = process.cpu_times()
    memory = process.memory_info()
    return (rate / 100.0, times.user, times.system, memory.rss, memory.vms, process.nice(),
            process.status(), process.num_threads())


def sample_tree(root, known):
    """Samples of all the tree by (pid, create time). Process objects are kept: CPU rates need it."""
    samples = {}
    for process in [root] + root.children(recursive=True):
        process = known.setdefault(process, process)
        try:
            samples[process] = sample_one(process)
        except psutil.Error:
            pass
    return samples


def sample(passes, pids):
    roots = [psutil.Process(pid) for pid in pids]
    known, costs = {}, []
    for _ in range(passes):
        begin, begin_wall = time.process_time(), time.monotonic()
        for root in roots:
            sample_tree(root, known)
        costs.append((time.process_time() - begin) * 1000)
        time.sleep(max(0, 1 - (time.monotonic() - begin_wall)))
    with open("/proc/self/statm") as file:
        rss = int(file.read().split()[1]) * 4096
    return {"cpu_ms": costs, "rss_bytes": rss}


def follow(pid):
    """The last CPU times of everything ever seen: the most that polling a tree can know."""
    seen, known, polls = {}, {}, 0
    try:
        root = psutil.Process(pid)
        while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            for process, values in sample_tree(root, known).items():
                seen[process] = values[1] + values[2]
            polls += 1
            time.sleep(1)
    except psutil.NoSuchProcess:
        pass
    return {"cpu_seconds": sum(seen.values()), "processes": len(seen), "polls": polls}


def main():
    if sys.argv[1] == "sample":
        result = sample(int(sys.argv[2]), list(map(int, sys.argv[3:])))
    else:
        result = follow(int(sys.argv[2]))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
