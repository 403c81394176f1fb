# SPDX-License-Identifier: Apache-2.0
"""`make run`: the example is observed, what is printed can be tried, and all ends when it is told to."""
import os
import re
import shutil
import signal
import subprocess
import urllib.request
import json

import pytest

from conftest import PROGRAM, ROOT, alive, wait_for
from receiver import free_port



def test_the_example_is_observed_and_what_it_prints_is_true(tmp_path):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    address = f"127.0.0.1:{free_port()}"
    env = dict(os.environ, TALLY_EXAMPLE_ADDRESS=address, TALLY_EXAMPLE_SECONDS="60",
               TMPDIR=str(tmp_path))
    with open(tmp_path / "out", "w+") as out, open(tmp_path / "log", "w+") as log:
        example = subprocess.Popen(["scripts/run-example", PROGRAM], cwd=ROOT, env=env, stdout=out,
                                   stderr=log, start_new_session=True)
        try:
            wait_for(lambda: "Without an observer" in (tmp_path / "out").read_text()
                     or example.poll() is not None, "it says what to try")
            said = (tmp_path / "out").read_text()
            assert example.poll() is None, (tmp_path / "log").read_text()
            urls = re.findall(r"http://[^\s\"]+", said)
            assert len(urls) >= 4
            for url in urls:
                assert urllib.request.urlopen(url, timeout=30).status == 200, url

            def task():
                (one,) = json.load(urllib.request.urlopen(f"http://{address}/api/v1/tasks"))["tasks"]
                return one

            wait_for(lambda: task()["cpu_seconds"] > 0, "the example consumes something")
            assert task()["task"] == "example"
            services = {process["process"]: process["pid"] for process in task()["processes"]}
            assert set(services) == {"web", "worker", "daemon"}
            assert all(alive(pid) for pid in services.values())
            socket = re.search(r"status --socket (\S+)", said)[1]
            assert subprocess.run([PROGRAM, "status", "--socket", socket]).returncode == 0
            observer = int(re.search(r"pid=(\d+)", subprocess.run(
                ["ss", "-Hltnp", f"sport = :{address.partition(':')[2]}"], capture_output=True,
                text=True).stdout + "pid=0")[1])
        finally:
            example.send_signal(signal.SIGTERM)
            assert example.wait(timeout=60) == 0
    if observer:
        wait_for(lambda: not alive(observer), "the observer ends")
    wait_for(lambda: not any(map(alive, services.values())), "the services end")
    assert not [name for name in os.listdir(tmp_path) if name.startswith("tmp.")]


def test_an_address_that_is_taken_is_told(observe, child, tmp_path):
    first = observe(sources=[f"pid:shop={child('sleep', 600).pid}"])
    env = dict(os.environ, TALLY_EXAMPLE_ADDRESS=f"127.0.0.1:{first.port}",
               TALLY_EXAMPLE_SECONDS="20", TMPDIR=str(tmp_path))
    done = subprocess.run(["scripts/run-example", PROGRAM], cwd=ROOT, env=env, capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 1
    assert f"tally (pid {first.process.pid}) holds it" in done.stderr
