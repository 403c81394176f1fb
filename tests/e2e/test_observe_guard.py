# SPDX-License-Identifier: Apache-2.0
"""Who may ask the observer, and what they are told."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import warnings

import pytest

from conftest import wait_for
from observer import Observer

TOKEN = "a-token-of-sixteen-letters"


@pytest.fixture
def sleeper(child):
    return f"pid:shop/web={child('sleep', 600).pid}"


@pytest.fixture
def token_file(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"# who may ask\n{TOKEN}\nann:another secret of hers\n")
    path.chmod(0o600)
    return path


def make_certificate(folder, name="localhost"):
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                    "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"],
                   check=True, capture_output=True)
    return cert, key


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


# -- the door ------------------------------------------------------------------------------------

def test_a_foreign_host_gets_no_answer(observe, sleeper):
    observer = observe(sources=[sleeper])
    for host in ["evil.example", "localhost.evil.example", "evil.example:1338", "10.0.0.1", ""]:
        for target in ["/", "/api/v1/tasks", "/metrics", "/j/task_ids"]:
            answer = observer.ask(target, headers={"Host": host})
            assert answer.status == 403, host
            assert b"shop" not in answer.body
    for host in ["localhost", "127.0.0.1:99", "[::1]:1338", "LOCALHOST"]:
        assert observer.ask("/api/v1/tasks", headers={"Host": host}).status == 200


def test_another_name_of_ours_can_be_told(observe, sleeper):
    observer = observe("--host", "tally.example", sources=[sleeper])
    assert observer.ask("/", headers={"Host": "tally.example:1338"}).status == 200
    assert observer.ask("/", headers={"Host": "evil.example"}).status == 403


def test_no_other_site_may_read(observe, sleeper):
    observer = observe(sources=[sleeper])
    answer = observer.ask("/api/v1/tasks", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"


def test_without_the_token_nothing_is_told(observe, sleeper, token_file):
    observer = observe("--token-file", token_file, sources=[sleeper])
    for target in ["/", "/api/v1/tasks", "/api/v1/status", "/metrics", "/healthz", "/nonsense",
                   "/j/task_id_count"]:
        for headers in [{}, bearer("wrong"), bearer(TOKEN[:-1]), bearer(TOKEN + "x"), bearer(""),
                        {"Authorization": TOKEN}]:
            answer = observer.ask(target, headers=headers)
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Basic")
            assert b"shop" not in answer.body
    assert observer.ask("/api/v1/tasks", headers=bearer(TOKEN)).status == 200
    status = observer.ask("/api/v1/status", headers=bearer(TOKEN)).json
    assert status["http"]["denied"] == 7 * 6


def test_browsers_and_others_can_give_the_secret_their_way(observe, sleeper, token_file):
    import base64
    observer = observe("--token-file", token_file, sources=[sleeper])
    for user, password, status in [("any", TOKEN, 200), ("ann", "another secret of hers", 200),
                                   ("bob", "another secret of hers", 401), ("ann", "x", 401)]:
        word = base64.b64encode(f"{user}:{password}".encode()).decode()
        assert observer.ask("/", headers={"Authorization": f"Basic {word}"}).status == status


def test_the_unix_socket_asks_for_no_token(observe, sleeper, token_file):
    observer = observe("--token-file", token_file, sources=[sleeper])
    assert observer.ask("/api/v1/tasks", unix=True).status == 200


@pytest.mark.parametrize("mode, text, why", [
    (0o644, TOKEN, "chmod 600"), (0o600, "short", "characters"), (0o600, "\n", "no secret")])
def test_a_file_that_keeps_no_secret_is_refused(tally, tmp_path, sleeper, mode, text, why):
    path = tmp_path / "token"
    path.write_text(text)
    path.chmod(mode)
    done = tally("observe", "--source", sleeper, "--listen", "127.0.0.1:0", "--socket", "none",
                 "--token-file", path)
    assert done.returncode != 0
    assert why in done.stderr and str(path) in done.stderr


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:1338"])
def test_other_machines_are_not_let_in_by_accident(tally, sleeper, token_file, address):
    for words in [[], ["--token-file", token_file]]:
        done = tally("observe", "--source", sleeper, "--listen", address, *words)
        assert done.returncode == 2
        assert "--insecure" in done.stderr


def test_insecure_is_said_by_saying_so(tally, tmp_path, sleeper):
    observer = Observer(tally, tmp_path, "--insecure", sources=[sleeper], listen="0.0.0.0:0")
    try:
        assert observer.ask("/healthz", headers={"Host": "any.example"}).status in (200, 503)
    finally:
        observer.end()


# -- TLS -----------------------------------------------------------------------------------------

def ask_tls(port, cert, target="/api/v1/tasks", headers=None):
    context = ssl.create_default_context(cafile=cert)
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=30)
    try:
        connection.request("GET", target, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read(), connection.sock.version()
    finally:
        connection.close()


def test_tls_and_a_token_open_to_other_machines(tally, tmp_path, sleeper, token_file):
    cert, key = make_certificate(tmp_path)
    observer = Observer(tally, tmp_path, "--tls-cert", cert, "--tls-key", key, "--token-file",
                        token_file, sources=[sleeper], listen="0.0.0.0:0")
    try:
        assert observer.scheme == "https"
        status, body, version = ask_tls(observer.port, cert, headers=bearer(TOKEN))
        assert status == 200 and b"shop" in body and version in ("TLSv1.2", "TLSv1.3")
        assert ask_tls(observer.port, cert)[0] == 401
        assert b"HTTP/1.1 200" not in observer.raw(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(ssl.SSLError), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
            old.set_ciphers("ALL:@SECLEVEL=0")
            with socket.create_connection(("127.0.0.1", observer.port)) as plain:
                old.wrap_socket(plain)
    finally:
        observer.end()


def test_certificates_and_secrets_are_read_again_on_sighup(tally, tmp_path, sleeper, token_file):
    cert, key = make_certificate(tmp_path)
    observer = Observer(tally, tmp_path, "--tls-cert", cert, "--tls-key", key, "--token-file",
                        token_file, sources=[sleeper])
    try:
        context = ssl.create_default_context(cafile=cert)
        held = http.client.HTTPSConnection("localhost", observer.port, context=context, timeout=30)
        held.request("GET", "/api/v1/tasks", headers=bearer(TOKEN))
        assert held.getresponse().read()

        make_certificate(tmp_path)
        token_file.write_text("quite-another-token\n")
        observer.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "read again" in observer.log, "the reload")
        assert ask_tls(observer.port, cert, headers=bearer("quite-another-token"))[0] == 200
        assert ask_tls(observer.port, cert, headers=bearer(TOKEN))[0] == 401
        held.request("GET", "/api/v1/tasks", headers=bearer("quite-another-token"))
        assert held.getresponse().status == 200  # On the connection, and certificate, of before.

        key.write_text("no key\n")
        observer.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "cannot reload" in observer.log, "the refusal")
        assert ask_tls(observer.port, cert, headers=bearer("quite-another-token"))[0] == 200
    finally:
        observer.end()


def test_a_certificate_that_is_none_is_refused(tally, tmp_path, sleeper):
    cert, key = make_certificate(tmp_path)
    cert.write_text("no certificate\n")
    done = tally("observe", "--source", sleeper, "--listen", "127.0.0.1:0", "--socket", "none",
                 "--tls-cert", cert, "--tls-key", key)
    assert done.returncode != 0 and str(cert) in done.stderr
    assert tally("observe", "--source", sleeper, "--tls-cert", cert).returncode == 2


# -- other users of this machine -----------------------------------------------------------------

ASK = """
import http.client, sys
connection = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=30)
connection.request("GET", sys.argv[2])
sys.stdout.write(connection.getresponse().read().decode())
"""

GUARDED = {"io_read_bytes", "io_write_bytes", "fds", "pss_bytes", "disk_bytes", "disk_files",
           "disk_deleted_bytes", "disk_age_seconds"}


def ask_as(uid, port, target):
    if os.geteuid() != 0:
        pytest.skip("only root can become others")
    return subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
                           sys.executable, "-S", "-E", "-c", ASK, str(port), target],
                          capture_output=True, text=True, check=True, timeout=60).stdout


def test_other_users_see_what_proc_shows_them_and_no_more(observe, sleeper):
    observer = observe("--pss", sources=[sleeper])
    observer.ticks(2)
    ours = observer.tasks()["shop"]
    assert ours["io_read_bytes"] is not None and ours["fds"] > 0
    for target in ["/api/v1/tasks", "/api/v1/tasks/shop", "/api/v1/tasks?at=now"]:
        (theirs,) = json.loads(ask_as(65534, observer.port, target))["tasks"]
        for part in [theirs, *theirs["processes"]]:
            for key in GUARDED & set(part):
                assert part[key] is None, key
            assert "--share" in part["missing"]["io_read_bytes"]
            assert part["rss_bytes"] > 0 and part["cpu_seconds"] is not None


def test_other_users_do_not_get_it_from_history_or_metrics(observe, sleeper):
    observer = observe("--pss", sources=[sleeper])
    observer.ticks(3)
    for target in ["/api/v1/tasks/shop/history", "/api/v1/tasks/shop/history?rate=1",
                   "/api/v1/tasks/shop/history?metrics=io_read_bytes,fds,rss_bytes&process=web"]:
        series = json.loads(ask_as(65534, observer.port, target))["series"]
        for key in GUARDED & set(series):
            assert set(series[key]) == {None}
        assert any(series["rss_bytes"])
    text = ask_as(65534, observer.port, "/metrics")
    assert "tally_memory_bytes{" in text and 'type="pss"' not in text
    assert "tally_io_bytes_total{" not in text and "tally_fds{" not in text
    assert "tally_io_bytes_total{" in observer.ask("/metrics").text


@pytest.mark.parametrize("share", ["nobody", "all"])
def test_figures_can_be_shared_with_others(observe, sleeper, share):
    observer = observe("--share", share, sources=[sleeper])
    observer.ticks(2)
    (task,) = json.loads(ask_as(65534, observer.port, "/api/v1/tasks"))["tasks"]
    assert task["io_read_bytes"] is not None


def test_an_unknown_user_cannot_be_shared_with(tally, sleeper):
    done = tally("observe", "--source", sleeper, "--share", "no-such-user")
    assert done.returncode == 2 and "no-such-user" in done.stderr


def test_the_unix_socket_is_closed_to_others(observe, sleeper):
    observer = observe(sources=[sleeper])
    assert os.stat(observer.socket).st_mode & 0o777 == 0o660


# -- the rights it keeps -------------------------------------------------------------------------

def rights(observer):
    """Of each of its threads: user, effective capabilities, mode of the filter."""
    found = set()
    for thread in os.listdir(f"/proc/{observer.process.pid}/task"):
        with open(f"/proc/{observer.process.pid}/task/{thread}/status") as file:
            text = file.read()
        found.add((int(re.search(r"Uid:\s+(\d+)", text)[1]),
                   int(re.search(r"CapEff:\s+(\w+)", text)[1], 16),
                   re.search(r"Seccomp:\s+(\d)", text)[1],
                   re.search(r"NoNewPrivs:\s+(\d)", text)[1]))
    return found


# CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_PERFMON, CAP_BPF
KEPT = 1 << 2 | 1 << 19 | 1 << 38 | 1 << 39


@pytest.mark.parametrize("collector", ["procfs", "auto"])
def test_every_thread_gives_up_its_rights(observe, sleeper, collector):
    if os.geteuid() != 0:
        pytest.skip("only root has rights to give up")
    observer = observe("--user", "nobody", sources=[sleeper], collector=collector)
    observer.ticks(2)
    for uid, capabilities, filtered, no_new in rights(observer):
        assert uid == 65534 and capabilities & ~KEPT == 0
        assert (filtered, no_new) == ("2", "1")
    assert observer.tasks()["shop"]["io_read_bytes"] is not None
    assert observer.tasks()["shop"]["pids"] == 1


def test_what_needs_no_rights_works_without_them(nobody, shared, tmp_path):
    process = subprocess.Popen([*nobody.command[:-1], "sleep", "600"])
    try:
        observer = Observer(nobody, shared, sources=[f"pid:shop/web={process.pid}"])
        try:
            observer.ticks(2)
            assert observer.tasks()["shop"]["rss_bytes"] > 0
            assert all(capabilities == 0 for _, capabilities, _, _ in rights(observer))
        finally:
            assert observer.end() == 0
    finally:
        process.kill()
        process.wait()


def test_the_filter_can_be_left_out(observe, sleeper):
    observer = observe("--no-seccomp", sources=[sleeper])
    assert {filtered for _, _, filtered, _ in rights(observer)} <= {"0", "2"}
    outer = re.search(r"Seccomp:\s+(\d)", open("/proc/self/status").read())[1]
    assert {filtered for _, _, filtered, _ in rights(observer)} == {outer}
