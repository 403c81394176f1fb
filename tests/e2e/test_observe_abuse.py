# SPDX-License-Identifier: Apache-2.0
"""Clients that mean harm, or are merely odd: limits hold, ticks go on, memory stays bounded."""
import random
import re
import resource
import socket
import subprocess
import threading
import time

import pytest

from conftest import PATIENCE, PROGRAM, Tally, wait_for
from observer import Observer, receive_all

HOST = b"Host: localhost\r\n"


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """One observer for all of these: what one client does must not hurt the next."""
    sleepers = [subprocess.Popen(["sleep", "600"]) for _ in range(8)]
    observer = Observer(Tally(PROGRAM), tmp_path_factory.mktemp("abuse"), sources=[
        f"pid:shop/p{i}={sleeper.pid}" for i, sleeper in enumerate(sleepers)])
    observer.ticks(2)
    yield observer
    assert observer.end() == 0
    for sleeper in sleepers:
        sleeper.kill()
        sleeper.wait()


def codes(data):
    return [int(code) for code in re.findall(rb"^HTTP/1\.1 (\d{3})", data, re.MULTILINE)]


def assert_well(observer):
    assert observer.process.poll() is None, observer.log
    assert observer.ask("/api/v1/tasks").status == 200
    observer.ticks(2)
    wait_for(lambda: observer.status()["stale"] is False, "a tick in time")


# -- requests ------------------------------------------------------------------------------------

@pytest.mark.parametrize("line, expected", [
    (b"GET /" + b"a" * 3000, {404}),
    (b"GET /" + b"a" * 5000, {414}),
    (b"GET /" + b"a" * 1_000_000, {414}),
    (b"GET /api/v1/tasks/..%2f..%2fetc%2fpasswd", {404}),
    (b"GET /..%2f..%2fetc%2fpasswd", {404}),
    (b"GET /../../etc/passwd", {404}),
    (b"GET /api/v1/tasks/%2e%2e/history", {404}),
    (b"GET //api/v1/tasks", {404}),
    (b"GET /%00", {400}),
    (b"GET /api/v1/tasks/a%00b", {400}),
    (b"GET /%", {400}),
    (b"GET /%f", {400}),
    (b"GET /\xff\xfe", {400}),
    (b"GET /\xc3\xa4", {400}),
    (b"GET /%ff%fe", {404}),
    (b"GET /api/v1/tasks/%ff%fe", {404}),
    (b"GET http://localhost/api/v1/tasks", {400}),
    (b"GET api/v1/tasks", {400}),
    (b"GET *", {400}),
    (b"OPTIONS *", {405}),
    (b"get /", {405}),
    (b"G\x00T /", {400, 405}),
    (b"TRACE /", {405}),
    (b"CONNECT localhost:1338", {405}),
], ids=lambda value: repr(value)[:40] if isinstance(value, bytes) else "")
def test_odd_request_lines_are_refused(shop, line, expected):
    answer = shop.raw(line + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    assert set(codes(answer)) <= expected
    assert codes(answer) or expected & {414, 400}  # A reset may eat the answer to a flood.
    assert b"root:" not in answer
    assert_well(shop)


@pytest.mark.parametrize("data", [
    b"", b"\r\n\r\n", b"\x00" * 1000, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET", b"GET /",
    b"GET / HTTP/1.1", b"GET / HTTP/9.9\r\n" + HOST + b"\r\n", b"GET / HTTP/1.1\r\n\r\n",
    b"GET /\r\n\r\n", b"GET / HTTP/1.1\r\nHost\r\n\r\n", b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
], ids=range(13))
def test_what_is_no_request_gets_no_data(shop, data):
    answer = shop.raw(data)
    assert b"shop" not in answer
    assert_well(shop)


def test_http_1_0_without_a_host_is_answered(shop):
    assert codes(shop.raw(b"GET /api/v1/tasks HTTP/1.0\r\n\r\n")) == [200]
    assert codes(shop.raw(b"GET /api/v1/tasks HTTP/1.1\r\n\r\n")) in ([400], [])


@pytest.mark.parametrize("headers, body", [
    (b"Content-Length: 44\r\n", b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    (b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    (b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
     b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    (b"Content-Length: 0\r\nContent-Length: 44\r\n",
     b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    (b"Content-Length: +0\r\n", b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    (b"Transfer-Encoding: xchunked\r\n", b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    (b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    (b"Host: evil.example\r\n", b""),
    (b"Content-Length: 99999999999999999999\r\n", b"x"),
], ids=range(9))
def test_requests_that_could_hide_another_close_the_connection(shop, headers, body):
    answer = shop.raw(b"GET /api/v1/status HTTP/1.1\r\n" + HOST + headers + b"\r\n" + body)
    assert set(codes(answer)) <= {400, 413}, answer[:200]
    assert b"smuggled" not in answer
    assert_well(shop)


def test_requests_one_after_another_are_answered_in_order(shop):
    one = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    other = b"GET /nonsense HTTP/1.1\r\n" + HOST + b"\r\n"
    last = b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    found = codes(shop.raw(one + other + one + last))
    assert len(found) == 4 and found[1] == 404 and set(found) <= {200, 404, 503}


def test_headers_of_a_megabyte_are_cut_off(shop):
    before = shop.figure("VmRSS")
    for data in [b"X: " + b"a" * 1_000_000 + b"\r\n", b"X: a\r\n" * 100_000,
                 b"Cookie: " + b"a=b; " * 100_000 + b"\r\n"]:
        answer = shop.raw(b"GET /api/v1/tasks HTTP/1.1\r\n" + HOST + data + b"\r\n")
        assert set(codes(answer)) <= {400, 413, 431}
    assert shop.figure("VmRSS") < before + 4096
    assert_well(shop)


def test_random_bytes_do_no_harm(shop):
    random.seed(7)
    words = [b"GET ", b"/", b"api/v1/tasks", b"?at=", b"%", b"%2f", b" HTTP/1.1", b"\r\n", b"Host: ",
             b"localhost", b":", b"\x00", b"\xff", b"metrics", b"/history", b"since=", b"&", b"-5m",
             b"Accept-Encoding: ", b"gzip", b";q=", b"Range: bytes=0-", b"If-None-Match: ", b'W/"']
    for _ in range(300):
        shop.raw(b"".join(random.choice(words) for _ in range(random.randrange(1, 40))) +
                 b"\r\n\r\n")
    assert_well(shop)


# -- connections ---------------------------------------------------------------------------------

def still_open(connections):
    """Those that are not at their end; what they were sent is read, a little."""
    left = []
    for connection in connections:
        try:
            if connection.recv(100, socket.MSG_DONTWAIT):
                left.append(connection)
        except BlockingIOError:
            left.append(connection)
        except ConnectionResetError:
            pass
    return left


def send_a_byte(connections):
    for connection in connections:
        try:
            connection.send(b"G", socket.MSG_DONTWAIT)
        except OSError:
            pass


def test_slow_clients_are_cut_off(shop):
    """Time counts from the beginning of a request, not from the last byte; and so for an answer."""
    before = shop.status()["http"]["timed_out"]
    deaf = []
    for _ in range(5):
        connection = shop.connect()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        connection.send((b"GET /api/v1/tasks HTTP/1.1\r\n" + HOST + b"\r\n") * 5000)
        deaf.append(connection)
    slow = [shop.connect() for _ in range(20)]
    begun = time.monotonic()
    while (slow := still_open(slow)) and time.monotonic() - begun < PATIENCE:
        send_a_byte(slow)
        time.sleep(0.5)
    assert not slow, f"{len(slow)} may still send"
    wait_for(lambda: shop.status()["http"]["timed_out"] >= before + 25, "the deaf are cut off")
    for connection in deaf:
        connection.close()
    assert_well(shop)


def many_descriptors(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 200:
        pytest.skip(f"this user may have {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 200), hard))


def test_ten_thousand_idle_connections_keep_nobody_out(observe, child):
    many_descriptors(10_000)
    shop = observe(sources=[f"pid:shop={child('sleep', 600).pid}"], interval="1s")
    shop.ticks(1)
    skipped = shop.status()["ticks_skipped"]
    before, fds = shop.figure("VmRSS"), shop.fds()
    idle = []
    for number in range(10_000):
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(("127.0.0.1", shop.port))
        idle.append(connection)
        if number % 1000 == 999:
            assert shop.ask("/api/v1/status").status == 200
    assert shop.ask("/api/v1/tasks").status == 200
    status = shop.status()
    assert status["http"]["connections"] <= 2 * status["http"]["connections_limit"]
    assert status["http"]["evicted"] > 5000
    assert shop.fds() < fds + 600
    assert shop.figure("VmRSS") < before + 32 * 1024
    assert status["ticks_skipped"] == skipped
    for connection in idle:
        connection.close()
    wait_for(lambda: shop.fds() <= fds + 5, "descriptors are given back")
    assert_well(shop)


def test_half_closed_connections_are_answered_and_closed(shop):
    fds = shop.fds()
    halves = [shop.connect() for _ in range(50)]
    for connection in halves:
        connection.sendall(b"GET /api/v1/status HTTP/1.1\r\n" + HOST + b"\r\n")
        connection.shutdown(socket.SHUT_WR)
    for connection in halves:
        assert codes(receive_all(connection)) == [200]
        connection.close()
    for _ in range(50):
        connection = shop.connect()
        connection.sendall(b"GET /api/v1/status HTTP/1.1\r\n" + HOST)
        connection.shutdown(socket.SHUT_WR)
        connection.close()
    wait_for(lambda: shop.fds() <= fds + 2, "descriptors are given back")
    assert_well(shop)


def test_clients_that_reset_do_no_harm(shop):
    import struct
    fds = shop.fds()
    for target in [b"/api/v1/tasks", b"/metrics", b"/api/v1/tasks/shop/history"] * 30:
        connection = shop.connect()
        connection.sendall(b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"\r\n")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    wait_for(lambda: shop.fds() <= fds + 2, "descriptors are given back")
    assert_well(shop)


def test_the_same_over_the_unix_socket(shop):
    fds = shop.fds()
    held = [shop.connect(unix=True) for _ in range(300)]
    assert shop.ask("/api/v1/tasks", unix=True).status == 200
    assert shop.status()["http"]["connections"] <= 2 * 256
    for connection in held:
        connection.close()
    wait_for(lambda: shop.fds() <= fds + 5, "descriptors are given back")


def test_many_clients_at_once_disturb_no_tick(observe, child):
    pids = [child("sleep", 600).pid for _ in range(20)]
    observer = observe(sources=[f"pid:t{i}/web={pid}" for i, pid in enumerate(pids)],
                       interval="500ms")
    observer.ticks(2)
    before, memory, fds = observer.status(), observer.figure("VmRSS"), observer.fds()
    stop, failures = threading.Event(), []

    def hammer(target):
        import http.client
        connection = http.client.HTTPConnection("127.0.0.1", observer.port, timeout=60)
        while not stop.is_set():
            try:
                connection.request("GET", target)
                if connection.getresponse().read() == b"":
                    failures.append(target)
            except (OSError, http.client.HTTPException) as error:
                failures.append(error)
                connection.close()
        connection.close()

    threads = [threading.Thread(target=hammer, args=(target,)) for target in
               ["/api/v1/tasks", "/metrics", "/api/v1/tasks/t3/history", "/api/v1/tasks?at=-1s"] * 12]
    for thread in threads:
        thread.start()
    time.sleep(6)
    stop.set()
    for thread in threads:
        thread.join()
    after = observer.status()
    assert not failures
    assert after["ticks_skipped"] == before["ticks_skipped"]
    assert after["ticks"] - before["ticks"] >= 10
    assert after["http"]["requests"] - before["http"]["requests"] > 500
    wait_for(lambda: observer.fds() <= fds + 5, "descriptors are given back")
    assert observer.figure("VmRSS") < memory + 32 * 1024
