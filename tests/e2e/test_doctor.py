# SPDX-License-Identifier: Apache-2.0
"""`tally doctor`: what the machine allows, for people and for programs."""
import json
import os
import resource
import subprocess

import pytest

from conftest import python

CHECKS = ["collector procfs", "source pid", "kernel", "privileges", "hidepid", "descriptors",
          "descriptor count", "I/O", "run queue", "PSS", "cgroups", "pressure",
          "delay accounting", "fanotify", "disk", "disk mount", "disk quota", "disk track",
          "disk walk", "tasks that overlap"]


def checks(tally, *words, **options):
    done = tally("doctor", "--json", *words, **options)
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


def test_ways_to_measure_a_sandbox_say_what_would_restore_them(nobody):
    found = checks(nobody)
    assert found["disk quota"]["status"] == "limited"
    assert "user 65534" in found["disk quota"]["detail"]
    assert "CAP_SYS_ADMIN" in found["disk quota"]["remedy"]
    assert found["disk walk"]["status"] == "ok"


EXHAUST = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
for _ in range(4096):
    if libc.fanotify_init(0xE00, os.O_RDONLY) < 0:  # FAN_REPORT_DFID_NAME | FAN_REPORT_FID
        os.execv(sys.argv[1], [*sys.argv[1:], "doctor", "--json"])
sys.exit("there is no end of fanotify here")
"""


def test_tracking_that_others_have_used_up_is_found(nobody):
    # By a user of its own: the limit is each user's, and other tests are nobody too.
    *prefix, program = nobody.command
    prefix = [word.replace("65534", "65532") for word in prefix]
    done = subprocess.run([*prefix, *python(EXHAUST), program], capture_output=True, text=True)
    if "no end of fanotify" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    found = {check["check"]: check for check in json.loads(done.stdout)["checks"]}
    for name in "fanotify", "disk track":
        assert found[name]["status"] == "limited"
        assert "max_user_groups" in found[name]["remedy"]
    assert found["disk walk"]["status"] == "ok"


def test_wrong_usage_is_refused(tally):
    done = tally("doctor", "now")
    assert done.returncode == 2
    assert "takes no arguments" in done.stderr


def test_a_process_in_two_tasks_is_told(tally, observe, child, tmp_path):
    both, one = child("sleep", "60").pid, child("sleep", "60").pid
    observer = observe(sources=[f"pid:shop/web={both}", f"pid:all={both}", f"pid:alone={one}"])
    observer.ticks(2)
    overlap = checks(tally, "--socket", observer.socket)["tasks that overlap"]
    assert overlap["status"] == "limited"
    assert overlap["detail"] == f"1 process is in two tasks, as {both} in all and shop"
    assert "counts in each" in overlap["meaning"] and overlap["remedy"]
    other = observe(sources=[f"pid:alone={one}", f"pid:alone/again={one}"])
    other.ticks(2)
    assert checks(tally, "--socket", other.socket)["tasks that overlap"]["status"] == "ok"
    assert checks(tally, "--socket", tmp_path / "none")["tasks that overlap"]["status"] == "missing"
