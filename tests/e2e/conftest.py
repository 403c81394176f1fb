# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests share: the program, and real processes to watch. Builds nothing."""
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.environ.get("TALLY", os.path.join(ROOT, "build/src/cli/tally"))

# No test takes this long; one that hangs is ended.
PATIENCE = 60


class Tally:
    """The program, as one user."""

    def __init__(self, program, prefix=()):
        self.command = [*prefix, program]

    def __call__(self, *words, **options):
        """Run it to its end. Output is text unless told otherwise."""
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("text", True)
        options.setdefault("timeout", PATIENCE)
        return subprocess.run([*self.command, *map(str, words)], capture_output=True, **options)

    def start(self, *words, **options):
        return subprocess.Popen([*self.command, *map(str, words)], **options)

    def report(self, folder, *words, status=0, options=()):
        """Run a command under it; the object of --json."""
        path = os.path.join(folder, "report.json")
        done = self("run", "--quiet", "--json", path, *options, "--", *words)
        assert done.returncode == status, done.stderr
        with open(path) as file:
            return json.load(file)


@pytest.fixture
def tally():
    return Tally(PROGRAM)


@pytest.fixture
def nobody(tmp_path_factory):
    """The program as run by a user without any privilege."""
    prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]
    if os.geteuid() != 0:
        pytest.skip("only root can become nobody")
    if not shutil.which("setpriv"):
        pytest.skip("setpriv (util-linux) is not installed")
    place = tmp_path_factory.mktemp("nobody")
    for folder in [place, *place.parents][:3]:
        os.chmod(folder, stat.S_IMODE(os.stat(folder).st_mode) | 0o055)
    program = shutil.copy(PROGRAM, place)
    os.chmod(program, 0o755)
    return Tally(program, prefix)


@pytest.fixture
def shared(tmp_path):
    """A folder in which everybody may write."""
    for folder in [tmp_path, *tmp_path.parents][:3]:
        os.chmod(folder, stat.S_IMODE(os.stat(folder).st_mode) | 0o055)
    os.chmod(tmp_path, 0o777)
    return tmp_path


@pytest.fixture
def child():
    """Start processes that are ended with the test: child(words...) gives a Popen."""
    started = []

    def start(*words, **options):
        options.setdefault("start_new_session", True)
        process = subprocess.Popen([str(word) for word in words], **options)
        started.append(process)
        return process

    yield start
    for process in started:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()


def need(tally, collector):
    """Skip where a collector cannot work."""
    checks = json.loads(tally("doctor", "--json").stdout)["checks"]
    (check,) = [check for check in checks if check["check"] == f"collector {collector}"]
    if check["status"] != "ok":
        pytest.skip(check["detail"])


@pytest.fixture
def observe(tally, tmp_path):
    """Start observers that end with the test: observe(words..., sources=[...])."""
    from observer import Observer
    started = []

    def start(*words, **options):
        folder = tmp_path / str(len(started))
        folder.mkdir()
        observer = Observer(options.pop("program", tally), folder, *words, **options)
        started.append(observer)
        return observer

    yield start
    for observer in started:
        observer.end()


def python(code):
    """Words of a command that runs Python code."""
    return [sys.executable, "-S", "-E", "-c", code]


def burn(seconds):
    """Python code that uses so much CPU time."""
    return ("import time\n"
            f"while time.process_time() < {seconds}: pass\n")


# Python code that counts the signals it gets: it exits with 100 + their number.
COUNT_SIGNALS = """
import signal, sys, time
seen = []
for name in "INT TERM HUP USR1 USR2".split():
    signal.signal(getattr(signal, "SIG" + name), lambda number, frame: seen.append(number))
print("ready", flush=True)
end = time.monotonic() + 30
while not seen and time.monotonic() < end:
    time.sleep(0.01)
time.sleep(0.3)
sys.exit(100 + len(seen) if len(set(seen)) == 1 else 99)
"""


def wait_for(condition, what):
    for _ in range(PATIENCE * 50):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError(f"waited in vain: {what}")


def alive(pid):
    """Whether a pid runs; a zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
