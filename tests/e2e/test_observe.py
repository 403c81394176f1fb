# SPDX-License-Identifier: Apache-2.0
"""`tally observe`: what it answers over HTTP, from real processes."""
import gzip
import json
import os
import time
import urllib.parse

import pytest

from conftest import burn, python, wait_for

@pytest.fixture
def shop(observe, child):
    """A task with a busy process and an idle one."""
    busy, idle = child(*python(burn(600))), child("sleep", 600)
    return observe(sources=[f"pid:shop/busy={busy.pid}", f"pid:shop/idle={idle.pid}"])


def test_tasks_are_listed_with_their_processes(shop):
    shop.ticks(3)
    answer = shop.ask("/api/v1/tasks")
    assert answer.status == 200
    (task,) = answer.json["tasks"]
    assert (task["task"], task["source"], task["state"]) == ("shop", "pid", "active")
    wait_for(lambda: shop.tasks()["shop"]["stale"] is False, "a tick in time")
    assert abs(answer.json["time"] - time.time()) < 30
    busy, idle = task["processes"]
    assert [p["process"] for p in (busy, idle)] == ["busy", "idle"]
    assert idle["cpu_rate"] == 0
    wait_for(lambda: (shop.tasks()["shop"]["processes"][0]["cpu_rate"] or 0) > 0.2, "a busy moment")
    assert task["cpu_seconds"] == pytest.approx(busy["cpu_seconds"] + idle["cpu_seconds"])
    assert task["rss_bytes"] == busy["rss_bytes"] + idle["rss_bytes"] > 0
    assert task["disk_bytes"] is None and "sandbox" in task["missing"]["disk_bytes"]


def test_absent_values_are_null_and_have_a_reason(shop):
    (task,) = shop.ask("/api/v1/tasks").json["tasks"]
    for part in [task, *task["processes"]]:
        nulls = {key for key, value in part.items() if value is None}
        assert set(part["missing"]) <= nulls
        assert all(part["missing"].values())


def test_one_task_has_the_same_shape(shop):
    shop.ticks()
    answer = shop.ask("/api/v1/tasks/shop").json
    (task,) = answer["tasks"]
    assert set(task) == set(shop.tasks()["shop"])


def test_pids_are_told_with_why_they_belong(shop):
    (task,) = shop.ask("/api/v1/tasks/shop?pids=1").json["tasks"]
    assert {(m["process"], m["why"]) for m in task["members"]} == {
        ("busy", "root"), ("idle", "root")}
    assert "members" not in shop.tasks()["shop"]


def test_an_unknown_task_is_404_and_says_so(shop):
    for target in ["/api/v1/tasks/nonsense", "/api/v1/tasks/nonsense/history",
                   "/api/v1/tasks/shop/history?process=nonsense", "/nonsense"]:
        answer = shop.ask(target)
        assert answer.status == 404
        assert answer.json["status"] == 404 and answer.json["error"]
    assert "busy, idle" in shop.ask("/api/v1/tasks/shop/history?process=nonsense").json["error"]


def test_ids_with_slashes_and_other_letters_are_asked_for_escaped(observe, child):
    name = "system.slice/a b?#%ä.service"
    pid = child("sleep", 600).pid
    observer = observe(sources=[f"pid:{name}/web={pid}"])
    observer.ticks()
    quoted = urllib.parse.quote(name, safe="")
    assert observer.ask(f"/api/v1/tasks/{quoted}").json["tasks"][0]["task"] == name
    assert observer.ask(f"/api/v1/tasks/{quoted}/history").json["task"] == name
    assert observer.ask("/api/v1/tasks/system.slice/x").status == 404


def test_history_is_columns_of_equal_length(shop):
    shop.ticks(10)
    answer = shop.ask("/api/v1/tasks/shop/history?step=0").json
    assert answer["task"] == "shop" and answer["process"] is None
    times = answer["times"]
    assert len(times) >= 10 and times == sorted(times)
    assert all(len(column) == len(times) for column in answer["series"].values())
    assert {"cpu_rate", "cpu_seconds", "rss_bytes", "disk_bytes"} <= set(answer["series"])
    assert answer["series"]["cpu_seconds"] == sorted(answer["series"]["cpu_seconds"])

    narrow = shop.ask("/api/v1/tasks/shop/history?process=busy&metrics=cpu_rate,pids&step=0").json
    assert narrow["process"] == "busy" and set(narrow["series"]) == {"cpu_rate", "pids"}
    assert set(narrow["series"]["pids"]) == {1}


def test_tasks_with_the_metrics_that_are_named(shop):
    shop.ticks(3)
    whole = shop.tasks()["shop"]
    [task] = shop.ask("/api/v1/tasks?metrics=rss_bytes,cpu_rate,pss_bytes,disk_bytes").json["tasks"]
    assert {"rss_bytes", "cpu_rate", "pss_bytes", "disk_bytes"} <= set(task) < set(whole)
    assert not {"cpu_seconds", "fds", "nice", "oom_kills"} & set(task)
    assert set(task["missing"]) == {"pss_bytes", "disk_bytes"}
    web = task["processes"][0]
    assert {"rss_bytes", "cpu_rate", "pss_bytes", "pid", "runs"} <= set(web) and "disk_bytes" not in web
    # Each set has an answer of its own, whoever asks in between.
    [other] = shop.ask("/api/v1/tasks?metrics=fds").json["tasks"]
    assert other["fds"] > 0 and "rss_bytes" not in other and set(other["missing"]) == set()
    assert "fds" in shop.tasks()["shop"] and "rss_bytes" in shop.tasks()["shop"]
    [one] = shop.ask("/api/v1/tasks/shop?metrics=fds&at=-0.2s").json["tasks"]
    assert one["fds"] > 0 and "rss_bytes" not in one


def test_history_keeps_to_range_and_step(shop):
    shop.ticks(12)
    times = shop.ask("/api/v1/tasks/shop/history?step=0").json["times"]
    since, until = times[3] - 0.001, times[8] + 0.001  # A double holds no nanoseconds.
    inside = shop.ask(f"/api/v1/tasks/shop/history?since={since:.6f}&until={until:.6f}&rate=1").json
    assert inside["times"] == times[3:9]
    assert None not in inside["series"]["cpu_user_seconds"]
    stepped = shop.ask("/api/v1/tasks/shop/history?step=500ms").json["times"]
    assert len(stepped) < len(times)
    assert len({int(t * 2) for t in stepped}) == len(stepped)


def test_rates_and_counters_agree(shop):
    shop.ticks(10)
    query = "/api/v1/tasks/shop/history?process=busy&metrics=cpu_seconds&step=0"
    raw, rates = shop.ask(query).json, shop.ask(query + "&rate=1").json
    common = [t for t in raw["times"] if t in rates["times"]]
    first, last = raw["times"].index(common[0]), raw["times"].index(common[-1])
    used = raw["series"]["cpu_seconds"][last] - raw["series"]["cpu_seconds"][first]
    begin = rates["times"].index(common[0])
    area = sum(rate * (rates["times"][i] - rates["times"][i - 1])
               for i, rate in enumerate(rates["series"]["cpu_seconds"])
               if begin < i <= rates["times"].index(common[-1]))
    assert area == pytest.approx(used, rel=0.02, abs=0.01)


def test_the_past_is_shown_as_it_was(observe, child):
    sleeper = child("sleep", 600)
    observer = observe(sources=[f"pid:shop/web={sleeper.pid}"])
    observer.ticks(3)
    then = time.time()
    observer.ticks(3)
    os.kill(sleeper.pid, 9)
    sleeper.wait()
    wait_for(lambda: observer.tasks()["shop"]["pids"] == 0, "the task ends")

    past = observer.tasks(at=f"{then:.3f}")["shop"]
    assert past["pids"] == 1 and past["state"] == "active" and past["ended"] is None
    assert abs(past["time"] - then) < 5
    assert past["processes"][0]["pids"] == 1
    single = observer.ask(f"/api/v1/tasks/shop?at={then:.3f}").json
    assert single["tasks"][0]["pids"] == 1 and single["time"] == pytest.approx(then, abs=0.01)


def test_a_task_is_not_shown_at_an_instant_without_it(observe, child):
    observer = observe(sources=[f"pid:shop/web={child('sleep', 600).pid}"])
    observer.ticks(2)
    assert observer.tasks(at="-1h") == {}
    far = observer.ask("/api/v1/tasks/shop?at=-1h").json["tasks"][0]
    assert far["pids"] == 1  # Its nearest sample, which says its own time.


def test_times_are_taken_as_people_write_them(shop):
    shop.ticks(2)
    now = time.time()
    for text in ["now", "-1s", f"{now:.3f}", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
                 time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(now))]:
        answer = shop.ask("/api/v1/tasks?at=" + text)
        assert answer.status == 200 and len(answer.json["tasks"]) == 1, text


@pytest.mark.parametrize("target", [
    "/api/v1/tasks?at=yesterday", "/api/v1/tasks?when=1", "/api/v1/tasks?at=1&at=2",
    "/api/v1/tasks/shop/history?step=soon", "/api/v1/tasks/shop/history?metrics=rss",
    "/api/v1/tasks/shop/history?since=2&until=1", "/api/v1/tasks/%zz", "/api/v1/tasks/%00",
])
def test_a_wrong_question_is_400_and_says_what_is_wrong(shop, target):
    answer = shop.ask(target)
    assert answer.status == 400
    assert len(answer.json["error"]) > 10


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_methods_that_change_things_are_refused(shop, method):
    answer = shop.ask("/api/v1/tasks", method=method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


def test_head_is_answered_without_a_body(shop):
    for target in ["/", "/api/v1/tasks", "/metrics", "/healthz", "/api/v1/status"]:
        answer = shop.ask(target, method="HEAD")
        assert answer.status in ((200, 503) if target == "/healthz" else (200,))
        assert answer.body == b""
        assert int(answer.headers["Content-Length"]) > 0


def test_the_status_has_its_own_cost(shop):
    shop.ticks(3)
    status = shop.status()
    assert status["version"] and status["collector"] in ("bpf", "procfs")
    assert status["collector_reason"]
    assert status["running"] is True
    wait_for(lambda: shop.status()["stale"] is False, "a tick in time")
    assert status["ticks"] >= 3 and status["ticks_skipped"] >= 0
    assert status["self"]["cpu_seconds"] > 0 and status["self"]["rss_bytes"] > 1 << 20
    assert (status["tasks"], status["processes"], status["pids"]) == (1, 2, 2)
    assert 0 <= status["other_cpu_seconds"] <= status["machine_cpu_seconds"]
    assert status["http"]["requests"] > 0
    assert abs(status["started"] - time.time()) < 60


def test_health_is_told_while_ticks_come(shop):
    wait_for(lambda: shop.ask("/healthz").status == 200, "health")


def test_an_observer_that_stopped_ticking_is_not_healthy(observe, child):
    """A stopped thread of ticks cannot be had without stopping all; a long interval can."""
    observer = observe("--source", f"pid:a={child('sleep', 600).pid}", interval="10ms")
    observer.ticks(2)
    os.kill(observer.process.pid, 19)  # SIGSTOP
    time.sleep(0.5)
    connection = observer.connect()
    connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
    os.kill(observer.process.pid, 18)  # SIGCONT
    with connection:
        first = connection.recv(100)
    assert first.startswith(b"HTTP/1.1 ")
    wait_for(lambda: observer.ask("/healthz").status == 200, "health comes back")


def test_bodies_are_compressed_for_those_who_take_it(shop):
    shop.ticks(10)
    for target in ["/api/v1/tasks", "/metrics", "/", "/api/v1/tasks/shop/history"]:
        plain = shop.ask(target)
        assert "Content-Encoding" not in plain.headers
        assert "Accept-Encoding" in plain.headers["Vary"]
        packed = shop.ask(target, headers={"Accept-Encoding": "gzip"})
        assert packed.headers["Content-Encoding"] == "gzip"
        assert len(packed.body) < len(plain.body)
        gzip.decompress(packed.body)
        assert shop.ask(target, headers={"Accept-Encoding": "zstd, gzip"}).headers[
            "Content-Encoding"] == "zstd"
        assert "Content-Encoding" not in shop.ask(
            target, headers={"Accept-Encoding": "br, gzip;q=0"}).headers
    assert "Content-Encoding" not in shop.ask(
        "/healthz", headers={"Accept-Encoding": "gzip"}).headers


def test_what_has_not_changed_is_not_sent_again(observe, child):
    observer = observe(sources=[f"pid:a={child('sleep', 600).pid}"], interval="1h")
    observer.ticks(0)
    wait_for(lambda: observer.tasks()["a"]["pids"] == 1, "the first tick")
    for target in ["/", "/style.css"]:
        tag = observer.ask(target).headers["ETag"]
        again = observer.ask(target, headers={"If-None-Match": tag})
        assert again.status == 304 and again.body == b""
        assert observer.ask(target, headers={"If-None-Match": '"other"'}).status == 200
    first = observer.ask("/api/v1/tasks")
    again = observer.ask("/api/v1/tasks", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status in (200, 304)  # A second may have gone by in between.


def test_the_page_and_its_parts_are_there(shop):
    page = shop.ask("/")
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    for part in ["/app.js", "/style.css", "/icon.svg"]:
        assert part.encode() in page.body or part == "/icon.svg"
        assert shop.ask(part).status == 200
    assert b"<script>" not in page.body and b"style=" not in page.body
    assert b"http://" not in page.body and b"https://" not in page.body


def test_both_sockets_give_the_same(shop):
    shop.ticks()
    over_unix = shop.ask("/api/v1/tasks/shop", unix=True).json["tasks"][0]
    over_tcp = shop.ask("/api/v1/tasks/shop").json["tasks"][0]
    assert set(over_unix) == set(over_tcp)
    assert over_unix["processes"][0]["pid"] == over_tcp["processes"][0]["pid"]


def test_a_connection_is_used_again(shop):
    import http.client
    connection = http.client.HTTPConnection("127.0.0.1", shop.port, timeout=10)
    sockets = set()
    for _ in range(5):
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        sockets.add(connection.sock.fileno())
        assert connection.sock is not None
    connection.close()
    assert len(sockets) == 1


def test_nothing_is_sampled_because_somebody_asks(observe, child):
    observer = observe(sources=[f"pid:a={child('sleep', 600).pid}"], interval="1h")
    wait_for(lambda: observer.tasks()["a"]["pids"] == 1, "the first tick")
    before = observer.status()["ticks"]
    for target in ["/api/v1/tasks", "/metrics", "/api/v1/tasks/a", "/api/v1/tasks/a/history",
                   "/api/v1/tasks/a?pids=1", "/api/v1/tasks/nonsense"]:
        observer.ask(target)
    assert observer.status()["ticks"] == before == 1


def test_status_tells_people_how_it_is(tally, shop):
    shop.ticks(2)
    done = tally("status", "--socket", shop.socket)
    assert done.returncode == 0, done.stderr
    assert "well" in done.stdout and "1 tasks, 2 processes, 2 pids" in done.stdout
    told = json.loads(tally("status", "--json", "--socket", shop.socket).stdout)
    assert told["tasks"] == 1


def test_status_fails_where_nobody_answers(tally, tmp_path):
    done = tally("status", "--socket", tmp_path / "none")
    assert done.returncode == 1
    assert "no observer answers" in done.stderr and done.stderr.count("\n") == 1
