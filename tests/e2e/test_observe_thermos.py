# SPDX-License-Identifier: Apache-2.0
"""Clients of Thermos' observer go on working: its JSON below /j/, from checkpoints and live processes."""
import os
import shutil
import time
import urllib.parse

import pytest

from conftest import burn, python, wait_for

pytest.importorskip("thrift", reason="python3-thrift is not installed")
if not shutil.which("thrift"):
    pytest.skip("thrift-compiler is not installed", allow_module_level=True)

from thermos_streams import *  # noqa: E402

DEFINITION = {"name": "hello", "processes": [{"name": "web", "cmdline": "python -m http.server"}]}


class ThermosClient:
    """What a client of the old observer does: knows its routes and keys, and nothing of Tally."""

    def __init__(self, observer):
        self.observer = observer

    def get(self, *parts, **query):
        target = "/j/" + "/".join(urllib.parse.quote(str(part), safe="") for part in parts)
        if query:
            target += "?" + urllib.parse.urlencode(query, safe=",")
        answer = self.observer.ask(target)
        assert answer.status == 200, answer.body
        return answer.json

    def counts(self):
        return self.get("task_id_count")

    def list(self, *words):
        return self.get("task_ids", *words)

    def task(self, task):
        return self.get("task", task)[task]

    def tasks(self, *tasks):
        return self.get("task", task_id=",".join(tasks))

    def process(self, task, *words):
        return self.get("process", task, *words)

    def processes(self, *tasks):
        return self.get("processes", task_ids=",".join(tasks))


SAMPLE = {"cpu", "ram", "disk", "user", "system", "rss", "vms", "nice", "status", "threads"}


@pytest.fixture
def world(root, records, child, observe, tmp_path):
    """An active task with a busy process in its third run and an idle one, and two that are over."""
    sandbox = tmp_path / "sandbox"
    sandbox.mkdir()
    (sandbox / "file").write_bytes(b"x" * 100_000)
    busy, idle = child(*python(burn(600))), child("sleep", 600)
    start = time.time()
    for number, state in (1, TASK_SUCCESS), (2, TASK_FAILED):
        name = f"done-{number}"
        root.write(name, records.header(name) + records.status(ACTIVE) + records.run(
            "web", 0, FORKED, RUNNING, SUCCESS if number == 1 else FAILED, pid=1,
            start=start - 1000 * number, code=number - 1) + records.status(state))
        root.finish(name)
        time.sleep(0.01)  # Times are told in milliseconds.
    root.write("web-1", records.header("web-1", sandbox=str(sandbox), ports={"http": 31337},
                                       user="alice") + records.status(ACTIVE), DEFINITION)
    root.append("web-1", b"".join((
        records.run("busy", 0, FORKED, RUNNING, FAILED, pid=1, start=start - 100, code=3),
        records.run("busy", 4, FORKED, RUNNING, SUCCESS, pid=1, start=start - 50),
        records.run("busy", 8, FORKED, RUNNING, pid=busy.pid, start=start),
        records.run("idle", 0, FORKED, RUNNING, pid=idle.pid, start=start),
        records.run("later", 0))))
    observer = observe("--disk-interval", "200ms", sources=[f"thermos:{root.path}"])
    wait_for(lambda: len(observer.tasks()) == 3, "the tasks")
    wait_for(lambda: observer.tasks()["web-1"]["disk_bytes"], "its disk usage")
    observer.ticks(5)
    observer.client, observer.busy = ThermosClient(observer), busy
    return observer


def test_tasks_are_counted(world):
    assert world.client.counts() == {"active": 1, "finished": 2, "all": 3}


def test_tasks_are_listed_newest_first(world):
    everything = world.client.list()
    assert (everything["type"], everything["offset"], everything["num"],
            everything["task_count"]) == ("all", 0, 20, 3)
    assert [row["task_id"] for row in everything["tasks"]][0] == "web-1"
    assert {row["task_id"] for row in everything["tasks"]} == {"web-1", "done-1", "done-2"}
    (row,) = world.client.list("active")["tasks"]
    assert set(row) == SAMPLE | {"task_id", "name", "role", "launch_timestamp", "state",
                                 "state_timestamp", "ports"}
    assert (row["name"], row["role"], row["state"]) == ("hello", "alice", "ACTIVE")
    assert row["ports"] == {"http": 31337}
    assert abs(row["launch_timestamp"] - time.time()) < 60
    assert abs(row["state_timestamp"] - time.time()) < 60


def test_a_list_is_read_page_by_page(world):
    pages = [world.client.list("all", offset, 1) for offset in range(4)]
    names = [[row["task_id"] for row in page["tasks"]] for page in pages]
    assert sorted(names[0] + names[1] + names[2]) == ["done-1", "done-2", "web-1"]
    assert names[3] == []
    assert [page["offset"] for page in pages] == [0, 1, 2, 3]
    assert {page["task_count"] for page in pages} == {3}
    assert [row["task_id"] for row in world.client.list("all", -1, 20)["tasks"]] == names[2]
    assert {row["task_id"] for row in world.client.list("finished")["tasks"]} == {
        "done-1", "done-2"}
    assert world.client.list("nonsense") == {}


@pytest.mark.parametrize("offset, rows", [(-2, 2), (1 - 2**63, 3), (2**63 - 1, 0)])
def test_an_offset_may_be_any_number(world, offset, rows):
    assert len(world.client.list("all", offset, 10)["tasks"]) == rows


@pytest.mark.parametrize("shown", [False, True])
def test_command_lines_are_shown_only_where_that_was_said(root, records, child, observe, shown):
    secret = "serve --password=hush\x1b[2J\r\n"
    definition = {"name": "deep", "processes": [{"name": "web", "cmdline": secret}],
                  "more": [{"task": {"processes": [{"cmdline": secret, "final": True}]}}]}
    root.write("web-1", records.header("web-1") + records.status(ACTIVE) + records.run(
        "web", 0, FORKED, RUNNING, pid=child("sleep", 600).pid, start=time.time()), definition)
    observer = observe(*["--show-commands"][:shown], sources=[f"thermos:{root.path}"])
    wait_for(lambda: "web-1" in observer.tasks(), "the task")
    answer = observer.ask("/j/task/web-1")
    if shown:
        assert answer.json["web-1"]["task"] == definition
    else:
        assert answer.json["web-1"]["task"] == {
            "name": "deep", "processes": [{"name": "web"}],
            "more": [{"task": {"processes": [{"final": True}]}}]}
        assert b"hush" not in answer.body
    assert not [byte for byte in answer.body.rstrip(b"\n") if byte < 32]


def test_a_live_task_is_read_rightly(world):
    task = world.client.task("web-1")
    assert (task["task_id"], task["name"], task["user"], task["state"]) == (
        "web-1", "hello", "alice", "ACTIVE")
    assert task["task"] == {"name": "hello", "processes": [{"name": "web"}]}
    assert task["ports"] == {"http": 31337}
    assert {state: sorted(names) for state, names in task["processes"].items()} == {
        "waiting": ["later"], "running": ["busy", "idle"], "success": [], "failed": [],
        "killed": []}
    used = task["resource_consumption"]
    assert set(used) == SAMPLE
    assert used["cpu"] > 0.2 and used["threads"] == 2
    assert used["ram"] == used["rss"] > 1 << 20 and used["vms"] > used["rss"]
    assert used["disk"] >= 100_000
    assert used["user"] + used["system"] == pytest.approx(own_cpu(world.busy.pid), abs=1)
    assert used["status"] and used["nice"] == os.getpriority(os.PRIO_PROCESS, world.busy.pid)


def test_a_task_that_is_over_consumes_nothing(world):
    for name, state, group in [("done-1", "SUCCESS", "success"), ("done-2", "FAILED", "failed")]:
        task = world.client.task(name)
        assert task["state"] == state and task["processes"][group] == ["web"]
        used = task["resource_consumption"]
        assert set(used) == SAMPLE
        assert {used[key] for key in ("cpu", "ram", "disk", "rss", "vms", "threads")} == {0}
        assert used["nice"] is None and used["status"] is None


def test_several_tasks_are_asked_for_at_once(world):
    both = world.client.tasks("web-1", "done-1", "nonsense")
    assert set(both) == {"web-1", "done-1"}
    assert world.client.get("task") == {}


def test_processes_have_their_runs(world):
    last = world.client.process("web-1", "busy")
    assert (last["process_name"], last["process_run"], last["state"]) == ("busy", 2, "RUNNING")
    assert abs(last["start_time"] - time.time()) < 60 and "stop_time" not in last
    assert set(last["used"]) == SAMPLE - {"disk"} and last["used"]["cpu"] > 0.2
    first = world.client.process("web-1", "busy", 0)
    assert (first["process_run"], first["state"], first["return_code"]) == (0, "FAILED", 3)
    assert first["stop_time"] - first["start_time"] == pytest.approx(1)
    assert "used" not in first
    second = world.client.process("web-1", "busy", 1)
    assert (second["state"], second["return_code"]) == ("SUCCESS", 0)
    assert world.client.process("web-1", "busy", -1) == dict(
        world.client.process("web-1", "busy", 2), used=world.client.process(
            "web-1", "busy", -1)["used"])
    assert world.client.process("web-1", "busy", 3) == {}
    assert world.client.process("web-1", "later")["state"] == "WAITING"


def test_all_processes_of_a_task_are_told_by_name(world):
    of_one = world.client.process("web-1")
    assert set(of_one) == {"busy", "idle", "later"}
    assert of_one["idle"]["state"] == "RUNNING"
    of_many = world.client.processes("web-1", "done-2", "nonsense")
    assert set(of_many["web-1"]) == {"busy", "idle", "later"}
    assert of_many["done-2"]["web"]["return_code"] == 1
    assert of_many["nonsense"] == {}


def test_what_is_unknown_is_empty(world):
    assert world.client.get("task", "nonsense") == {}
    assert world.client.process("nonsense") == world.client.process("nonsense", "web") == {}
    assert world.client.process("web-1", "nonsense") == {}
    assert world.ask("/j/nonsense").status == 404
    assert world.ask("/j/task_ids/all/x").status == 400


def test_tasks_of_other_sources_are_told_the_same_way(observe, child):
    observer = observe(sources=[f"pid:shop/web={child('sleep', 600).pid}"])
    observer.ticks(2)
    client = ThermosClient(observer)
    task = client.task("shop")
    assert (task["name"], task["state"], task["user"], task["task"]) == ("shop", "ACTIVE", None, {})
    assert task["processes"]["running"] == ["web"]
    assert client.process("shop", "web")["state"] == "RUNNING"
    assert client.process("shop", "web")["process_run"] == 0
    assert client.list("active")["tasks"][0]["threads"] == 1


def test_a_task_that_ends_moves_to_the_finished(world, root, records):
    world.busy.kill()
    world.busy.wait()
    root.append("web-1", records.process("busy", 11, FAILED, stop_time=time.time(),
                                         return_code=-9) + records.status(TASK_FAILED))
    root.finish("web-1")
    wait_for(lambda: world.client.counts()["active"] == 0, "the end")
    assert world.client.task("web-1")["state"] == "FAILED"
    assert world.client.process("web-1", "busy")["return_code"] == -9
    wait_for(lambda: world.client.process("web-1", "idle")["state"] == "LOST",
             "the next look at what ran when its task ended")
    assert world.client.list("finished")["tasks"][0]["task_id"] == "web-1"
