# SPDX-License-Identifier: Apache-2.0
"""`tally show`: what processes that run already consume, and why they belong."""
import json
import os
import subprocess
import time

import pytest

from conftest import burn, python, wait_for

TREE = "(setsid sleep 60 &) ; sleep 60 & echo ready; wait"


@pytest.fixture
def tree(child):
    """A shell with a child, and with a daemon that has left it."""
    shell = child("sh", "-c", TREE, stdout=subprocess.PIPE)
    assert shell.stdout.readline() == b"ready\n"
    shell.stdout.close()
    return shell.pid


def show(tally, *words):
    gap = () if "--socket" in words else ("--interval", "50ms")
    done = tally("show", *gap, "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_running_process_is_shown_with_its_children(tally, tree):
    shown = show(tally, "--source", f"pid:shop/web={tree}")
    assert abs(shown["time"] - time.time()) < 30
    (task,) = shown["tasks"]
    assert (task["task"], task["source"], task["state"]) == ("shop", "pid", "active")
    (process,) = task["processes"]
    assert (process["process"], process["pid"], process["life"]) == ("web", tree, "active")
    assert task["pids"] == process["pids"] >= 2
    assert task["rss_bytes"] > 0
    assert task["cpu_rate"] is not None
    assert task["started"] <= task["time"]


def test_several_sources_make_one_picture(tally, child):
    pids = [child("sleep", 60).pid for _ in range(3)]
    shown = show(tally, "--source", f"pid:a={pids[0]}", "--source", f"pid:b/x={pids[1]}",
                 "--source", f"pid:b/y={pids[2]}")
    tasks = {task["task"]: task for task in shown["tasks"]}
    assert sorted(tasks) == ["a", "b"]
    assert [process["process"] for process in tasks["b"]["processes"]] == ["x", "y"]
    assert tasks["b"]["rss_bytes"] == sum(p["rss_bytes"] for p in tasks["b"]["processes"])
    assert tasks["b"]["pids"] == 2


def test_a_rate_comes_from_two_samples(tally, child):
    busy, idle = child(*python(burn(60))), child("sleep", 60)
    shown = show(tally, "--interval", "400ms", "--source", f"pid:busy={busy.pid}",
                 "--source", f"pid:idle={idle.pid}")
    rates = {task["task"]: task["cpu_rate"] for task in shown["tasks"]}
    assert rates["busy"] > 0.01
    assert rates["idle"] < rates["busy"] / 2


def test_pids_are_listed_with_why_they_belong(tally, tree):
    done = tally("show", "--pids", "--source", f"pid:shop/web={tree}")
    title, *rows = done.stdout.splitlines()
    assert title.split() == ["PROCESS", "PID", "PARENT", "WHY", "CPU", "MEMORY", "NAME"]
    assert {row.split()[0] for row in rows} == {"shop/web"}
    why = {row.split()[-1]: row.split()[3] for row in rows}
    assert why["sh"] == "root"
    assert why["sleep"] == "child"
    assert str(tree) in rows[0]


def test_pids_are_in_the_json_when_asked_for(tally, tree):
    (task,) = show(tally, "--pids", "--source", f"pid:web={tree}")["tasks"]
    members = task["members"]
    assert len(members) == task["pids"]
    assert members[0]["pid"] == tree and members[0]["why"] == "root"
    assert {member["comm"] for member in members} == {"sh", "sleep"}
    assert "members" not in show(tally, "--source", f"pid:web={tree}")["tasks"][0]


def test_one_task_and_one_process_can_be_asked_for(tally, child):
    pids = [child("sleep", 60).pid for _ in range(3)]
    sources = ["--source", f"pid:a={pids[0]}", "--source", f"pid:b/c/x={pids[1]}",
               "--source", f"pid:b/c/y={pids[2]}"]
    assert [task["task"] for task in show(tally, *sources, "a")["tasks"]] == ["a"]
    (task,) = show(tally, "b/c", *sources)["tasks"]
    assert len(task["processes"]) == 2
    (task,) = show(tally, "b/c/y", *sources)["tasks"]
    assert [process["process"] for process in task["processes"]] == ["y"]
    lines = tally("show", *sources, "b/c/y").stdout.splitlines()
    assert lines[1].split()[:3] == ["b/c/y", "active", str(pids[2])]


def test_the_table_lines_up(tally, tree):
    done = tally("show", "--source", f"pid:shop/web={tree}")
    title, task, process, *notes = done.stdout.splitlines()
    assert title.split() == ["TASK", "LIFE", "PID", "CPU", "CORES", "MEMORY", "READ", "WRITTEN",
                             "PIDS", "THREADS", "FDS"]
    assert task.split()[:2] == ["shop", "active"]
    assert process.split()[:3] == ["web", "active", str(tree)]
    assert len(title) == len(task) == len(process)
    assert all(note.startswith("- ") for note in notes)
    assert "\x1b" not in done.stdout


def test_names_of_processes_are_shown_and_not_obeyed(tally, child, tmp_path):
    program = tmp_path / "a\x1b[31mb (c) d"
    program.write_text("#!/bin/sh\nsleep 60\n")
    program.chmod(0o755)
    pid = child(program).pid
    wait_for(lambda: open(f"/proc/{pid}/comm").read().startswith("a\x1b"), "the program to start")
    done = tally("show", "--pids", "--source", f"pid:\x1b[1mweb={pid}")
    assert "\x1b" not in done.stdout
    assert "a?[31mb (c) d" in done.stdout and "?[1mweb" in done.stdout
    (task,) = show(tally, "--pids", "--source", f"pid:\x1b[1mweb={pid}")["tasks"]
    assert task["task"] == "\x1b[1mweb"
    assert task["members"][0]["comm"] == "a\x1b[31mb (c) d"


def test_what_another_user_may_not_read_is_absent_and_says_why(tally, nobody, child):
    pid = child("sleep", 60).pid
    (task,) = show(tally, "--source", f"pid:web={pid}")["tasks"]
    assert task["io_read_bytes"] is not None

    (task,) = show(nobody, "--source", f"pid:web={pid}")["tasks"]
    assert task["cpu_seconds"] is not None and task["rss_bytes"] > 0
    for key in ("io_read_bytes", "io_write_bytes"):
        assert task[key] is None
        assert "CAP_SYS_PTRACE" in task["missing"][key]
    table = nobody("show", "--source", f"pid:web={pid}").stdout
    assert "- not permitted: " in table and "CAP_SYS_PTRACE" in table


def test_an_unknown_task_or_process_is_said_with_what_there_is(tally, tree):
    source = ["--source", f"pid:shop/web={tree}"]
    done = tally("show", *source, "shoop")
    assert done.returncode == 1
    assert "there is no task 'shoop'" in done.stderr and done.stderr.count("\n") == 1
    done = tally("show", *source, "shop/db")
    assert done.returncode == 1
    assert "'db'" in done.stderr and "web" in done.stderr


def test_a_pid_that_is_not_there_is_refused(tally, child):
    process = child("true")
    process.wait()
    done = tally("show", "--source", f"pid:web={process.pid}")
    assert done.returncode == 1
    assert f"there is no process {process.pid}" in done.stderr


@pytest.mark.parametrize("spec", ["pid", "pid:web", "pid:web=x", "pid:=1", "pod:web=1", ""])
def test_a_malformed_source_is_wrong_usage(tally, spec):
    done = tally("show", "--source", spec)
    assert done.returncode == 2
    assert "pid:NAME=PID" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_an_observer_or_a_source_it_says_what_to_do(nobody, tmp_path):
    done = nobody("show", env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert done.returncode == 2
    assert "tally observe" in done.stderr and "--source pid:NAME=PID" in done.stderr
    assert done.stderr.count("\n") == 1
    done = nobody("show", "--socket", tmp_path / "none")
    assert done.returncode == 1 and "no observer answers" in done.stderr
    for words in (["--interval", "1s"], ["--at", "-1m", "--pss"], ["--at", "-1m", "--pids"],
                  ["--at", "-1m", "--socket", "x", "--store", "y"],
                  ["--source", "pid:a=1", "--socket", "x"]):
        assert nobody("show", *words).returncode == 2


def test_the_observer_is_asked(tally, observe, tree, child):
    other = child("sleep", 60).pid
    observer = observe(sources=[f"pid:shop/web={tree}", f"pid:a/b/c={other}"])
    observer.ticks(3)
    ask = ("--socket", observer.socket)
    shown = {task["task"]: task for task in show(tally, *ask)["tasks"]}
    assert set(shown) == {"shop", "a/b"}
    assert shown["shop"]["pids"] >= 2 and shown["shop"]["cpu_rate"] is not None
    lines = tally("show", *ask).stdout.splitlines()
    assert lines[1].split()[:2] == ["shop", "active"]
    assert lines[2].split()[:3] == ["web", "active", str(tree)]
    (task,) = show(tally, *ask, "a/b/c")["tasks"]
    assert task["task"] == "a/b" and [p["process"] for p in task["processes"]] == ["c"]
    assert tally("show", *ask, "a/b/c").stdout.splitlines()[1].split()[:3] == [
        "a/b/c", "active", str(other)]
    pids = tally("show", *ask, "--pids").stdout
    assert f"{tree}" in pids and "shop/web" in pids and "a/b/c" in pids and " child " in pids
    assert str(tree) not in tally("show", *ask, "--pids", "a/b").stdout
    for word, hint in [("shoop", "no task 'shoop'"), ("shop/db", "no process 'db'")]:
        done = tally("show", *ask, word)
        assert done.returncode == 1 and hint in done.stderr and done.stderr.count("\n") == 1


def test_the_past_is_not_asked_of_a_source(tally, tmp_path):
    done = tally("show", "--source", f"pid:me={os.getpid()}", "--at", "-5m")
    assert done.returncode == 2
    assert "--source" in done.stderr and done.stderr.count("\n") == 1
    assert tally("show", "--at", "yesterday").returncode == 2
    done = tally("show", "--store", tmp_path / "x.db")
    assert done.returncode == 2 and "--at TIME" in done.stderr


def test_a_process_that_ends_between_the_samples_is_shown_as_ended(tally, child):
    parent = child("sh", "-c", "sleep 3 & echo $!; wait; sleep 60", stdout=subprocess.PIPE, text=True)
    pid = parent.stdout.readline().strip()
    parent.stdout.close()
    (task,) = show(tally, "--interval", "5s", "--source", f"pid:web={pid}")["tasks"]
    assert task["state"] == "lost"
    assert task["pids"] == 0
    assert task["ended"] is not None


def test_output_that_cannot_be_written_is_a_failure(tally):
    with open("/dev/full", "w") as full:
        done = subprocess.run([*tally.command, "show", "--source", f"pid:me={os.getpid()}"],
                              stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "No space left" in done.stderr
