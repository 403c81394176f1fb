# SPDX-License-Identifier: Apache-2.0
"""What is shipped for Prometheus, Grafana and systemd is accepted by them."""
import json
import os
import re
import shutil
import subprocess

import pytest

from conftest import ROOT

DEPLOY = os.path.join(ROOT, "deploy")


def run(*words, folder="prometheus"):
    if not shutil.which(words[0]):
        pytest.skip(f"{words[0]} is not installed")
    return subprocess.run(words, cwd=os.path.join(DEPLOY, folder), capture_output=True, text=True)


def test_prometheus_takes_the_configuration_and_the_rules():
    done = run("promtool", "check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_pass_their_unit_tests():
    done = run("promtool", "test", "rules", "tests.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test():
    with open(os.path.join(DEPLOY, "prometheus/alerts.yml")) as rules, \
            open(os.path.join(DEPLOY, "prometheus/tests.yml")) as tests:
        alerts = set(re.findall(r"- alert: (\w+)", rules.read()))
        assert alerts == set(re.findall(r"- alertname: (\w+)", tests.read()))


def dashboard():
    with open(os.path.join(DEPLOY, "grafana/tally.json")) as file:
        return json.load(file)


def expressions():
    return [target["expr"] for panel in dashboard()["panels"]
            for target in panel.get("targets", [])]


def test_the_dashboard_asks_in_valid_expressions(tmp_path):
    rules = tmp_path / "rules.yml"
    rules.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "1m")}
        for number, expression in enumerate(expressions())]}]}))
    done = run("promtool", "check", "rules", str(rules))
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(expressions()) > 10


def test_rules_and_dashboard_ask_for_metrics_that_there_are(observe, child):
    observer = observe("--pss", "--remote-write", "http://127.0.0.1:1/", sources=[f"pid:shop/web={child('sleep', 600).pid}"])
    observer.ticks(2)
    text = observer.ask("/metrics").text
    known = set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE)) | {"up"}
    asked = " ".join(expressions())
    for name in ("rules.yml", "alerts.yml"):
        with open(os.path.join(DEPLOY, "prometheus", name)) as file:
            asked += " ".join(re.findall(r"expr: (.*?)\n      (?:-|for:|labels:|\n|$)",
                                         file.read() + "\n      -", re.DOTALL))
    names = set(re.findall(r"(?<![:\w])(tally_\w+|process_\w+)(?![:\w])", asked))
    assert len(names) > 15
    assert names <= known


def test_systemd_takes_the_units(tmp_path):
    for name in os.listdir(os.path.join(DEPLOY, "systemd")):
        with open(os.path.join(DEPLOY, "systemd", name)) as file:
            text = file.read().replace("/usr/local/bin/tally", "/bin/true")
        (tmp_path / name).write_text(text.replace("Documentation=man:tally(1)\n", ""))
    done = run("systemd-analyze", "verify", "--man=no", str(tmp_path / "tally.service"),
               folder="systemd")
    complaints = [line for line in done.stderr.splitlines() if "tally" in line]
    assert done.returncode == 0 and complaints == []


def test_the_service_is_hardened():
    done = run("systemd-analyze", "security", "--offline=yes", "--no-pager", "./tally.service",
               folder="systemd")
    found = re.search(r"Overall exposure level for tally.service: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) < 4
