# SPDX-License-Identifier: Apache-2.0
"""/metrics, and Debian's Prometheus as its reader."""
import os
import shutil
import subprocess
import time

import pytest

from conftest import ROOT, burn, python, wait_for
from observer import metrics, sum_of
from receiver import Prometheus, free_port

OPEN = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}


def promtool(*words, **options):
    if not shutil.which("promtool"):
        pytest.skip("promtool (package prometheus) is not installed")
    return subprocess.run(["promtool", *words], capture_output=True, text=True, **options)


@pytest.fixture
def shop(observe, child):
    busy, idle = child(*python(burn(600))), child("sleep", 600)
    observer = observe("--pss", sources=[f"pid:shop/busy={busy.pid}", f"pid:shop/idle={idle.pid}",
                                         f"pid:quo\"te\\d={idle.pid}"])
    observer.ticks(3)
    return observer


def test_promtool_finds_nothing_to_complain_of(shop):
    done = promtool("check", "metrics", input=shop.ask("/metrics").text)
    assert done.returncode == 0 and done.stderr == "" and done.stdout == ""


def test_the_format_is_what_was_asked_for(shop):
    plain = shop.ask("/metrics")
    assert plain.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# EOF" not in plain.text and "# UNIT" not in plain.text
    opened = shop.ask("/metrics", headers=OPEN)
    assert opened.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert opened.text.endswith("# EOF\n")
    assert "# UNIT tally_cpu_seconds seconds\n" in opened.text
    assert "# TYPE tally_cpu_seconds counter\n" in opened.text


def test_openmetrics_is_what_a_strict_reader_takes(shop):
    parser = pytest.importorskip("prometheus_client.openmetrics.parser")
    families = list(parser.text_string_to_metric_families(shop.ask("/metrics", headers=OPEN).text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    cpu = next(family for family in families if family.name == "tally_cpu_seconds")
    assert (cpu.type, cpu.unit) == ("counter", "seconds")
    assert {sample.labels["mode"] for sample in cpu.samples} == {"user", "system"}


def test_sums_agree_with_the_tasks(shop):
    samples = metrics(shop.ask("/metrics").text)
    task = shop.tasks()["shop"]
    assert sum_of(samples, "tally_memory_bytes", task="shop", type="rss") == pytest.approx(
        task["rss_bytes"], rel=0.2)
    assert sum_of(samples, "tally_pids", task="shop") == task["pids"] == 2
    assert sum_of(samples, "tally_cpu_seconds_total", task="shop") == pytest.approx(
        task["cpu_seconds"], abs=2)
    assert sum_of(samples, "tally_process_active", task="shop") == 2


def test_there_is_no_label_but_those_announced(shop):
    samples = metrics(shop.ask("/metrics").text)
    labels = {name for _, pairs in samples for name, _ in pairs}
    assert labels == {"task", "process", "mode", "type", "direction", "version", "collector"}
    tasks = {value for _, pairs in samples for name, value in pairs if name == "task"}
    assert tasks == {"shop", r'quo\"te\\d'}


def test_its_own_cost_is_told(shop):
    samples = metrics(shop.ask("/metrics").text)
    for name in ["tally_self_ticks_total", "tally_self_tick_cpu_seconds", "tally_self_tasks",
                 "tally_self_series", "process_cpu_seconds_total", "process_open_fds",
                 "process_resident_memory_bytes", "process_start_time_seconds"]:
        assert sum_of(samples, name) > 0, name
    disk = shop.status()["disk"]
    for name, key in [("sandboxes", "sandboxes"), ("stuck", "stuck"), ("looks_total", "looks"),
                      ("cpu_seconds_total", "cpu_seconds")]:
        (value,) = [value for (name_, _), value in samples.items()
                    if name_ == "tally_self_disk_" + name]
        assert 0 <= value <= disk[key]
    assert sum_of(samples, "process_resident_memory_bytes") == pytest.approx(
        shop.figure("VmRSS") * 1024, rel=0.3)


def test_a_task_that_ended_is_exported_once_more_then_gone(observe, child):
    sleeper, other = child("sleep", 600), child("sleep", 600)
    observer = observe(sources=[f"pid:short={sleeper.pid}", f"pid:long={other.pid}"],
                       interval="50ms")
    observer.ticks(2)
    assert sum_of(metrics(observer.ask("/metrics").text), "tally_pids", task="short") == 1
    sleeper.kill()
    sleeper.wait()
    wait_for(lambda: observer.status()["tasks"] == 1, "all of the task is counted")
    last = metrics(observer.ask("/metrics").text)
    assert sum_of(last, "tally_cpu_seconds_total", task="short") > 0
    assert sum_of(last, "tally_pids", task="short") == 0
    time.sleep(1.2)  # One answer may be given again for a second.
    gone = metrics(observer.ask("/metrics").text)
    assert not [pairs for _, pairs in gone if ("task", "short") in pairs]
    assert sum_of(gone, "tally_pids", task="long") == 1
    assert "short" in observer.tasks()


def test_series_are_limited_and_the_rest_is_summed(observe, child):
    pids = [child("sleep", 600).pid for _ in range(20)]
    observer = observe("--max-series", 150,
                       sources=[f"pid:shop/p{i}={pid}" for i, pid in enumerate(pids)])
    observer.ticks(2)
    samples = metrics(observer.ask("/metrics").text)
    of_tasks = [pairs for _, pairs in samples if any(name == "task" for name, _ in pairs)]
    assert len(of_tasks) <= 150
    assert sum_of(samples, "tally_pids", task="shop") == 20
    assert sum_of(samples, "tally_pids", task="shop", process="_other") == sum_of(
        samples, "tally_self_folded_processes") > 5


# -- Prometheus ----------------------------------------------------------------------------------

# When it is told to, it uses five seconds of CPU at half a core, and says what getrusage() says of it.
HALF_A_CORE = """
import resource, sys, time
def used():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
print("ready", flush=True)
sys.stdin.readline()
first, begin = used(), time.monotonic()
while (so_far := used() - first) < 5:
    if so_far > (time.monotonic() - begin) / 2: time.sleep(0.005)
print(used() - first, flush=True)
sys.stdin.readline()
"""


def test_prometheus_scrapes_it_and_its_rate_of_a_known_load_is_that_of_rusage(
        observe, child, tmp_path):
    worker = child(*python(HALF_A_CORE), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert worker.stdout.readline() == "ready\n"
    observer = observe(sources=[f"pid:half={worker.pid}"], interval="250ms")
    with open(os.path.join(ROOT, "deploy/prometheus/prometheus.yml")) as file:
        config = file.read()
    config = (config.replace("127.0.0.1:1338", f"127.0.0.1:{observer.port}")
              .replace("scrape_interval: 15s", "scrape_interval: 1s")
              .replace("evaluation_interval: 15s", "evaluation_interval: 1s"))
    for name in ("rules.yml", "alerts.yml"):
        shutil.copy(os.path.join(ROOT, "deploy/prometheus", name), tmp_path)
    prometheus = Prometheus(tmp_path, free_port(), config)
    cpu = 'sum(tally_cpu_seconds_total{task="half"})'

    def scraped():
        return prometheus.query("count_over_time(tally_self_ticks_total[1h])")[0][1]

    try:
        wait_for(lambda: prometheus.query(cpu), "the first scrape")
        before = scraped()
        wait_for(lambda: scraped() >= before + 2, "scrapes before the load")
        begin = time.time()
        worker.stdin.write("go\n")
        worker.stdin.flush()
        rusage = float(worker.stdout.readline())
        observer.ticks(2)
        after = scraped()
        wait_for(lambda: scraped() >= after + 3, "scrapes of the load")
        # Over a time that has the load in it and nothing else: no scrape has to fall on its edges.
        seconds = int(time.time() - begin) + 1
        (_, rate), = prometheus.query(f"({cpu} - {cpu[:-1]} offset {seconds}s)) / {seconds}")
        assert rate * seconds == pytest.approx(rusage, rel=0.01)
        wait_for(lambda: prometheus.query('tally:cpu_cores:rate{task="half"}'), "a recorded rule")
        firing = {metric["alertname"] for metric, _ in prometheus.query('ALERTS{alertstate="firing"}')}
        assert firing <= {"TallySkipsTicks"}  # On a machine that has no time for us.
    finally:
        prometheus.end()
