# SPDX-License-Identifier: Apache-2.0
"""The machine: what it is, whether it is ours alone, and what is said while it works."""
import contextlib
import datetime
import fcntl
import os
import re
import resource
import sys
import time


def say(text):
    """A line of progress: results go to standard output, everything else here."""
    clear = "\r\033[K" if sys.stderr.isatty() else ""
    print(clear + time.strftime("%H:%M:%S"), text, file=sys.stderr, flush=True)


def progress(text):
    """What is being done now, on a terminal alone: the next line is written over it."""
    if sys.stderr.isatty():
        print(f"\r{text}\033[K", end="\r", file=sys.stderr, flush=True)


@contextlib.contextmanager
def alone(path):
    """Hold an exclusive flock(1) lock, so that others on the machine can wait. None: no lock."""
    if not path:
        yield
        return
    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def facts():
    """One line about the machine, for the head of a table."""
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    kernel = os.uname()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (f"{model.group(1).strip() if model else kernel.machine}, {os.cpu_count()} CPUs, "
            f"{memory:.0f} GiB, {kernel.sysname} {kernel.release}, "
            f"{datetime.date.today().isoformat()}")


def lacking(processes, threads=1):
    """Why a load of this size does not fit on this machine, or None."""
    tasks = processes * threads
    limits = {
        "kernel.pid_max": int(open("/proc/sys/kernel/pid_max").read()),
        "kernel.threads-max": int(open("/proc/sys/kernel/threads-max").read()),
        "ulimit -u": resource.getrlimit(resource.RLIMIT_NPROC)[0],
    }
    for name, limit in limits.items():
        if limit != resource.RLIM_INFINITY and limit < tasks + 500:
            return f"{tasks:,} pids do not fit: {name} is {limit:,}"
    return None


def busy_seconds():
    """CPU time of the whole machine: /proc/stat, all but idle and iowait."""
    with open("/proc/stat") as file:
        user, nice, system, _, _, irq, softirq, steal = map(int, file.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


class Others:
    """How many CPUs were busy with what is not ours, since it was made.

    Ours is this program and the children it has waited for. Where others are busy, caches are
    colder and figures higher: they are kept apart."""

    QUIET = 0.25  # CPUs

    def __init__(self):
        self.begin = time.monotonic(), busy_seconds(), self.ours()

    @staticmethod
    def ours():
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    def cpus(self):
        begin, busy, ours = self.begin
        elapsed = time.monotonic() - begin
        return max(0.0, (busy_seconds() - busy) - (self.ours() - ours)) / elapsed
