# SPDX-License-Identifier: Apache-2.0
"""Remote write: to Debian's Prometheus over restarts of either side, and to receivers that refuse."""
import os
import signal
import socket
import sqlite3
import time

import pytest

from conftest import burn, python, wait_for
from observer import Observer
from receiver import Prometheus, Receiver, free_port

STALE = 0x7FF0000000000002


@pytest.fixture
def receive():
    receivers = []

    def start(*answers, **options):
        receivers.append(Receiver(*answers, **options))
        return receivers[-1]

    yield start
    for receiver in receivers:
        receiver.end()


def pushing(observe, child, url, *words, interval="250ms", **options):
    options.setdefault("sources", [f"pid:shop/web={child('sleep', 600).pid}"])
    return observe("--remote-write", url, "--remote-write-interval", interval, *words,
                   interval=interval, **options)


def remote(observer):
    return observer.status()["remote_write"]


# -- Prometheus ----------------------------------------------------------------------------------

def instants(prometheus, expression):
    """{milliseconds: value} of the one series of an expression."""
    (series,) = prometheus.ask(expression + "[1h]")
    return {round(float(when) * 1000): float(value) for when, value in series["values"]}


def test_nothing_is_lost_or_out_of_order_over_restarts_of_either_side(tally, child, tmp_path):
    busy = child(*python(burn(600)))
    config = "global: {scrape_interval: 1h}\n"
    prometheus = Prometheus(tmp_path, free_port(), config, "--web.enable-remote-write-receiver")
    words = ["--remote-write", f"http://{prometheus.address}/api/v1/write",
             "--remote-write-interval", "500ms", "--remote-write-label", "rack=7"]

    def start():
        return Observer(tally, tmp_path, *words, sources=[f"pid:shop/busy={busy.pid}"],
                        interval="500ms")

    def sent_more(observer, more):
        before = remote(observer)["samples_sent"]
        wait_for(lambda: remote(observer)["samples_sent"] > before + more, "samples are taken")

    observer = start()
    try:
        sent_more(observer, 100)

        prometheus.kill()
        before = remote(observer)
        wait_for(lambda: remote(observer)["failing"] == 1, "the failure is told")
        wait_for(lambda: remote(observer)["queue_samples"] > 200, "samples wait")
        assert remote(observer)["samples_sent"] >= before["samples_sent"]
        prometheus.start()
        wait_for(lambda: remote(observer)["queue_samples"] == 0, "what waited is sent")
        wait_for(lambda: remote(observer)["failing"] == 0, "the recovery is told")

        # What waits outlives the observer, too.
        prometheus.kill()
        wait_for(lambda: remote(observer)["queue_samples"] > 100, "samples wait")
        observer.end(signal.SIGKILL)
        killed = time.time() * 1000
        prometheus.start()
        observer = start()
        sent_more(observer, 200)
        wait_for(lambda: remote(observer)["queue_samples"] == 0, "what waited is sent")
        counters = remote(observer)
        assert counters["samples_refused"] == counters["samples_overflowed"] == 0
        observer.ticks(2)
        assert observer.end() == 0

        found = instants(prometheus, 'tally_self_ticks_total{job="tally",rack="7"}')
        times = sorted(found)
        before = [when for when in times if when <= killed]
        after = [when for when in times if when > killed]
        # No gap while it lived, whoever was down; half of a tick's time may go in a busy machine.
        gaps = [b - a for run in (before, after) for a, b in zip(run, run[1:])]
        assert len(before) > 8 and len(after) > 3 and max(gaps) < 3000, sorted(gaps)[-5:]
        assert killed - before[-1] < 3000  # The tick that was killed, and no more.
        cpu = instants(prometheus, 'tally_cpu_seconds_total{task="shop",mode="user"}')
        assert set(cpu) == set(found)
        values = [cpu[when] for when in sorted(cpu)]
        assert values == sorted(values) and values[-1] > values[0]
        with open(prometheus.log_path) as log:
            for line in log:
                assert "rder" not in line and "uplicate" not in line, line
    finally:
        observer.end()
        prometheus.end()


# -- receivers that refuse -----------------------------------------------------------------------

def test_samples_are_what_metrics_shows(observe, child, receive):
    receiver = receive()
    observer = pushing(observe, child, receiver.url, "--remote-write-label", "instance=here",
                       sources=[f"pid:quo\"te\\d={child('sleep', 600).pid}"])
    wait_for(lambda: len(receiver.taken()) > 2, "samples")
    _, headers, samples = receiver.requests[1]
    assert headers["Content-Encoding"] == "snappy"
    assert headers["Content-Type"] == "application/x-protobuf"
    assert headers["X-Prometheus-Remote-Write-Version"] == "0.1.0"
    for sample in samples:
        names = [name for name, _ in sample.labels]
        assert names == sorted(set(names)) and "" not in dict(sample.labels).values()
        assert sample.has(job="tally", instance="here")
    assert len({sample.time for sample in samples}) == 1
    assert len({tuple(sample.labels) for sample in samples}) == len(samples)
    (rss,) = [sample for sample in samples if sample.has(
        __name__="tally_memory_bytes", type="rss", task='quo"te\\d', process='quo"te\\d')]
    assert 100_000 < rss.value < 1e9
    pushed = {dict(sample.labels)["__name__"] for sample in samples}
    shown = {line.split()[2] for line in observer.ask("/metrics").text.splitlines()
             if line.startswith("# TYPE")}
    assert pushed <= shown and len(pushed) > 20
    # A process that belongs to no cgroup task and has no sandbox has no samples of these families.
    with_samples = {line.partition("{")[0].partition(" ")[0]
                    for line in observer.ask("/metrics").text.splitlines() if line[:1] != "#"}
    assert {name for name in shown - pushed if not name.startswith("tally_self_http")} <= {
        "tally_self_info"} | (shown - with_samples)


def test_what_fails_is_sent_again_and_nothing_overtakes_it(observe, child, receive):
    receiver = receive(503, 500, (429, {"Retry-After": "2"}, b"slow down"), 204)
    observer = pushing(observe, child, receiver.url)
    wait_for(lambda: len(receiver.taken()) > 5, "samples are taken in the end")
    first = [[sample.time for sample in samples] for _, _, samples in receiver.requests[:4]]
    assert first[0] == first[1] == first[2] == first[3]
    times = [samples[0].time for samples in receiver.taken()]
    assert times == sorted(set(times))
    counters = remote(observer)
    assert counters["retries"] == 3
    assert counters["samples_refused"] == counters["samples_overflowed"] == 0
    said = [line for line in observer.log.splitlines() if "remote write" in line]
    assert any("slow down" in line for line in said)
    assert len([line for line in said if "goes on" in line]) == 1


def test_a_receiver_that_asks_for_patience_is_given_it(observe, child, receive):
    receiver = receive((429, {"Retry-After": "3"}, b""), 204)
    begun = time.monotonic()
    pushing(observe, child, receiver.url)
    wait_for(receiver.taken, "samples are taken")
    assert time.monotonic() - begun >= 3


def test_what_is_refused_for_good_is_dropped_and_counted(observe, child, receive):
    receiver = receive((400, {}, b"out of bounds\nand more"), (404, {}, b""), 204)
    observer = pushing(observe, child, receiver.url)
    wait_for(lambda: len(receiver.taken()) > 2, "the next are taken")
    refused = [samples for status, _, samples in receiver.requests if status >= 400]
    assert len(refused) == 2
    assert remote(observer)["samples_refused"] == sum(map(len, refused))
    assert refused[1][0].time < receiver.taken()[0][0].time
    assert refused[0][0].time < refused[1][0].time
    assert observer.log.count("refuses samples for good (HTTP status 400: out of bounds)") == 1


def test_a_series_that_ends_is_marked(observe, child, receive):
    receiver = receive()
    short, other = child("sleep", 600), child("sleep", 600)
    pushing(observe, child, receiver.url, sources=[f"pid:short={short.pid}",
                                                   f"pid:long={other.pid}"])
    wait_for(lambda: len(receiver.taken()) > 1, "samples")
    short.kill()
    short.wait()

    def of_short():
        return [sample for samples in receiver.taken() for sample in samples
                if sample.has(task="short")]

    def all_marked():
        last = {tuple(sample.labels): sample.bits for sample in of_short()}
        return len(last) > 10 and set(last.values()) == {STALE}

    wait_for(all_marked, "the end of each of its series is marked")
    count, seen = len(of_short()), len(receiver.taken())
    wait_for(lambda: len(receiver.taken()) > seen + 2, "the others go on")
    assert len(of_short()) == count
    assert not [sample for samples in receiver.taken() for sample in samples
                if sample.bits == STALE and sample.has(task="long")]


def test_a_token_is_sent_and_read_again(observe, child, receive, tmp_path):
    token = tmp_path / "token"
    token.write_text("the-first-of-our-tokens\n")
    token.chmod(0o600)
    receiver = receive()
    url = receiver.url.replace("http://", "http://ann:hushhush@")
    observer = pushing(observe, child, url, "--remote-write-token-file", token)
    wait_for(receiver.taken, "samples")
    assert receiver.requests[0][1]["Authorization"] == "Bearer the-first-of-our-tokens"
    token.write_text("the-second-of-our-tokens\n")
    observer.process.send_signal(signal.SIGHUP)
    wait_for(lambda: receiver.requests[-1][1]["Authorization"].endswith("second-of-our-tokens"),
             "the token is read again")
    receiver.answers = [500]
    wait_for(lambda: "fails" in observer.log, "a failure")
    assert "hushhush" not in observer.log and "our-tokens" not in observer.log


def test_its_end_sends_what_there_is(observe, child, receive, tmp_path):
    receiver = receive()
    store = tmp_path / "history.db"
    observer = pushing(observe, child, receiver.url, interval="1s", store=str(store))
    observer.ticks(3)
    assert observer.end() == 0
    assert receiver.taken()
    with sqlite3.connect(f"{store}-remote") as queue:
        assert queue.execute("SELECT count(*) FROM batches").fetchone() == (0,)
        last, = queue.execute("SELECT wall_ms FROM last").fetchone()
    assert receiver.taken()[-1][0].time == last
    assert os.stat(f"{store}-remote").st_mode & 0o777 == 0o600


def test_what_waits_is_sent_by_the_next_run(tally, child, receive, tmp_path):
    source = f"pid:shop/web={child('sleep', 600).pid}"
    port = free_port()
    words = ["--remote-write", f"http://127.0.0.1:{port}/", "--remote-write-interval", "250ms"]
    first = Observer(tally, tmp_path, *words, sources=[source], interval="250ms")
    wait_for(lambda: remote(first)["queue_samples"] > 200, "samples wait")
    assert remote(first)["lag_seconds"] > 0
    assert first.end() == 0
    with sqlite3.connect(tmp_path / "state/history.db-remote") as queue:
        waiting = [when for when, in queue.execute("SELECT wall_ms FROM batches ORDER BY id")]
    receiver = receive(port=port)
    second = Observer(tally, tmp_path, *words, sources=[source], interval="250ms")
    wait_for(lambda: len(receiver.taken()) > len(waiting) + 1, "all are sent")
    second.end()
    times = [samples[0].time for samples in receiver.taken()]
    assert times[:len(waiting)] == waiting and times == sorted(set(times))


def test_a_damaged_queue_is_set_aside(tally, child, receive, tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    path = tmp_path / "state/history.db-remote"
    path.write_bytes(b"no database at all" * 1000)
    path.chmod(0o600)
    receiver = receive()
    observer = Observer(tally, tmp_path, "--remote-write", receiver.url, "--remote-write-interval",
                        "250ms", sources=[f"pid:shop={child('sleep', 600).pid}"], interval="250ms")
    wait_for(receiver.taken, "samples")
    assert "set aside" in observer.log
    observer.end()
    (aside,) = [name for name in os.listdir(tmp_path / "state") if "damaged" in name]
    assert (tmp_path / "state" / aside).read_bytes().startswith(b"no database")


def test_a_receiver_that_never_answers_holds_up_no_tick_and_no_end(observe, child):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8)
        observer = pushing(observe, child, f"http://127.0.0.1:{deaf.getsockname()[1]}/",
                           interval="500ms")
        before = observer.status()
        observer.ticks(5)
        after = observer.status()
        assert after["ticks_skipped"] == before["ticks_skipped"]
        assert after["remote_write"]["samples_sent"] == 0
        assert after["remote_write"]["queue_samples"] > 0
        assert observer.end() == 0


def test_without_a_store_it_waits_in_memory(observe, child, receive):
    receiver = receive(503, 204)
    observer = pushing(observe, child, receiver.url, store="none")
    wait_for(lambda: len(receiver.taken()) > 1, "samples")
    assert remote(observer)["samples_refused"] == 0


def test_without_remote_write_nothing_is_told_of_it(observe, child):
    observer = observe(sources=[f"pid:shop={child('sleep', 600).pid}"])
    assert set(remote(observer).values()) == {None}
    assert "remote_write" not in observer.ask("/metrics").text


@pytest.mark.parametrize("words, why", [
    (["--remote-write", "nonsense"], "http://127.0.0.1:9090/api/v1/write"),
    (["--remote-write", "file:///etc/passwd"], "http://127.0.0.1:9090/api/v1/write"),
    (["--remote-write", "http://h/", "--remote-write-label", "a"], "NAME=VALUE"),
    (["--remote-write", "http://h/", "--remote-write-label", "__name__=a"], "NAME=VALUE"),
    (["--remote-write", "http://h/", "--remote-write-queue", "1k"], "1M"),
    (["--remote-write-interval", "5s"], "--remote-write URL"),
    (["--remote-write-queue", "5M"], "--remote-write URL"),
])
def test_wrong_usage_is_said_in_one_line(tally, words, why):
    done = tally("observe", "--source", "pid:a=1", "--listen", "127.0.0.1:0", "--socket", "none",
                 *words)
    assert done.returncode == 2 and why in done.stderr.splitlines()[0]
