# SPDX-License-Identifier: Apache-2.0
"""Reading what a program consumes, from outside and to the nanosecond."""
import os
import time

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def own_cpu_ns(pid):
    """CPU time of all threads, dead ones included: the process' CPU clock (MAKE_PROCESS_CPUCLOCK
    of the kernel, CPUCLOCK_SCHED), exact where /proc/PID/stat has 10 ms steps."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def children_cpu_ns(pid):
    """CPU time of the children it has reaped: cutime + cstime of /proc/PID/stat."""
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    return (int(fields[13]) + int(fields[14])) * TICK_NS


def cpu_ns(pid):
    return own_cpu_ns(pid) + children_cpu_ns(pid)


def rss_bytes(pid):
    """VmRSS, from the resident pages of /proc/PID/statm."""
    with open(f"/proc/{pid}/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def settle(pid, still=0.12, patience=3.0):
    """Wait until a program rests between two of its rounds. Returns whether it does.

    A window that begins and ends at rest holds whole rounds."""
    limit = time.monotonic() + patience
    since, last = time.monotonic(), own_cpu_ns(pid)
    while time.monotonic() < limit:
        time.sleep(0.01)
        now = own_cpu_ns(pid)
        if now != last:
            since, last = time.monotonic(), now
        elif time.monotonic() - since >= still:
            return True
    return False


def window(pid, rounds, interval=1.0):
    """CPU milliseconds per round of a program that keeps a pace of its own."""
    settle(pid)
    begin, begin_cpu = time.monotonic(), cpu_ns(pid)
    time.sleep(rounds * interval)
    rested = settle(pid)
    elapsed, cpu = time.monotonic() - begin, cpu_ns(pid) - begin_cpu
    count = round(elapsed / interval) if rested else elapsed / interval
    return cpu / 1e6 / count
