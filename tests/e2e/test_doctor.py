# SPDX-License-Identifier: Apache-2.0
"""`tally doctor`: what the machine allows, for people and for programs."""
import json
import os
import resource

CHECKS = ["collector procfs", "source pid", "kernel", "privileges", "hidepid", "descriptors",
          "descriptor count", "I/O", "run queue", "PSS", "cgroups", "pressure",
          "delay accounting", "fanotify", "disk"]


def checks(tally, **options):
    done = tally("doctor", "--json", **options)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["kernel"] == os.uname().release
    assert answer["version"] == tally("--version").stdout.split()[1]
    return {check["check"]: check for check in answer["checks"]}


def test_every_check_says_what_it_found(tally):
    found = checks(tally)
    assert set(CHECKS) <= set(found)
    for check in found.values():
        assert check["status"] in ("ok", "limited", "missing", "note")
        assert check["detail"]
        if check["status"] in ("ok", "note"):
            assert check["remedy"] is None
    assert found["collector procfs"]["status"] == "ok"
    assert os.uname().release in found["kernel"]["detail"]


def test_the_text_has_the_same_checks(tally):
    done = tally("doctor")
    assert done.returncode == 0
    for name, check in checks(tally).items():
        assert any(line.startswith(check["status"]) and f"  {name} " in line and
                   check["detail"] in line for line in done.stdout.splitlines()), name
    assert "\x1b" not in done.stdout


def test_nobody_is_told_what_privileges_would_give(nobody):
    privileges = checks(nobody)["privileges"]
    assert privileges["status"] == "limited"
    assert "CAP_SYS_PTRACE" in privileges["detail"]
    assert "absent" in privileges["meaning"]
    assert "root" in privileges["remedy"]
    assert "to do: run as root" in nobody("doctor").stdout


def test_few_descriptors_are_found(tally):
    few = checks(tally, preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    assert few["descriptors"]["status"] == "limited"
    assert "256" in few["descriptors"]["detail"]
    assert "ulimit -n" in few["descriptors"]["remedy"]


def test_wrong_usage_is_refused(tally):
    done = tally("doctor", "now")
    assert done.returncode == 2
    assert "takes no arguments" in done.stderr
