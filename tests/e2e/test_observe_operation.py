# SPDX-License-Identifier: Apache-2.0
"""`tally observe` as a daemon: signals, its supervisor, its log, and others of its kind."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import wait_for
from observer import Observer, UnixConnection


@pytest.fixture
def sleeper(child):
    return f"pid:shop/web={child('sleep', 600).pid}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_to_and_leaves_nothing_behind(observe, sleeper, number, tmp_path):
    pidfile = tmp_path / "pid"
    observer = observe("--pidfile", pidfile, sources=[sleeper])
    assert int(pidfile.read_text()) == observer.process.pid
    held = observer.connect()  # An idle client does not hold it up.
    begun = time.monotonic()
    assert observer.end(number) == 0
    assert time.monotonic() - begun < 10
    held.close()
    assert not os.path.exists(observer.socket) and not pidfile.exists()
    assert f"signal {int(number)}" in observer.log


def test_it_ends_while_a_client_does_not_read(observe, sleeper):
    observer = observe(sources=[sleeper])
    observer.ticks(2)
    slow = observer.connect()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.sendall(b"GET /api/v1/tasks HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
    time.sleep(0.2)
    assert observer.end() == 0
    slow.close()


def ask_without_end(observer, stop):
    """As many clients as fit, some of which do not read what they asked for."""
    while not stop.is_set():
        try:
            connection = observer.connect()
            connection.sendall(b"GET /api/v1/tasks HTTP/1.1\r\nHost: localhost\r\n\r\n" * 20)
            if stop.wait(0.05) or connection.recv(100) == b"":
                break
            connection.close()
        except OSError:
            pass


def test_it_ends_in_the_midst_of_its_work(observe, child):
    sources = [f"pid:t{i}={child('sleep', 600).pid}" for i in range(50)]
    with socket.socket() as deaf:  # It takes what is pushed, and never answers.
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(8)
        observer = observe("--remote-write", f"http://127.0.0.1:{deaf.getsockname()[1]}/",
                           "--remote-write-interval", "100ms", sources=sources, interval="20ms")
        observer.ticks(5)
        wait_for(lambda: observer.status()["remote_write"]["queue_samples"] > 0, "a push")
        stop = threading.Event()
        clients = [threading.Thread(target=ask_without_end, args=(observer, stop)) for _ in range(50)]
        for client in clients:
            client.start()
        wait_for(lambda: observer.status(unix=True)["http"]["connections"] > 20, "its clients")
        begun = time.monotonic()
        code = observer.end()
        took = time.monotonic() - begun
        stop.set()
        for client in clients:
            client.join()
    print(f"ended in {took:.2f} s")
    # Two seconds are promised; a machine that is busy elsewhere gets time. Each of what could hold it up
    # (an answer nobody reads, a push nobody takes) has a limit of 30 s or more.
    assert code == 0 and took < 28


def test_a_second_observer_on_the_same_port_says_who_holds_it(tally, observe, sleeper, tmp_path):
    first = observe(sources=[sleeper])
    done = tally("observe", "--source", sleeper, "--listen", f"127.0.0.1:{first.port}",
                 "--socket", tmp_path / "other.sock")
    assert done.returncode == 1
    assert f"tally (pid {first.process.pid}) holds it" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_second_observer_on_the_same_socket_says_who_holds_it(tally, observe, sleeper):
    first = observe(sources=[sleeper])
    done = tally("observe", "--source", sleeper, "--listen", "127.0.0.1:0", "--socket",
                 first.socket)
    assert done.returncode == 1
    assert f"tally (pid {first.process.pid}) holds it" in done.stderr
    assert first.ask("/healthz", unix=True).status in (200, 503)


def test_a_second_observer_on_the_same_store_says_who_holds_it(tally, observe, sleeper, tmp_path):
    store = tmp_path / "history.db"
    first = observe(sources=[sleeper], store=str(store))
    done = tally("observe", "--source", sleeper, "--listen", "127.0.0.1:0", "--socket", "none",
                 "--store", store)
    assert done.returncode == 1
    assert f"is being written by tally (pid {first.process.pid})" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_second_observer_with_the_same_pid_file_is_refused(tally, observe, sleeper, tmp_path):
    first = observe("--pidfile", tmp_path / "pid", sources=[sleeper])
    done = tally("observe", "--source", sleeper, "--listen", "127.0.0.1:0", "--socket", "none",
                 "--pidfile", tmp_path / "pid")
    assert done.returncode == 1
    assert f"pid {first.process.pid}" in done.stderr
    assert int((tmp_path / "pid").read_text()) == first.process.pid


def test_a_socket_left_behind_is_replaced(tally, tmp_path, sleeper):
    killed = Observer(tally, tmp_path, sources=[sleeper])
    killed.end(signal.SIGKILL)
    assert os.path.exists(killed.socket)
    observer = Observer(tally, tmp_path, sources=[sleeper])
    assert observer.ask("/api/v1/status", unix=True).status == 200
    assert observer.end() == 0


def test_a_file_that_is_no_socket_is_not_replaced(tally, tmp_path, sleeper):
    path = tmp_path / "precious"
    path.write_text("data")
    done = tally("observe", "--source", sleeper, "--listen", "127.0.0.1:0", "--socket", path)
    assert done.returncode == 1 and "no socket" in done.stderr
    assert path.read_text() == "data"


def test_one_of_both_is_enough(tally, tmp_path, sleeper):
    observer = Observer(tally, tmp_path, "--listen", "none", sources=[sleeper], listen=None)
    assert observer.url is None and "http://" not in observer.log
    assert observer.ask("/api/v1/status", unix=True).json["running"] is True
    observer.end()


@pytest.mark.parametrize("words, why", [
    (["--source", "nonsense:1"], "nonsense"),
    (["--source", "pid:a=1", "--listen", "nonsense"], "127.0.0.1:1338"),
    (["--source", "pid:a=1", "--listen", "::1:1338"], "[::1]:1338"),
    (["--source", "pid:a=1", "--socket", "relative"], "absolute"),
    (["--source", "pid:a=1", "--max-series", "few"], "number"),
    (["--source", "pid:a=1", "--log-format", "xml"], "json"),
    (["--source", "pid:a=1", "--interval", "1ns"], "1ns"),
])
def test_wrong_usage_is_said_in_one_line(tally, words, why):
    done = tally("observe", "--listen", "127.0.0.1:0", "--socket", "none", *words)
    assert done.returncode == 2
    assert why in done.stderr.splitlines()[0]


def test_the_log_can_be_json(observe, sleeper):
    observer = observe("--log-format", "json", sources=[sleeper])
    observer.end()
    lines = [json.loads(line) for line in observer.log.splitlines()]
    assert all(set(line) == {"time", "level", "message"} for line in lines)
    assert all(abs(line["time"] - time.time()) < 60 for line in lines)
    assert {line["level"] for line in lines} <= {"info", "warning", "error"}


def test_the_log_has_priorities_for_the_journal(observe, sleeper):
    observer = observe("--log-format", "journal", sources=[sleeper])
    assert all(re.match(r"<[3-6]>", line) for line in observer.log.splitlines())


def test_what_reads_its_log_as_the_journal_gets_priorities(tally, tmp_path, sleeper):
    path = tmp_path / "log"
    with open(path, "w") as log:
        st = os.fstat(log.fileno())
        env = dict(os.environ, JOURNAL_STREAM=f"{st.st_dev}:{st.st_ino}")
        process = tally.start("observe", "--source", sleeper, "--listen", "127.0.0.1:0", "--socket",
                              "none", stderr=log, env=env)
    wait_for(lambda: "answers at" in path.read_text(), "the start")
    process.terminate()
    process.wait(timeout=60)
    assert path.read_text().startswith("<6>")


# -- its supervisor ------------------------------------------------------------------------------

class Supervisor:
    """What systemd does: a datagram socket that hears how the daemon is."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(30)

    def hear(self):
        return self.socket.recv(4096).decode()

    def hear_until(self, state):
        heard = []
        while state not in heard:
            heard.append(self.hear())
        return heard


def test_the_supervisor_hears_of_its_life(tally, tmp_path, sleeper):
    supervisor = Supervisor(tmp_path)
    env = dict(os.environ, NOTIFY_SOCKET=supervisor.path, WATCHDOG_USEC="300000")
    observer = Observer(tally, tmp_path, sources=[sleeper], env=env)
    assert supervisor.hear_until("READY=1") == ["READY=1"]
    assert supervisor.hear() == "WATCHDOG=1"
    observer.process.send_signal(signal.SIGHUP)
    assert "RELOADING=1" in supervisor.hear_until("RELOADING=1")
    supervisor.hear_until("READY=1")
    observer.end()
    supervisor.hear_until("STOPPING=1")


def test_a_watchdog_meant_for_another_is_not_fed(tally, tmp_path, sleeper):
    supervisor = Supervisor(tmp_path)
    env = dict(os.environ, NOTIFY_SOCKET=supervisor.path, WATCHDOG_USEC="100000", WATCHDOG_PID="1")
    observer = Observer(tally, tmp_path, sources=[sleeper], env=env)
    observer.ticks(5)
    observer.end()
    assert "WATCHDOG=1" not in supervisor.hear_until("STOPPING=1")


def test_sockets_are_taken_from_who_hands_them_over(tally, tmp_path, sleeper):
    activate = shutil.which("systemd-socket-activate")
    if not activate:
        pytest.skip("systemd-socket-activate (package systemd) is not installed")
    path = str(tmp_path / "handed.sock")
    with open(tmp_path / "log", "w") as log:
        process = subprocess.Popen(
            [activate, f"--listen={path}", tally.command[0], "observe", "--source", sleeper,
             "--collector", "procfs"], stderr=log)
    try:
        wait_for(lambda: os.path.exists(path), "the socket")
        connection = UnixConnection(path)
        connection.request("GET", "/api/v1/status")
        status = json.loads(connection.getresponse().read())
        assert status["running"] is True
        connection.close()
        # It may answer before it says so.
        wait_for(lambda: f"answers at {path}\n" in (tmp_path / "log").read_text(), "its word")
    finally:
        process.terminate()
        process.wait(timeout=60)
    assert os.path.exists(path)  # It is not ours to remove.
