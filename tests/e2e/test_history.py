# SPDX-License-Identifier: Apache-2.0
"""`tally history`, `tally show --at` and `tally store`: the past, from the file of a real run."""
import csv
import io
import json
import os
import pty
import sqlite3
import subprocess

import pytest

from conftest import PATIENCE, burn, python

CODE = burn(0.5) + "held = bytearray(40 << 20)\ntime.sleep(0.5)\ndel held\ntime.sleep(0.3)\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store that a run left, and its report."""
    from conftest import PROGRAM, Tally
    folder = tmp_path_factory.mktemp("made")
    store = folder / "h.db"
    report = Tally(PROGRAM).report(folder, *python(CODE), options=(
        "--store", store, "--interval", "20ms", "--name", "job", "--collector", "procfs"))
    return store, report


def history(tally, store, *words, task="job"):
    done = tally("history", task, "--store", store, "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def refused(tally, *words, status=1):
    done = tally(*words)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    return done.stderr.partition("\n")[0]


def test_the_samples_as_taken_are_those_of_the_run(tally, made):
    store, report = made
    told = history(tally, store, "--step", "0")
    assert (told["task"], told["process"], told["step_seconds"]) == ("job", None, 0)
    times, series = told["times"], told["series"]
    assert times == sorted(times) and len(times) == report["samples"]
    assert {len(values) for values in series.values()} == {len(times)}
    assert series["cpu_seconds"][-1] == pytest.approx(report["cpu_seconds"], abs=1e-6)
    assert max(value for value in series["rss_bytes"] if value is not None) >= 40 << 20
    assert told["maxima"] == {}
    (process,) = report["processes"]
    one = history(tally, store, "--step", "0", task=f"job/{process['process']}")
    assert one["process"] == process["process"]
    assert one["series"]["cpu_seconds"] == series["cpu_seconds"]
    assert "disk_bytes" in series and "disk_bytes" not in one["series"]


def test_about_thirty_rows_come_out_unless_told(tally, made):
    store, report = made
    told = history(tally, store)
    assert 10 <= len(told["times"]) <= 41
    assert report["samples"] <= 40 or told["step_seconds"] > 0


def test_a_step_has_averages_maxima_and_the_last_of_counters(tally, made):
    store, _ = made
    raw, told = history(tally, store, "--step", "0"), history(tally, store, "--step", "200ms")
    seen = 0
    for row, last in enumerate(told["times"]):
        step = [i for i, time in enumerate(raw["times"]) if int(time / 0.2) == int(last / 0.2)]
        assert step and raw["times"][step[-1]] == last
        rss = [raw["series"]["rss_bytes"][i] for i in step]
        rss = [value for value in rss if value is not None]
        assert told["series"]["rss_bytes"][row] == (
            pytest.approx(sum(rss) / len(rss)) if rss else None)
        assert told["maxima"]["rss_bytes"][row] == (max(rss) if rss else None)
        assert told["series"]["cpu_seconds"][row] == raw["series"]["cpu_seconds"][step[-1]]
        seen += len(step)
    assert seen == len(raw["times"])


def test_rates_are_what_counters_rose_by(tally, made):
    store, _ = made
    plain = history(tally, store, "--step", "0", "--metrics", "cpu_seconds,minor_faults")
    rates = history(tally, store, "--step", "0", "--rate", "--metrics", "cpu_seconds,minor_faults")
    assert set(rates["series"]) == {"cpu_seconds", "minor_faults"}
    assert rates["series"]["minor_faults"][0] is None
    assert rates["clock_steps"] == []
    times, risen = plain["times"], 0
    for i in range(1, len(times)):
        risen += rates["series"]["minor_faults"][i] * (times[i] - times[i - 1])
    values = plain["series"]["minor_faults"]
    assert risen == pytest.approx(values[-1] - values[0], rel=0.05)
    # A range that begins later has its first rate from the sample before it.
    later = history(tally, store, "--step", "0", "--rate", "--metrics", "minor_faults",
                    "--since", f"{times[5]:.5f}")
    assert later["series"]["minor_faults"][0] is not None


def test_a_range_is_cut_out(tally, made):
    store, _ = made
    times = history(tally, store, "--step", "0")["times"]
    told = history(tally, store, "--step", "0", "--since", f"{times[3] - 1e-3:.5f}",
                   "--until", f"{times[8] + 1e-3:.5f}")
    assert told["times"] == times[3:9]


def test_csv_has_the_same(tally, made):
    store, _ = made
    told = history(tally, store)
    done = tally("history", "job", "--store", store, "--csv")
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(rows) == len(told["times"])
    for row, time, pss, faults in zip(rows, told["times"], told["series"]["pss_bytes"],
                                      told["series"]["minor_faults"]):
        assert float(row["time"]) == pytest.approx(time, abs=1e-3)
        assert pss is None and row["pss_bytes"] == ""
        assert int(row["minor_faults"]) == faults


def test_the_table_has_a_row_for_each_step(tally, made):
    store, _ = made
    done = tally("history", "job", "--store", store)
    title, *rows = done.stdout.splitlines()
    assert title.split() == ["TIME", "CORES", "MEMORY", "PEAK", "READ", "WRITTEN", "PIDS"]
    assert len(rows) == len(history(tally, store)["times"])
    named = tally("history", "job", "--store", store, "--metrics", "pss_bytes,pids", "--step", "0")
    title, first, *_ = named.stdout.splitlines()
    assert title.split() == ["TIME", "pss_bytes", "pids"]
    assert first.split()[2:] == ["-", "1"]


def on_terminal(program, *words, **env):
    """Run a command on a terminal; what it wrote there."""
    leader, follower = pty.openpty()
    child = subprocess.Popen([*program.command, *map(str, words)], stdin=subprocess.DEVNULL,
                             stdout=follower, stderr=follower,
                             env={**os.environ, "LC_ALL": "", "LC_CTYPE": "", **env})
    os.close(follower)
    text = b""
    try:
        while piece := os.read(leader, 65536):
            text += piece
    except OSError:  # The other end is closed.
        pass
    os.close(leader)
    assert child.wait(timeout=PATIENCE) == 0, text
    return text.decode()


def test_a_course_is_drawn_where_the_terminal_shows_it(tally, made):
    words = ("history", "job", "--store", made[0])
    drawn = on_terminal(tally, *words, LANG="en_US.UTF-8")
    assert "█" in drawn.splitlines()[1]
    assert "█" not in on_terminal(tally, *words, LANG="C")
    assert "█" not in tally(*words).stdout


def test_what_cannot_be_answered_says_what_there_is(tally, made, tmp_path):
    store, report = made
    name = report["processes"][0]["process"]
    assert "it has job" in refused(tally, "history", "nothing", "--store", store)
    assert f"it has {name}" in refused(tally, "history", "job/nothing", "--store", store)
    assert "reach from" in refused(tally, "history", "job", "--store", store, "--until", "-3d")
    assert "reach from" in refused(tally, "show", "--at", "-3d", "--store", store)
    for words in (["history", "job"], ["show", "--at", "-1s"], ["store", "info"]):
        assert "there is no store" in refused(tally, *words, "--store", tmp_path / "none.db")
    assert not os.path.exists(tmp_path / "none.db")
    for words, hint in [
            (["--metrics", "rss_byte"], "did you mean rss_bytes?"),
            (["--metrics", ","], "names no metric"),
            (["--json", "--csv"], "not both"),
            (["--step", "soon"], "--step"),
            (["--since", "-1m", "--until", "-2m"], "other way round")]:
        assert hint in refused(tally, "history", "job", "--store", store, *words, status=2)
    assert "--csv" in refused(tally, "history", "job", "--store", store, "--metrics", ",".join(
        key for key in report["processes"][0] if key.endswith(("_bytes", "_faults", "_switches"))
        or key in ("pids", "threads", "fds")))


def test_an_instant_is_shown_as_it_was(tally, made):
    store, report = made
    raw = history(tally, store, "--step", "0")
    middle = len(raw["times"]) // 2
    done = tally("show", "--at", f"{raw['times'][middle]:.5f}", "--store", store, "--json")
    (task,) = json.loads(done.stdout)["tasks"]
    assert task["task"] == "job" and task["source"] is None and task["state"] is None
    for key in ("rss_bytes", "minor_faults", "pids", "cpu_seconds"):
        assert task[key] == raw["series"][key][middle]
    assert task["cpu_rate"] is not None
    (process,) = task["processes"]
    assert process["process"] == report["processes"][0]["process"]
    assert process["rss_bytes"] == task["rss_bytes"]
    assert set(task["missing"]) == {key for key, value in task.items()
                                    if value is None and key in raw["series"]} - {"state"}
    table = tally("show", "--at", f"{raw['times'][middle]:.5f}", "--store", store).stdout
    assert table.splitlines()[1].split()[0] == "job"


def test_only_the_living_are_shown_at_an_instant(tally, observe, child, tmp_path):
    store = tmp_path / "h.db"
    stays = child("sleep", 60)
    first = child("sleep", 60)
    observer = observe(sources=[f"pid:stays={stays.pid}", f"pid:goes={first.pid}"], store=store)
    observer.ticks(5)
    first.kill()
    first.wait()
    observer.ticks(40)
    both = history(tally, store, "--step", "0", task="goes")
    # The observer still writes: it is read beside it.
    shown = tally("show", "--at", f"{both['times'][2]:.5f}", "--store", store, "--json")
    assert {task["task"] for task in json.loads(shown.stdout)["tasks"]} == {"stays", "goes"}
    later = history(tally, store, "--step", "0", task="stays")["times"]
    assert later[-1] > both["times"][-1]
    shown = tally("show", "--at", f"{later[-1]:.5f}", "--store", store, "--json")
    assert {task["task"] for task in json.loads(shown.stdout)["tasks"]} == {"stays"}
    assert "stop that one" in refused(tally, "store", "prune", "--before", "now", "--store", store)
    assert tally("store", "check", "--store", store).returncode == 0


def asked(tally, observer, *words, task="job"):
    done = tally("history", task, "--socket", observer.socket, "--json", *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_observer_and_its_store_answer_alike(tally, observe, child, tmp_path):
    store = tmp_path / "h.db"
    stays, goes = child(*python(burn(60))), child("sleep", 60)
    observer = observe(sources=[f"pid:job/a={stays.pid}", f"pid:job/b={goes.pid}"], store=store)
    observer.ticks(10)
    goes.kill()
    goes.wait()
    observer.ticks(20)
    times = asked(tally, observer, "--step", "0")["times"]
    span = ("--since", f"{times[3] - 0.001:.6f}", "--until", f"{times[-5] + 0.001:.6f}")
    for task in ("job", "job/a", "job/b"):
        for words in (["--step", "0"], ["--step", "1s"], ["--step", "700ms", "--rate"], ["--step", "0",
                      "--metrics", "rss_bytes,cpu_rate,state"], []):
            told = asked(tally, observer, *span, *words, task=task)
            assert told == history(tally, store, *span, *words, task=task)
            assert len(told["times"]) > 0
    for words in ([], ["--csv"], ["--metrics", "pids,cpu_seconds", "--step", "1s"]):
        there = tally("history", "job", "--socket", observer.socket, *span, *words)
        assert there.returncode == 0
        assert there.stdout == tally("history", "job", "--store", store, *span, *words).stdout
    assert "reach from" in refused(
        tally, "history", "job", "--socket", observer.socket, "--until", "-3d")
    assert "no task 'jop'" in refused(tally, "history", "jop", "--socket", observer.socket)
    assert "no process 'c'" in refused(tally, "history", "job/c", "--socket", observer.socket)
    assert "not both" in refused(
        tally, "history", "job", "--socket", observer.socket, "--store", store, status=2)


def test_an_observer_tells_of_tasks_before_its_time(tally, observe, child, tmp_path):
    store = tmp_path / "h.db"
    gone, stays = child("sleep", 60), child("sleep", 60)
    first = observe(sources=[f"pid:gone/old={gone.pid}", f"pid:stays={stays.pid}"], store=store)
    first.ticks(6)
    then = asked(tally, first, "--step", "0", task="gone")
    gone.kill()
    gone.wait()
    assert first.end() == 0
    second = observe(sources=[f"pid:stays={stays.pid}"], store=store)
    second.ticks(5)
    now = asked(tally, second, "--step", "0", task="gone")
    assert now["times"][:len(then["times"])] == then["times"]
    assert now["series"]["rss_bytes"][:len(then["times"])] == then["series"]["rss_bytes"]
    assert asked(tally, second, "--step", "0", task="gone/old")["process"] == "old"
    # A moment of the past: both, and of what is gone only what the history knows.
    moment = ("--at", f"{then['times'][2]:.6f}", "--socket", second.socket)
    shown = json.loads(tally("show", *moment, "--json").stdout)
    tasks = {task["task"]: task for task in shown["tasks"]}
    assert set(tasks) == {"gone", "stays"}
    assert tasks["gone"]["state"] is None and tasks["stays"]["state"] == "active"
    assert tasks["gone"]["rss_bytes"] == then["series"]["rss_bytes"][2]
    (process,) = tasks["gone"]["processes"]
    assert (process["process"], process["pid"], process["life"]) == ("old", None, None)
    rows = [line.split()[0] for line in tally("show", *moment).stdout.splitlines()]
    assert rows.index("old") == rows.index("gone") + 1
    assert set(second.tasks()) == {"stays"}


def test_without_an_observer_the_default_store_is_read(tally, nobody, shared):
    env = {"XDG_RUNTIME_DIR": str(shared), "XDG_STATE_HOME": str(shared)}
    done = nobody("history", "job", env=env)
    assert done.returncode == 1
    assert f"no store {shared}/tally/history.db" in done.stderr and "tally observe" in done.stderr
    os.mkdir(shared / "tally")
    os.chown(shared / "tally", 65534, 65534)
    store = shared / "tally" / "history.db"
    assert nobody("run", "--quiet", "--store", store, "--interval", "20ms", "--name", "job",
                  "--", "sleep", "0.3", env=env).returncode == 0
    assert nobody("history", "job", env=env).returncode == 0
    assert nobody("show", "--at", "now", env=env).stdout.splitlines()[1].split()[0] == "job"


def test_a_run_leaves_one_file(tally, tmp_path):
    store = tmp_path / "own" / "h.db"
    for _ in range(2):
        assert tally("run", "--quiet", "--store", store, "--interval", "20ms", "--name", "job",
                     "--", "sleep", "0.2").returncode == 0
        left = {name for name in os.listdir(store.parent) if not name.endswith("-lock")}
        assert left == {"h.db"}
        # Who only reads leaves nothing behind, either.
        assert tally("history", "job", "--store", store).returncode == 0
        assert tally("store", "check", "--store", store).returncode == 0
        assert {name for name in os.listdir(store.parent) if not name.endswith("-lock")} == left


def test_a_store_in_a_folder_that_cannot_be_written_is_refused(nobody, shared):
    folder = shared / "closed"
    folder.mkdir(mode=0o755)
    done = nobody("run", "--store", folder / "h.db", "--", "true")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert str(folder) in done.stderr and "Permission denied" in done.stderr


def info(tally, store):
    done = tally("store", "info", "--json", "--store", store)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_info_counts_what_there_is(tally, made):
    store, report = made
    told = info(tally, store)
    assert (told["tasks"], told["processes"], told["damaged"]) == (1, 1, 0)
    fine = told["resolutions"][0]
    assert fine["samples"] == report["samples"]
    assert 0 < fine["bytes_per_value"] < 8
    assert told["bytes"] >= os.path.getsize(store)
    assert "bytes per value" in tally("store", "info", "--store", store).stdout


def test_a_sound_store_is_told_to_be(tally, made):
    done = tally("store", "check", "--store", made[0])
    assert done.returncode == 0 and "is sound: 1 tasks" in done.stdout


@pytest.mark.parametrize("spoil, what", [
    ("UPDATE blocks SET wall_max = wall_max + 1 WHERE tier = 0", "task job: block"),
    ("UPDATE blocks SET bytes = zeroblob(length(bytes)) WHERE tier = 0", "task job: block"),
    ("UPDATE names SET name = 'other'", "task job: names of 1"),
    ("UPDATE ticks SET bytes = zeroblob(length(bytes)) WHERE tier = 0", "times: chunk"),
])
def test_damage_is_found_and_named(tally, made, tmp_path, spoil, what):
    store = tmp_path / "h.db"
    with sqlite3.connect(made[0]) as source, sqlite3.connect(store) as copy:
        source.backup(copy)
        copy.execute(spoil)
        copy.commit()
    os.chmod(store, 0o600)
    done = tally("store", "check", "--store", store)
    assert done.returncode == 1
    assert what in done.stdout
    assert "damaged" in done.stderr and done.stderr.count("\n") == 1
    assert json.loads(tally("store", "check", "--json", "--store", store).stdout)["damage"]


def test_what_is_no_store_is_refused(tally, tmp_path):
    path = tmp_path / "x.db"
    path.write_bytes(os.urandom(8192))
    for action in ("info", "check", "export"):
        assert str(path) in refused(tally, "store", action, "--store", path)


def test_all_samples_are_exported(tally, made):
    store, report = made
    lines = tally("store", "export", "--store", store).stdout.splitlines()
    rows = [json.loads(line) for line in lines]
    totals = [row for row in rows if row["process"] is None]
    assert len(totals) == report["samples"] == len(rows) - len(totals)
    raw = history(tally, store, "--step", "0")
    assert [row["rss_bytes"] for row in totals] == raw["series"]["rss_bytes"]
    assert totals[0]["pss_bytes"] is None
    table = list(csv.DictReader(io.StringIO(
        tally("store", "export", "--csv", "--store", store).stdout)))
    assert len(table) == len(rows)
    assert [int(row["minor_faults"]) for row in table] == [row["minor_faults"] for row in rows]


def test_old_samples_are_pruned(tally, made, tmp_path):
    store = tmp_path / "h.db"
    with sqlite3.connect(made[0]) as source, sqlite3.connect(store) as copy:
        source.backup(copy)
    os.chmod(store, 0o600)
    assert "--before" in refused(tally, "store", "prune", "--store", store, status=2)
    assert "for `tally store prune`" in refused(
        tally, "store", "info", "--before", "now", "--store", store, status=2)
    assert tally("store", "prune", "--before", "-1d", "--store", store).returncode == 0
    assert info(tally, store)["resolutions"][0]["blocks"] > 0
    assert tally("store", "prune", "--before", "now", "--store", store).returncode == 0
    assert all(tier["blocks"] == 0 for tier in info(tally, store)["resolutions"])
    assert "no samples" in refused(tally, "history", "job", "--store", store)
    assert tally("store", "check", "--store", store).returncode == 0
