# SPDX-License-Identifier: Apache-2.0
"""`tally top` on a real terminal (tmux), against real observers, stores and processes."""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import termios
import time

import pytest

from conftest import PATIENCE, PROGRAM, Tally, python, wait_for
from observer import Observer
from tmux import Screen

IDLE = python("import time; time.sleep(120)")
BUSY = python("import time\nend = time.monotonic() + 120\nwhile time.monotonic() < end:\n"
              "    t = time.process_time()\n"
              "    while time.process_time() - t < 0.02: pass\n"
              "    time.sleep(0.06)\n")
HOG = python("import time\nx = bytearray(96 << 20)\ntime.sleep(120)\n")
EVIL = "evil\x1b[31m\x07red\nname"


@pytest.fixture
def screen(tally, tmp_path):
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    opened = []

    def start(*words, **options):
        folder = tmp_path / f"screen{len(opened)}"
        folder.mkdir()
        words = words if "--interval" in words else ["--interval", "200ms", *words]
        opened.append(Screen(folder, [*tally.command, "top", *words], **options))
        return opened[-1]

    yield start
    for each in opened:
        each.end()


@pytest.fixture
def loads(child):
    """Tasks with known habits: (specs of sources, {name: pid})."""
    pids = {"shop/web": child(*BUSY).pid, "shop/db": child(*HOG).pid, "batch/job": child(*IDLE).pid}
    return [f"pid:{name}={pid}" for name, pid in pids.items()], pids


@pytest.fixture
def watched(observe, loads):
    """An observer of them that has a few ticks."""
    observer = observe(sources=loads[0])
    wait_for(lambda: (observer.tasks()["shop"]["rss_bytes"] or 0) > 96 << 20, "the memory of shop")
    wait_for(lambda: observer.tasks()["shop"]["cpu_rate"], "the CPU of shop")
    return observer


def names(text):
    """First words of the lines of the table, the marks left out."""
    body = text.splitlines()
    (titles,) = [i for i, line in enumerate(body) if re.match(r"\s+TASK", line)]
    found = [re.match(r"[▸▾+\-]? ?\s*(?:[├└|`][─-] )?(\S+)", line) for line in body[titles + 1:]]
    return [match[1] for match in found[:-1] if match]


def column(text, title, name):
    """A cell by the title of its column, by where it ends."""
    lines = text.splitlines()
    (titles,) = [line for line in lines if re.match(r"\s+TASK", line)]
    end = re.search(rf"(?<!\S){re.escape(title)}(?!\S)", titles).end()
    (row,) = [line for line in lines if re.match(rf"\W*{re.escape(name)}\b", line)]
    return row[:end].split()[-1]


# -- the observer --------------------------------------------------------------------------------

def test_it_shows_the_tasks_of_the_observer_at_80x24(screen, watched):
    top = screen("--socket", watched.socket)
    text = top.wait(r"LIVE .*\n.*2 tasks, 3 pids")
    text = top.wait(lambda seen: re.search(r"^▸ shop +0\.[1-9]", seen, re.M), "the CPU of shop")
    assert names(text) == ["shop", "batch"]
    lines = text.splitlines()
    assert len(lines) <= 24 and max(map(len, lines)) <= 80
    assert lines[0].startswith(f" tally top  observer ")
    for title in ("CPU", "WAIT", "MEM", "READ/s", "WRITE/s", "DISK", "PIDS"):
        assert title in text
    assert "? help" in lines[-1] and "q quit" in lines[-1]
    assert re.search(r"[▁▂▃▄▅▆▇█]", text)
    assert column(text, "MEM", "shop").endswith("M")
    top.type("q")
    assert top.status() == 0
    assert "TASK" not in top.text(), "the terminal is as it was"


def test_figures_agree_with_the_observer(screen, watched):
    top = screen("--socket", watched.socket, "--sort", "mem")
    top.wait("LIVE")

    def agrees(text):
        if not re.search(r"^▸ shop", text, re.M):
            return False
        shown = column(text, "MEM", "shop")
        mebibytes = watched.tasks()["shop"]["rss_bytes"] / (1 << 20)
        return shown.endswith("M") and abs(float(shown[:-1]) - mebibytes) < 2
    top.wait(agrees, "the memory that the API tells")


def test_unfolding_sorting_and_filtering(screen, watched):
    top = screen("--socket", watched.socket)
    top.wait(r"^▸ shop")
    top.type("N")
    top.wait(lambda seen: names(seen) == ["batch", "shop"], "order of names")
    top.type("Down", "Enter")
    top.wait(lambda seen: names(seen) == ["batch", "shop", "db", "web"], "processes of shop")
    assert "├─ db" in top.text() and "└─ web" in top.text()
    top.type("r")
    top.wait(lambda seen: names(seen) == ["shop", "web", "db", "batch"], "the other way round")
    top.type("a")
    top.wait(lambda seen: names(seen) == ["shop", "batch", "job"] or
             names(seen) == ["shop", "web", "db", "batch", "job"], "all unfolded")
    top.type("M", "f")
    top.wait(lambda seen: names(seen)[0] == "shop/db", "one list, by memory")
    top.type("f", "/", "j", "o", "B")
    top.wait(lambda seen: names(seen) in (["batch"], ["batch", "job"]), "what the filter leaves")
    assert "filter: joB" in top.text()
    top.type("Enter")
    top.wait('filter "joB"')
    top.type("Escape")
    top.wait(lambda seen: "shop" in names(seen) and "filter" not in seen.splitlines()[1], "all")
    top.type("/", "x", "y", "z")
    top.wait("no name has what the filter asks for")
    top.type("Escape")
    top.wait(r"shop")


def test_help_columns_and_details(screen, watched):
    top = screen("--socket", watched.socket)
    top.wait(r"^▸ shop")
    top.type("?")
    top.wait("10 seconds back")
    top.type("x")
    top.wait(r"^▸ shop")
    top.type("c")
    top.wait(r"\[x\] cpu ")
    top.type("j", "j", "j", " ")  # state, pid, cpu, course: from the first, three further.
    top.wait(r"\[ \] course")
    top.type("c")
    top.wait(lambda seen: "LAST" not in seen and "shop" in seen, "no course")
    top.type("i")
    text = top.wait(r"rss_bytes +\d+")
    assert re.search(r"disk_bytes +the task has no sandbox; name one with --sandbox DIR", text) or \
        "pss_bytes" in text
    assert re.search(r"pss_bytes +costly to read and not asked for; ask with --pss$", text, re.M)
    top.type("Escape")
    top.wait(r"^▸ shop")


def test_hostile_names_are_harmless(screen, observe, child):
    pid = child(*IDLE).pid
    observer = observe(sources=[f"pid:{EVIL}={pid}", f"pid:日本語のタスクの名前={pid}"])
    observer.ticks(2)
    top = screen("--socket", observer.socket)
    text = top.wait(r"日本語")
    assert "evil?[31m?red" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    coloured = top.text(colours=True)
    (line,) = [line for line in coloured.splitlines() if "evil" in line]
    assert "\x1b[31mred" not in line
    rows = [line for line in text.splitlines() if re.search("evil|日本語", line)]
    ends = {len(line) + len(re.findall(r"[\u3000-\u9fff]", line)) for line in rows}
    assert len(ends) == 1, "wide characters take two columns, and the cells stay in line"


def test_sizes_from_tiny_to_wide(screen, watched):
    top = screen("--socket", watched.socket)
    top.wait(r"^▸ shop")
    for columns, rows in ((40, 10), (9, 3), (1, 1), (200, 50)):
        top.resize(columns, rows)
        top.wait(lambda seen: all(len(line) <= columns for line in seen.splitlines()),
                 f"{columns} columns")
        top.type("?", "c", "x", "i", "x", "/", "Escape")
    top.wait(lambda seen: re.search(r"^▸ shop", seen, re.M) and "/s" in seen and
             "c columns" in seen and "read " in seen, "the wide table")
    top.type("q")
    assert top.status() == 0


def test_it_says_when_the_observer_is_gone_and_goes_on_when_it_is_back(
        tally, screen, watched, loads):
    top = screen("--socket", watched.socket)
    top.wait(r"^▸ shop")
    watched.end()
    text = top.wait("NO ANSWER")
    assert re.search(r"^▸ shop", text, re.M), "what was there stays"
    assert "trying again: no observer answers at" in text
    again = Observer(tally, os.path.dirname(watched.socket), sources=loads[0], store="none")
    try:
        top.wait("LIVE")
    finally:
        again.end()


# -- colours and character sets ------------------------------------------------------------------

COLOUR = re.compile(r"\x1b\[[0-9;]*(?<![0-9])(?:3[0-7]|4[0-7])[0-9;]*m")


def test_no_color_leaves_colours_out_and_keeps_what_they_tell(screen, watched):
    plain = screen("--socket", watched.socket, NO_COLOR="1")
    plain.wait(r"^▸ shop")
    colourful = screen("--socket", watched.socket)
    colourful.wait(r"^▸ shop")
    assert not COLOUR.search(plain.text(colours=True))
    assert "\x1b[7m" in plain.text(colours=True), "the title is reversed still"
    assert COLOUR.search(colourful.text(colours=True))


@pytest.mark.parametrize("options, environment", [
    ((), {"LANG": "C", "LC_ALL": "C"}), (("--ascii",), {})])
def test_an_ascii_terminal_gets_nothing_but_ascii(screen, observe, loads, child, options, environment):
    observer = observe(sources=[*loads[0], f"pid:日本={child(*IDLE).pid}"])
    observer.ticks(3)
    top = screen("--socket", observer.socket, "--unfold", *options, **environment)
    text = top.wait(r"^- shop")
    assert text.isascii()
    assert "|- " in text and "`- " in text and "??" in text
    top.wait(r"^- shop.*[_.\-+*#]{2}")


# -- time ----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store in which a busy task begins after an idle one: its path, and a moment before."""
    folder = tmp_path_factory.mktemp("store")
    path, tally = folder / "past.db", Tally(PROGRAM)
    with subprocess.Popen(IDLE) as idle, subprocess.Popen(BUSY) as busy:
        sources = [f"pid:early/one={idle.pid}"]
        try:
            first = Observer(tally, folder, sources=sources, store=path)
            first.ticks(15)
            moment = time.time()
            assert first.end() == 0
            sources.append(f"pid:late/two={busy.pid}")
            second = Observer(tally, folder, sources=sources, store=path)
            second.ticks(15)
            wait_for(lambda: second.tasks()["late"]["cpu_rate"], "the CPU of late")
            assert second.end() == 0
        finally:
            idle.kill()
            busy.kill()
    return path, moment


def test_time_travel_on_a_store(screen, store):
    path, moment = store
    top = screen("--store", path)
    text = top.wait("END OF STORE")
    assert set(names(text)) == {"early", "late"}
    assert "●" in text, "the bar of time"
    top.type("t", *f"{moment - 0.3:.1f}", "Enter")
    text = top.wait(r"PAST ")
    top.wait(lambda seen: names(seen) == ["early"], "only what was there before the load began")
    top.type("[")
    text = top.wait(lambda seen: names(seen) == ["early"], "the beginning")
    top.type("]")
    top.wait(lambda seen: "END OF STORE" in seen and set(names(seen)) == {"early", "late"},
             "ten seconds on is the end")
    assert re.search(r"late +0\.[0-9]*[1-9]", top.text())
    top.type("t", "x", "Enter")
    top.wait(r"^ .*'x'")
    top.type("q")
    assert top.status() == 0


def test_the_past_of_an_observer(screen, observe, loads, child):
    observer = observe(sources=loads[0])
    observer.ticks(10)
    top = screen("--socket", observer.socket)
    top.wait("LIVE")
    top.type("Space")
    before = top.wait("PAUSED").splitlines()[0]
    instant = re.search(r"\d\d:\d\d:\d\d", before)[0]
    observer.ticks(15)
    assert instant in top.text().splitlines()[0], "it stays at the moment it was held"
    top.type("Space")
    top.wait("LIVE")
    top.type("t", "-", "1", "s", "Enter")
    text = top.wait("PAST ")
    assert "shop" in names(text)
    top.type("l")
    top.wait("LIVE")


# -- by itself -----------------------------------------------------------------------------------

def test_without_an_observer_it_watches_by_itself(screen, loads):
    top = screen("--source", loads[0][0], "--source", loads[0][1], "--collector", "procfs",
                 "--interval", "200ms", "--unfold")
    top.wait(lambda seen: re.search(r"^▾ shop +[01]\.[0-9]*[1-9]", seen, re.M), "its CPU")
    assert "this program, by procfs" in top.text()
    time_before = re.search(r"\d\d:\d\d:\d\d", top.lines()[0])[0]
    top.wait(lambda seen: time_before not in seen.splitlines()[0], "the clock goes on")
    top.type("q")
    assert top.status() == 0


def test_with_nothing_said_it_looks_around_by_itself(screen, child):
    child(*IDLE)
    top = screen("--collector", "procfs", XDG_RUNTIME_DIR="/nonexistent")
    text = top.wait(r"[1-9]\d* tasks?, [1-9]\d* pids?")
    if re.match(r" *tally top +observer ", text):
        pytest.skip("an observer runs on this machine")
    assert "this program, by procfs" in text
    top.type("q")
    assert top.status() == 0


def test_where_there_is_nothing_to_see_it_says_what_to_do(tmp_path, shared, nobody):
    """A user who may see nobody's processes but his own, and has none."""
    if not (shutil.which("tmux") and shutil.which("unshare")):
        pytest.skip("tmux or unshare (util-linux) is not installed")
    words = ["unshare", "--mount", "sh", "-c", 'mount -t proc -o hidepid=2 proc /proc && exec "$@"',
             "sh", *nobody.command, "top", "--collector", "procfs"]
    top = Screen(tmp_path, words, XDG_RUNTIME_DIR="/nonexistent", PATH=os.environ["PATH"])
    try:
        text = top.wait(r"no observer answers|^status=|[1-9]\d* tasks?")
        if re.search("mount: |observer /", text):
            pytest.skip("this machine does not hide processes, or has an observer")
        assert re.search(r"^  no observer answers, and no service, .*\n  name tasks with --source", text, re.M)
        assert all(len(line) <= 80 for line in text.splitlines())
        top.type("q")
        assert top.status() == 0
    finally:
        top.end()


def test_without_anything_it_says_what_to_do(tally, tmp_path):
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    done = tally("top", "--socket", tmp_path / "none.sock", env=environment)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "none.sock" in done.stderr
    done = tally("top", "--store", tmp_path / "none.db")
    assert done.returncode == 1 and "there is no store" in done.stderr


def test_it_needs_a_terminal(tally, watched):
    done = tally("top", "--socket", watched.socket)
    assert done.returncode == 1
    assert "--once writes a plain table" in done.stderr and done.stdout == ""
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words, hint", [
    (("--columns", "cpu,nonsense"), "there is no column 'nonsense'"),
    (("--sort", "nonsense"), "there is no column 'nonsense'"),
    (("--sort", "course"), "no column to sort by"),
    (("--json",), "add --once"),
    (("--store", "x", "--source", "pid:a=1"), "watches by itself"),
    (("--source", "pid:a=1", "--at", "-5m"), "has no past yet"),
])
def test_wrong_usage_is_refused_in_one_line(tally, watched, words, hint):
    options = [] if "--store" in words or "--source" in words else ["--socket", watched.socket]
    done = tally("top", *options, *words)
    assert done.returncode == 2, done.stderr
    assert hint in done.stderr


# -- signals -------------------------------------------------------------------------------------

@pytest.mark.parametrize("number, status", [
    (signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGHUP, 128 + signal.SIGHUP),
    (signal.SIGINT, 0), (signal.SIGSEGV, 128 + signal.SIGSEGV)])
def test_the_terminal_is_given_back_whatever_ends_it(screen, watched, number, status):
    top = screen("--socket", watched.socket)
    top.wait(r"^▸ shop")
    pid = top.pid
    with open(f"/proc/{pid}/comm") as file:
        assert file.read() == "tally\n"
    os.kill(pid, number)
    assert top.status() == status
    text = top.text()
    assert "TASK" not in text and "shop" not in text, "the screen from before is back"


def opened_on_a_terminal(tally, controlling, *words):
    """(process, master) of the program on a terminal that is its own, or that nothing tells of its end."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    process = tally.start(
        "top", *words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        env={**os.environ, "TERM": "xterm", "LANG": "C.UTF-8"},
        preexec_fn=(lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)) if controlling else None)
    os.close(slave)
    return process, master


@pytest.mark.parametrize("controlling", [True, False], ids=["with SIGHUP", "without a signal"])
def test_it_ends_when_its_terminal_hangs_up(tally, watched, loads, controlling):
    for words in (["--socket", watched.socket],
                  ["--source", loads[0][0], "--collector", "procfs", "--interval", "200ms"]):
        process, master = opened_on_a_terminal(tally, controlling, *words)
        try:
            seen = b""
            end = time.monotonic() + PATIENCE / 2
            while b"shop" not in seen and time.monotonic() < end:
                if select.select([master], [], [], 1)[0]:
                    seen += os.read(master, 65536)
            assert b"shop" in seen, seen
            os.close(master)
            master = -1
            assert process.wait(timeout=PATIENCE / 2) == -signal.SIGHUP
        finally:
            if master >= 0:
                os.close(master)
            process.kill()
            process.wait()


def test_stopping_and_going_on(tally, watched, tmp_path):
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    folder = tmp_path / "stop"
    folder.mkdir()
    shell = Screen(folder, ["bash", "--norc", "--noprofile", "-i"])
    try:
        shell.type(" ".join(map(str, [*tally.command, "top", "--socket", watched.socket])), "Enter")
        shell.wait(r"^▸ shop")
        shell.type("C-z")
        shell.wait(r"Stopped")
        assert not re.search(r"^▸ shop", shell.text(), re.M)
        shell.type("fg", "Enter")
        shell.wait(r"^▸ shop")
        shell.type("C-c")
        shell.wait(lambda seen: not re.search(r"^▸ shop", seen, re.M), "the shell")
    finally:
        shell.end()


# -- once ----------------------------------------------------------------------------------------

def table(text):
    titles, *rows = [line.split(None, 7) for line in text.splitlines()]
    return [dict(zip(titles, row)) for row in rows]


def test_once_is_a_table_for_programs(tally, watched):
    done = tally("top", "--once", "--socket", watched.socket)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.split("\n")[0].split() == [
        "CPU", "WAIT", "MEM", "READ", "WRITE", "DISK", "PIDS", "NAME"]
    rows = table(done.stdout)
    assert [row["NAME"] for row in rows] == ["shop", "batch"]
    assert 0 < float(rows[0]["CPU"]) < 64
    assert rows[0]["DISK"] == "-" and int(rows[0]["PIDS"]) == 2
    assert int(rows[0]["MEM"]) > 96 << 20
    assert "\x1b" not in done.stdout
    unfolded = table(tally("top", "--once", "-u", "--sort", "name", "--socket", watched.socket).stdout)
    assert [row["NAME"] for row in unfolded] == [
        "batch", "batch/job", "shop", "shop/db", "shop/web"]
    chosen = tally("top", "-1", "--columns", "pid,state", "--flat", "--filter", "WEB",
                   "--socket", watched.socket)
    assert re.fullmatch(r" +STATE +PID  NAME\n +active +\d+  shop/web\n", chosen.stdout)


def test_once_without_an_observer_and_of_the_past(tally, loads, store):
    sources = [word for spec in loads[0] for word in ("--source", spec)]

    def works():
        own = table(tally("top", "--once", "--collector", "procfs", *sources).stdout)
        assert {row["NAME"] for row in own} == {"shop", "batch"}
        return own[0]["NAME"] == "shop" and float(own[0]["CPU"]) > 0
    wait_for(works, "the CPU of shop")
    path, moment = store
    past = table(tally("top", "--once", "--store", path, "--at", f"{moment - 0.3:.1f}").stdout)
    assert [row["NAME"] for row in past] == ["early"]
    end = table(tally("top", "--once", "--store", path).stdout)
    assert {row["NAME"] for row in end} == {"early", "late"}


def test_once_as_json_is_that_of_show(tally, watched, store):
    now = json.loads(tally("top", "--once", "--json", "--socket", watched.socket).stdout)
    assert {task["task"] for task in now["tasks"]} == {"shop", "batch"}
    assert now["tasks"][0].keys() == watched.ask("/api/v1/tasks").json["tasks"][0].keys()
    past = json.loads(tally("top", "--once", "--json", "--store", store[0]).stdout)
    assert {task["task"] for task in past["tasks"]} == {"early", "late"}
