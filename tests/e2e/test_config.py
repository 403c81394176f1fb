# SPDX-License-Identifier: Apache-2.0
"""The configuration file of `tally observe`."""
import os
import signal

import pytest

from conftest import ROOT, wait_for
from test_cgroup import enter, place  # noqa: F401: a fixture

# Of each: the file, the line that is wrong (0: the file as a whole), and what is said of it.
BAD = {
    "a key that is mistyped": ("intervall: 1s\n", 1, "intervall: there is no such key; "
                               "did you mean interval?"),
    "a key that is unknown": ("interval: 1s\n\nworkers: 4\n", 3, "workers: there is no such key"),
    "a duration that is none": ("history: 1h\ninterval: 5 parsecs\n", 2,
                                "interval: '5 parsecs' is not a duration"),
    "a size that is none": ("history-memory: much\n", 1, "history-memory: 'much' is not a size"),
    "a flag that is none": ("pss: maybe\n", 1, "pss: 'maybe' is neither true nor false"),
    "a list where a value is expected": ("interval: [1s, 2s]\n", 1, "interval: expected a single "
                                         "value, and this is a list"),
    "a value where a list is expected": ("\nsource: auto\n", 2, "source: expected a list, as "
                                         "[one, two], and this is a single value"),
    "keys where a value is expected": ("store:\n  path: /tmp/x\n", 2, "store: expected a single "
                                       "value, and this is keys with values"),
    "a key without a value": ("interval: 1s\nstore:\n", 2, "store: it has no value"),
    "a key that comes twice": ("interval: 1s\npss: true\ninterval: 2s\n", 3,
                               "interval: it stands in line 1 already"),
    "no mapping": ("- interval\n", 1, "expected KEY: VALUE lines, and this is a list"),
    "a text": ("hello\n", 1, "expected KEY: VALUE lines, and this is a single value"),
    "a bracket that is not closed": ("source: [auto\ninterval: 1s\n", 2, "this is no YAML"),
    "a quote that is not closed": ("interval: 1s\nstore: \"x\n", 3, "this is no YAML"),
    "a tab that indents": ("match:\n\t- task: x\n", 2, "a tab cannot indent in YAML"),
    "wrong indentation": ("interval: 1s\n  pss: true\n", 2, "this is no YAML"),
    "bytes that are no text": (b"interval: 1s\nstore: \xff\xfe\n", 2, "this is no UTF-8 text"),
    "an alias": ("source: &a [auto]\nlisten: *a\n", 1, "anchors (&name) and aliases (*name)"),
    "two documents": ("interval: 1s\n---\ninterval: 2s\n", 2, "a second document begins here"),
    "a source that is none": ("source:\n- cgroups:/\n", 2, "source: 'cgroups:/' is not a source"),
    "an address that is none": ("listen: [here]\n", 1, "listen: "),
    "an open door": ("listen: ['0.0.0.0:1338']\n", 1, "can be reached from other machines"),
    "half of TLS": ("tls-cert: /etc/cert.pem\n", 0, "go together"),
    "a user that there is not": ("share: [nobody-of-that-name]\n", 1, "there is no user"),
    "a number out of its range": ("max-series: 7\n", 1, "from 100 to 10000000"),
    "a file that names a file": ("config: other.yaml\n", 1, "config: there is no such key"),
    "rules that are no list": ("match:\n  task: x\n", 2, "match: expected a list of rules"),
    "a rule that is a text": ("match:\n  - web\n", 2, "match: expected KEY: VALUE lines"),
    "a rule without a task": ("match:\n  - comm: [x]\n", 2, "match: the key task is missing"),
    "a rule that says nothing": ("match:\n  - task: x\n    comm: [y]\n  - task: z\n", 4,
                                 "match: the rule says nothing about processes"),
    "an unknown key of a rule": ("match:\n  - task: x\n    com: [y]\n", 3,
                                 "com: there is no such key; did you mean comm?"),
    "an expression that is none": ("match:\n  - task: x\n    cmdline:\n      - a\n      - (b\n", 5,
                                   "match: cmdline: '(b' is no regular expression: missing closing "
                                   "parenthesis"),
    "a variable that there is not": ("match:\n  - task: '{{name}}'\n    comm: [x]\n", 2,
                                     "match: task: there is no variable {{name}}"),
    "a variable of one process": ("match:\n  - task: '{{.PID}}'\n    comm: [x]\n", 2,
                                  "would make each process a task of its own"),
    "braces that do not close": ("match:\n  - task: '{{comm'\n    comm: [x]\n", 2, "has no }}"),
    "an empty pattern": ("match:\n  - task: x\n    comm: ['']\n", 3, "an empty pattern fits nothing"),
}


@pytest.mark.parametrize("text,line,expected", BAD.values(), ids=BAD)
def test_what_is_wrong_is_said_in_one_line(tally, tmp_path, text, line, expected):
    path = tmp_path / "tally.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    done = tally("config", "check", path)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    place = f"tally config: {path}:{line}: " if line else "tally config: "
    assert done.stderr.startswith(place) and expected in done.stderr, done.stderr


def test_the_observer_refuses_the_same_and_says_the_same(tally, tmp_path):
    path = tmp_path / "tally.yaml"
    path.write_text("interval: 1s\nhistroy: 1h\n")
    done = tally("observe", "--config", path)
    assert done.returncode == 2
    assert done.stderr == (f"tally observe: {path}:2: histroy: there is no such key; "
                           "did you mean history?\n")
    path.write_text("listen: ['0.0.0.0:0']\nsource: ['pid:me=1']\n")
    done = tally("observe", "--config", path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"tally observe: {path}:1: listen: 0.0.0.0:0 can be reached")
    done = tally("observe", "--config", tmp_path / "none")
    assert done.returncode == 1 and "No such file" in done.stderr


def test_a_file_that_is_right_is_told_so(tally, tmp_path):
    path = tmp_path / "tally.yaml"
    path.write_text("# all is as it is by default\n")
    assert tally("config", "check", path).stdout.startswith(f"{path}: it is right: 0 options")
    path.write_text("interval: 2s\npss: no\nsource: []\nmatch: [{task: x, comm: [y]}]\n")
    done = tally("config", "check", path)
    assert (done.returncode, done.stderr) == (0, "") and "1 rule" in done.stdout
    assert tally("config", "check", "--quiet", path).stdout == ""
    assert tally("config", "chekc").returncode == 2
    assert tally("config", "check", tmp_path / "none").returncode == 1


def test_the_annotated_example_is_right_and_has_every_option(tally):
    path = os.path.join(ROOT, "deploy/tally.yaml")
    done = tally("config", "check", path)
    assert done.returncode == 0, done.stderr
    with open(path) as file:
        text = file.read()
    options = {line.split()[0 if line.split()[0].startswith("--") else 1][2:]
               for line in tally("observe", "--help").stdout.splitlines()
               if line.lstrip().startswith("-") and "--" in line}
    for option in options - {"config", "help", "version"}:
        assert f"\n{option}:" in text or f"\n#{option}:" in text, f"{option} is not in it"


def test_options_of_the_command_line_win(observe, tmp_path, child):
    pid = child("sleep", "50").pid
    path = tmp_path / "tally.yaml"
    path.write_text(f"interval: 700ms\nsource: ['pid:file={pid}']\nmax-series: 200\n")
    observer = observe("--config", path, interval="150ms")
    assert observer.status()["interval_seconds"] == 0.15
    assert "file" in observer.tasks()
    observer = observe("--config", path, sources=[f"pid:line={pid}"])
    observer.ticks(2)
    assert set(observer.tasks()) == {"line"}


def reload(observer):
    before = observer.log.count("read again: ") + observer.log.count("cannot reload")
    observer.process.send_signal(signal.SIGHUP)
    wait_for(lambda: observer.log.count("read again: ") + observer.log.count("cannot reload")
             > before, "the reload")


def test_a_reload_changes_sources_and_rules_and_keeps_history(observe, tmp_path, child):
    stays, goes, comes = (child("sleep", "50").pid for _ in range(3))
    python = child("/usr/bin/python3", "-S", "-c", "import time; time.sleep(50) # marked-process")
    path = tmp_path / "tally.yaml"
    rule = "match: [{task: %s, process: p, cmdline: ['marked-process']}]\n"
    path.write_text(f"source: ['pid:stays={stays}', 'pid:goes={goes}']\n" + rule % "before")
    observer = observe("--config", path)
    wait_for(lambda: {"stays", "goes", "before"} <= set(observer.tasks()), "all tasks")
    observer.ticks(3)
    count = len(observer.ask("/api/v1/tasks/stays/history?step=0").json["times"])
    pids = observer.status()["ticks"]

    path.write_text(f"interval: 5s\nsource: ['pid:stays={stays}', 'pid:comes={comes}']\n"
                    + rule % "after")
    reload(observer)
    assert "1 rule, 2 sources" in observer.log
    wait_for(lambda: {"stays", "comes", "after"} <= set(observer.tasks()), "the new tasks")
    tasks = observer.tasks()
    assert tasks["goes"]["state"] in ("lost", "LOST") and tasks["before"]["state"] in ("lost", "LOST")
    assert tasks["stays"]["state"].lower() == "active"
    assert tasks["after"]["processes"][0]["pid"] == python.pid
    observer.ticks(2)
    assert len(observer.ask("/api/v1/tasks/stays/history?step=0").json["times"]) >= count + 2
    assert observer.status()["ticks"] > pids, "it is the same monitor"


def test_a_reload_to_nothing_looks_around_and_back(observe, tmp_path, place, child):
    """From sources and rules to none, which is auto, and back; what both see goes on."""
    unit = f"{os.path.basename(place)}.service"
    os.mkdir(f"{place}/{unit}")
    enter(f"{place}/{unit}", child("sleep", "50").pid)
    mark = f"mark{os.getpid()}"
    child("/usr/bin/python3", "-S", "-c", "import time; time.sleep(50)", mark)
    path = tmp_path / "tally.yaml"
    named = (f"source: ['cgroup:/{os.path.basename(place)}/']\n"
             f"match: [{{task: ruled, process: p, cmdline: ['{mark}']}}]\n")
    path.write_text(named)
    observer = observe("--config", path)

    def has(task, source, pids=1):
        found = observer.tasks().get(task)
        return found and found["source"] == source and found["pids"] == pids and \
            found["state"].lower() == "active"

    wait_for(lambda: has(unit, "cgroup") and has("ruled", "match"), "what is named")
    observer.ticks(2)
    count = len(observer.ask(f"/api/v1/tasks/{unit}/history?step=0").json["times"])

    path.write_text("# nothing\n")
    reload(observer)
    wait_for(lambda: has(unit, "auto"), "it looks around by itself")
    wait_for(lambda: observer.tasks()["ruled"]["state"].lower() == "lost", "no rule any more")
    observer.ticks(2)
    after = len(observer.ask(f"/api/v1/tasks/{unit}/history?step=0").json["times"])
    assert after >= count + 2, "its history goes on"

    path.write_text("source: [none]\n")
    reload(observer)
    wait_for(lambda: all(task["state"].lower() != "active" for task in observer.tasks().values()),
             "nothing is looked at")
    path.write_text(named)
    reload(observer)
    wait_for(lambda: has(unit, "cgroup") and has("ruled", "match"), "what is named, again")
    assert "cannot" not in observer.log, observer.log


def test_what_counts_from_the_next_start_on_is_said(observe, tmp_path, child):
    path = tmp_path / "tally.yaml"
    path.write_text(f"source: ['pid:x={child('sleep', '50').pid}']\n")
    observer = observe("--config", path)
    path.write_text(path.read_text() + "history: 2h\nmax-series: 500\n")
    reload(observer)
    assert "these count from the next start on: history, max-series" in observer.log


@pytest.mark.parametrize("text,expected", [
    ("source: ['pid:x=PID']\nintervall: 1s\n", ":2: intervall: there is no such key"),
    ("source: ['pid:x=PID', 'pid:y=2147483647']\n", "there is no process 2147483647"),
    ("source: ['pid:x=PID']\nmatch: [{task: x, cmdline: ['(']}]\n", "is no regular expression"),
    ("source: ['pid:x=PID']\nshare: [nobody-of-that-name]\n", ":2: share: there is no user"),
])
def test_a_bad_file_is_refused_and_the_old_one_stays_in_force(
        observe, tmp_path, child, text, expected):
    pid = str(child("sleep", "50").pid)
    path = tmp_path / "tally.yaml"
    path.write_text(f"source: ['pid:x={pid}']\n")
    observer = observe("--config", path)
    wait_for(lambda: "x" in observer.tasks(), "the task")
    path.write_text(text.replace("PID", pid))
    reload(observer)
    lines = [line for line in observer.log.splitlines() if "cannot reload" in line]
    assert len(lines) == 1 and expected in lines[0], observer.log
    assert "what was in use stays in use" in lines[0]
    observer.ticks(2)
    assert observer.tasks()["x"]["pids"] == 1
    path.write_text(f"source: ['pid:z={pid}']\n")
    reload(observer)
    wait_for(lambda: "z" in observer.tasks(), "it can be put right")
