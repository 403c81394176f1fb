# SPDX-License-Identifier: Apache-2.0
"""Tasks that rules name, and rules of others made ours."""
import os
import re
import subprocess
import time

import pytest

from conftest import ROOT, need, wait_for

PYTHON = ["/usr/bin/python3", "-S", "-E"]
CONVERT = os.path.join(ROOT, "scripts/convert-rules")


@pytest.fixture(params=["procfs", "bpf"])
def collector(request, tally):
    need(tally, request.param)
    return request.param


@pytest.fixture
def rules(observe, tmp_path, collector):
    def start(text):
        path = tmp_path / "tally.yaml"
        path.write_text("match:\n" + text)
        return observe("--config", path, collector=collector)

    return start


def marked(code, mark):
    return [*PYTHON, "-c", f"import os, subprocess, sys, time\n{code}\n", mark]


def by_name(task):
    return {process["process"]: process for process in task["processes"]}


def test_the_first_rule_that_fits_names_the_task(rules, child, tmp_path):
    mark = f"mark{os.getpid()}"
    a = child(*marked("time.sleep(50)", f"{mark}-alpha"))
    b = child(*marked("time.sleep(50)", f"{mark}-beta"))
    c = child("/bin/sleep", "50.0625")
    observer = rules(
        f"  - task: '{{{{which}}}} of {{{{.Username}}}}'\n"
        f"    process: '{{{{comm}}}}-{{{{.ExeBase}}}}'\n"
        f"    exe: ['python3*']\n    cmdline: ['{mark}-(?<which>alpha)']\n"
        f"  - task: rest\n    cmdline: ['{mark}']\n"
        f"  - task: never\n    cmdline: ['{mark}']\n"
        f"  - task: sleeps\n    exe: ['/*/sleep']\n    cmdline: ['50\\.0625']\n")
    user = subprocess.run(["id", "-un"], capture_output=True, text=True).stdout.strip()
    wait_for(lambda: len(observer.tasks()) == 3, "three tasks")
    tasks = observer.tasks()
    assert set(tasks) == {f"alpha of {user}", "rest", "sleeps"}
    (process,) = tasks[f"alpha of {user}"]["processes"]
    assert process["pid"] == a.pid and re.fullmatch(r"python3-python3\S*", process["process"])
    assert tasks["rest"]["processes"][0]["pid"] == b.pid
    assert tasks["sleeps"]["processes"][0]["pid"] == c.pid
    assert tasks["rest"]["source"] == "match"


def test_by_user_cgroup_and_parent(rules, child):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    mark = f"mark{os.getpid()}"
    child("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sleep", "50.125")
    child("bash", "-c", f"exec -a {mark} sleep 50 & wait")
    cgroup = open("/proc/self/cgroup").read().strip().splitlines()[-1].split(":", 2)[2]
    observer = rules("  - task: theirs\n    user: [nobody]\n    comm: [sleep]\n    cmdline: ['50\\.125']\n"
                     f"  - task: below\n    comm: [sleep]\n    parent: [bash]\n    cmdline: ['{mark}']\n"
                     "    cgroup: ['*']\n")
    wait_for(lambda: {"theirs", "below"} <= set(observer.tasks()), f"both ({cgroup})")


def test_descendants_follow_unless_a_rule_names_them_and_nothing_counts_twice(
        rules, child, tmp_path):
    mark = f"mark{os.getpid()}"
    burn = "end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\ntime.sleep(50)"
    inner = f"import time\\n{burn}".replace("\n", "\\n")
    child(*marked(
        f"code = '{inner}'\n"
        f"subprocess.Popen({PYTHON!r} + ['-c', code, '{mark}-inner'])\n"
        f"subprocess.Popen({PYTHON!r} + ['-c', code, 'unnamed'])\n"
        "time.sleep(50)", f"{mark}-outer"))
    observer = rules(f"  - task: outer\n    cmdline: ['{mark}-outer$']\n"
                     f"  - task: inner\n    cmdline: ['{mark}-inner$']\n")
    wait_for(lambda: {"outer", "inner"} <= set(observer.tasks()), "both tasks")

    def settled():
        tasks = observer.tasks()
        return tasks["outer"]["pids"] == 2 and tasks["inner"]["pids"] == 1 and \
            tasks["inner"]["cpu_seconds"] >= 0.29 and tasks["outer"]["cpu_seconds"] >= 0.29

    wait_for(settled, f"each in its task: {observer.tasks()}")
    observer.ticks(2)
    assert settled(), "and it stays so"


def test_another_program_by_exec_is_judged_again_with_what_it_started(rules, child, tmp_path):
    """A process of task 'a' becomes one of task 'b' and takes its unnamed child along."""
    mark = f"mark{os.getpid()}"
    child(*marked(
        "subprocess.Popen(['sleep', '50'])\n"
        f"while not os.path.exists('{tmp_path}/go'): time.sleep(0.05)\n"
        f"os.execv('/usr/bin/tail', ['tail', '-f', '/dev/null', '{mark}-b'])", f"{mark}-a"))
    keeper = child(*marked("time.sleep(50)", f"{mark}-a"))
    observer = rules(f"  - task: a\n    cmdline: ['{mark}-a']\n"
                     f"  - task: b\n    comm: [tail]\n    cmdline: ['{mark}-b']\n")
    wait_for(lambda: observer.tasks().get("a", {}).get("pids") == 3, "all are in a")
    (tmp_path / "go").touch()
    wait_for(lambda: observer.tasks().get("b", {}).get("pids") == 2, "the program and its child")
    observer.ticks(1)
    tasks = observer.tasks()
    assert tasks["a"]["pids"] == 1 and keeper.poll() is None
    assert tasks["a"]["cpu_seconds"] > 0, "what was consumed there stays there"


def test_counters_go_on_when_a_task_was_empty_for_a_while(rules, child):
    mark = f"mark{os.getpid()}"
    first = child(*marked("sum(range(3000000))\ntime.sleep(50)", mark))
    observer = rules(f"  - task: job\n    process: p\n    cmdline: ['{mark}']\n")
    wait_for(lambda: observer.tasks().get("job", {}).get("pids") == 1, "the first")
    observer.ticks(2)
    before = observer.tasks()["job"]["cpu_seconds"]
    first.kill()
    first.wait()
    wait_for(lambda: observer.tasks()["job"]["pids"] == 0, "its end")
    time.sleep(3.5)  # Longer than the groups of ended tasks are read.
    assert observer.tasks()["job"]["state"].lower() == "waiting"
    child(*marked("time.sleep(50)", mark))
    wait_for(lambda: observer.tasks()["job"]["pids"] == 1, "the second")
    observer.ticks(1)
    assert observer.tasks()["job"]["cpu_seconds"] >= before
    assert observer.tasks()["job"]["state"].lower() == "active"


# -- rules of others -----------------------------------------------------------------------------

def documented():
    with open(os.path.join(ROOT, "docs/migrating.md")) as file:
        text = file.read()
    return {kind: (theirs, re.search(rf"```yaml tally from {kind}\n(.*?)```", text, re.S)[1])
            for kind, theirs in
            re.findall(r"```(?:yaml|conf) (process-exporter|netdata)\n(.*?)```", text, re.S)}


@pytest.mark.parametrize("kind", ["process-exporter", "netdata"])
def test_the_documented_examples_are_what_the_script_writes(tally, tmp_path, kind):
    theirs, ours = documented()[kind]
    (tmp_path / "theirs").write_text(theirs)
    done = subprocess.run([CONVERT, tmp_path / "theirs"], capture_output=True, text=True)
    assert done.stdout == ours, done.stderr
    (tmp_path / "ours").write_text(ours)
    assert tally("config", "check", tmp_path / "ours").returncode == 0


@pytest.mark.parametrize("path,rules_least", [
    ("/usr/share/doc/prometheus-process-exporter/examples/all.yaml", 1),
    ("/usr/lib/netdata/conf.d/apps_groups.conf", 100),
])
def test_the_files_that_they_ship_become_ours(tally, tmp_path, path, rules_least):
    if not os.path.exists(path):
        pytest.skip(f"{path} is not installed")
    done = subprocess.run([CONVERT, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (tmp_path / "ours").write_text(done.stdout)
    checked = tally("config", "check", tmp_path / "ours")
    assert checked.returncode == 0, checked.stderr
    assert int(re.search(r"(\d+) rule", checked.stdout)[1]) >= rules_least


def test_processes_land_in_the_groups_they_had(observe, tmp_path, child, tally):
    """The documented file of netdata, with processes that it names."""
    _, ours = documented()["netdata"]
    (tmp_path / "tally.yaml").write_text(ours)
    for name, words in (("nginx-worker", "50"), ("memcached", "50")):
        link = tmp_path / name
        link.write_bytes(open("/bin/sleep", "rb").read())
        link.chmod(0o755)
        child(link, words)
    child(*marked("time.sleep(50)", "/opt/graphite/manage.py"))
    observer = observe("--config", tmp_path / "tally.yaml")
    wait_for(lambda: {"httpd", "nosql", "timedb"} <= set(observer.tasks()), "the three groups")
