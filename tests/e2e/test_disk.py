# SPDX-License-Identifier: Apache-2.0
"""Where the disk of a task goes: what it holds without a name, and its heaviest directories."""
import json
import os
import shutil
import subprocess

import pytest

from conftest import PATIENCE, need, python, wait_for

pytest.importorskip("thrift", reason="python3-thrift is not installed")
if not shutil.which("thrift"):
    pytest.skip("thrift-compiler is not installed", allow_module_level=True)

from thermos_streams import Records, Root, FORKED, RUNNING  # noqa: E402

GIB = 1 << 30

# Makes a file of 1 GiB; loses its name, then the file itself, each at a word.
HOLDER = """
import os, sys
path = sys.argv[1]
fd = os.open(path, os.O_RDWR | os.O_CREAT)
try:
    os.posix_fallocate(fd, 0, 1 << 30)
except OSError:
    os.ftruncate(fd, 1 << 30)
    os.pwrite(fd, b"x" * 65536, 0)
print("made", flush=True)
sys.stdin.readline()
os.unlink(path)
print(fd, os.fstat(fd).st_blocks * 512, flush=True)
sys.stdin.readline()
os.close(fd)
sys.stdin.read()
"""


class Task:
    """A Thermos task with one process and a sandbox."""

    def __init__(self, folder, child, words):
        self.sandbox = folder / "sandbox"
        self.sandbox.mkdir()
        self.process = child(*words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL, text=True)  # pytest's has no name.
        with open(f"/proc/{self.process.pid}/stat") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        with open("/proc/stat") as file:
            (boot,) = [int(line.split()[1]) for line in file if line.startswith("btime")]
        records = Records()
        root = Root(folder / "thermos")
        root.write("task", records.header("task", sandbox=str(self.sandbox)) + records.run(
            "web", 0, FORKED, RUNNING, pid=self.process.pid,
            start=boot + ticks / os.sysconf("SC_CLK_TCK")))
        self.source = f"thermos:{root.path}"

    def tell(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def hear(self):
        return self.process.stdout.readline()


def watching(observe, task, **options):
    observer = observe("--disk-interval", "200ms", sources=[task.source], **options)
    wait_for(lambda: observer.tasks().get("task", {}).get("disk_deleted_bytes") is not None,
             "the first figure")
    return observer


@pytest.mark.parametrize("collector", ["procfs", "bpf"])
def test_a_file_held_open_without_a_name_is_counted_and_named(
        tmp_path, child, observe, tally, collector):
    need(tally, collector)
    place = tmp_path / "sandbox" / "big"
    task = Task(tmp_path, child, [*python(HOLDER), place])
    assert task.hear() == "made\n"
    observer = watching(observe, task, collector=collector)
    figures = lambda: observer.tasks()["task"]
    assert figures()["disk_deleted_bytes"] == 0
    wait_for(lambda: figures()["disk_bytes"] > 65536, "the file to be seen")

    task.tell()
    fd, held = map(int, task.hear().split())
    wait_for(lambda: figures()["disk_deleted_bytes"] == held, "the file to be missed")
    wait_for(lambda: figures()["disk_bytes"] < 65536, "its name to be gone")
    answer = observer.ask("/api/v1/tasks/task/deleted", unix=True)
    assert len(answer.json["files"]) == 1, answer.text
    (file,) = answer.json["files"]

    assert file == {"process": "web", "pid": task.process.pid, "fd": fd, "bytes": held,
                    "size": GIB, "inode": file["inode"], "name": str(place)}

    told = tally("show", "--deleted", "--socket", observer.socket, "--json", "task")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["files"] == [file]
    assert json.loads(told.stdout)["disk_deleted_bytes"] == held
    table = tally("show", "--deleted", "--socket", observer.socket, "task").stdout
    assert str(place) in table and str(task.process.pid) in table and "web" in table
    # Without an observer, by a look of its own.
    own = tally("show", "--deleted", "--source", task.source, "--collector", collector,
                "--json", "task")
    assert own.returncode == 0, own.stderr
    assert json.loads(own.stdout)["files"] == [file]

    task.tell()
    wait_for(lambda: figures()["disk_deleted_bytes"] == 0, "the file to be let go")
    assert observer.ask("/api/v1/tasks/task/deleted", unix=True).json["files"] == []


def du(folder, depth):
    text = subprocess.run(["du", "-xB1", "-d", str(depth), "."], cwd=folder, check=True,
                          capture_output=True, text=True, errors="surrogateescape").stdout
    return {path.removeprefix("./"): int(size)
            for size, path in (line.split("\t") for line in text.splitlines())}


def make_tree(folder):
    for name, size in ("light", 1000), ("heavy/one", 900_000), ("heavy/two/deep", 300_000):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_bytes(b"x" * size)
    os.link(folder / "heavy/one/file", folder / "heavy/one/again")
    (folder / "heavy" / os.fsdecode(b"\xff")).mkdir()
    os.sync()


def check_tree(answer, folder, depth):
    dirs = answer["directories"]
    assert {one["path"]: one["bytes"] for one in dirs if "\ufffd" not in one["path"]} == {
        path: size for path, size in du(folder, depth).items() if "\udcff" not in path}
    assert dirs[0]["path"] == "." and dirs[0]["bytes"] == answer["disk_bytes"]
    assert dirs[0]["files"] == answer["disk_files"]
    assert [one["bytes"] for one in dirs] == sorted((one["bytes"] for one in dirs), reverse=True)
    assert answer["partial"] == 0


def test_the_heaviest_directories_are_known_without_reading(tmp_path, child, observe, tally):
    task = Task(tmp_path, child, ["sleep", "60"])
    observer = watching(observe, task)
    make_tree(task.sandbox)
    total = lambda: du(task.sandbox, 0)["."]
    wait_for(lambda: observer.tasks()["task"]["disk_bytes"] == total(), "the tree to be seen")
    for depth in 0, 1, 3:
        done = tally("disk", "--socket", observer.socket, "--depth", depth, "--json", "task")
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["task"] == "task" and answer["sandbox"] == str(task.sandbox)
        assert answer["disk_method"] == observer.tasks()["task"]["disk_method"]
        assert 0 <= answer["disk_age_seconds"] < PATIENCE
        check_tree(answer, task.sandbox, depth)
    table = tally("disk", "--socket", observer.socket, "task").stdout
    assert "heavy/two" in table and "heavy/two/deep" not in table
    assert str(task.sandbox) in table


def test_show_tells_the_usage_and_how_it_is_known(tmp_path, child, observe, tally):
    task = Task(tmp_path, child, ["sleep", "60"])
    observer = watching(observe, task)
    (task.sandbox / "file").write_bytes(b"x" * 3_000_000)
    wait_for(lambda: observer.tasks()["task"]["disk_bytes"] > 3_000_000, "the file to be seen")
    title, total, process, *_ = tally("show", "--socket", observer.socket).stdout.splitlines()
    method = observer.tasks()["task"]["disk_method"]
    assert title.endswith("  DISK")
    assert total.endswith(f"2.87 MiB ({method})") and "MiB (" not in process
    # So does the past. No process alone has a figure: then there is no such column.
    past = tally("show", "--socket", observer.socket, "--at", "now").stdout.splitlines()
    assert past[0].endswith("  DISK") and "  2.87 MiB" in past[1]
    alone = tally("show", "--socket", observer.socket, "task/web").stdout.splitlines()
    assert alone[0].endswith("FDS")


def test_a_sandbox_is_walked_without_an_observer(tmp_path, child, tally):
    task = Task(tmp_path, child, ["sleep", "60"])
    make_tree(task.sandbox)
    for words in ["--source", task.source, "task"], ["--sandbox", task.sandbox]:
        done = tally("disk", "--depth", 3, "--json", *words)
        assert done.returncode == 0, done.stderr
        answer = json.loads(done.stdout)
        assert answer["disk_method"] == "walk" and answer["sandbox"] == str(task.sandbox)
        check_tree(answer, task.sandbox, 3)


def test_names_of_files_are_not_for_everybody(tmp_path, child, observe):
    if os.geteuid() != 0 or not shutil.which("setpriv") or not shutil.which("curl"):
        pytest.skip("only root can become nobody, by setpriv, and ask, by curl")
    task = Task(tmp_path, child, ["sleep", "60"])
    observer = watching(observe, task)
    for what in "disk", "deleted":
        address = f"/api/v1/tasks/task/{what}"
        wait_for(lambda: observer.ask(address, unix=True).status == 200, "an answer for root")
        asked = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "curl", "--silent",
             "--output", "/dev/null", "--write-out", "%{http_code}",
             f"http://127.0.0.1:{observer.port}{address}"], capture_output=True, text=True)
        assert asked.stdout == "403", asked.stderr


def test_what_cannot_be_told_is_refused_in_one_line(tmp_path, child, observe, tally):
    task = Task(tmp_path, child, ["sleep", "60"])
    observer = watching(observe, task)
    at = ["--socket", observer.socket]
    for words, status, hint in [
            (["disk", *at, "other"], 1, "there is no task 'other'"),
            (["show", "--deleted", *at, "other"], 1, "there is no task 'other'"),
            (["disk", "--socket", "/nonexistent", "task"], 1, "tally observe"),
            (["disk"], 2, "name a task"),
            (["disk", "--depth", "x", "task"], 2, "0 to 64"),
            (["disk", "--sandbox", tmp_path / "none"], 1, "No such file"),
            (["disk", "--sandbox", "/"], 1, "root of the file system"),
            (["disk", "--source", task.source, "other"], 1, "there is no task 'other'"),
            (["show", "--deleted"], 2, "name the task"),
            (["show", "--deleted", "--pids", "task"], 2, "not both")]:
        done = tally(*words)
        assert done.returncode == status, (words, done.stderr)
        assert hint in done.stderr and done.stdout == "", words
        if status == 1:
            assert done.stderr.count("\n") == 1
    assert observer.ask("/api/v1/tasks/task/disk?depth=65", unix=True).status == 400
    assert observer.ask("/api/v1/tasks/task/disk?depht=1", unix=True).status == 400
    assert observer.ask("/api/v1/tasks/other/disk", unix=True).status == 404
