# SPDX-License-Identifier: Apache-2.0
"""Completion in real shells, and the manual pages, which both come from the tables of the program."""
import os
import re
import shlex
import shutil
import subprocess

import pytest

from conftest import PROGRAM, python
from observer import Observer
from test_help import commands, options
from tmux import Screen

NAMES = ["shop", "shop/web", "night batch", "cost$HOME", "日本"]


def need(program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")


@pytest.fixture
def place(tally, tmp_path):
    """A folder with the scripts, and a `tally` whose observer knows some tasks."""
    for shell in ("bash", "zsh", "fish"):
        done = tally("completion", shell)
        assert done.returncode == 0 and done.stderr == ""
        (tmp_path / shell).write_text(done.stdout)
    names = " ".join(map(shlex.quote, NAMES))
    (tmp_path / "tally").write_text(
        f'#!/bin/sh\n[ "$2" = tasks ] && exec printf "%s\\n" {names}\nexec {PROGRAM} "$@"\n')
    os.chmod(tmp_path / "tally", 0o755)
    (tmp_path / "a file").touch()
    (tmp_path / "folder").mkdir()
    return tmp_path


def in_bash(place, *words):
    """What bash's own completion function replies."""
    script = (f"source {place}/bash; compopt() {{ :; }}; COMP_WORDS=({shlex.join(words)}); "
              f"COMP_CWORD={len(words) - 1}; _tally; printf '%s\\n' \"${{COMPREPLY[@]}}\"")
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=60,
                          env={**os.environ, "PATH": f"{place}:{os.environ['PATH']}"}, cwd=place)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


def in_fish(place, line):
    done = subprocess.run(["fish", "--no-config", "-c",
                           f"source {place}/fish; complete -C {shlex.quote(line)}"],
                          capture_output=True, text=True, timeout=60, cwd=place,
                          env={**os.environ, "PATH": f"{place}:{os.environ['PATH']}",
                               "HOME": str(place), "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return [found.split("\t")[0] for found in done.stdout.splitlines()]


def test_bash_knows_commands_options_values_and_tasks(tally, place):
    need("bash")
    assert set(in_bash(place, "tally", "")) == {*commands(tally), "--help", "--version"}
    assert in_bash(place, "tally", "obs") == ["observe"]
    for command in commands(tally):
        wanted = {f"--{name}" for _, name, _ in options(tally(command, "--help").stdout)}
        assert set(in_bash(place, "tally", command, "-")) == wanted, command
    assert in_bash(place, "tally", "run", "--collector", "") == ["auto", "bpf", "procfs"]
    assert in_bash(place, "tally", "run", "-c", "b") == ["bpf"]
    assert in_bash(place, "tally", "run", "--collector", "=", "pr") == ["procfs"]
    assert "switches" in in_bash(place, "tally", "top", "--sort", "s")
    assert in_bash(place, "tally", "store", "e") == ["export"]
    assert in_bash(place, "tally", "completion", "") == ["bash", "zsh", "fish"]
    assert in_bash(place, "tally", "history", "sh") == ["shop", "shop/web"]
    assert in_bash(place, "tally", "show", "night") == ["night\\ batch"]
    assert in_bash(place, "tally", "show", "cost") == ["cost\\$HOME"]
    assert "true" in in_bash(place, "tally", "run", "tru")


def test_fish_knows_commands_options_values_and_tasks(tally, place):
    need("fish")
    assert set(in_fish(place, "tally ")) == set(commands(tally))
    for command in commands(tally):
        wanted = {f"--{name}" for _, name, _ in options(tally(command, "--help").stdout)}
        assert set(in_fish(place, f"tally {command} --")) == wanted, command
    assert in_fish(place, "tally run --collector ") == ["auto", "bpf", "procfs"]
    assert in_fish(place, "tally history sh") == ["shop", "shop/web"]
    assert "night batch" in in_fish(place, "tally show night")
    assert "a file" in [name.replace("\\", "") for name in in_fish(place, "tally run --json a")]
    assert in_fish(place, "tally run --sandbox fol") == ["folder/"]
    assert "export" in in_fish(place, "tally store ex")


@pytest.mark.parametrize("shell, setup", [
    ("bash", ["bash", "--norc", "--noprofile"]),
    ("zsh", ["zsh", "-f"]),
])
def test_the_tab_key_completes(place, shell, setup):
    """As somebody types it, in the shell itself."""
    need(shell)
    need("tmux")
    screen = Screen(place, setup, columns=120, rows=30, PATH=f"{place}:{os.environ['PATH']}",
                    PS1="ready> ", HOME=str(place))
    try:
        if shell == "zsh":
            screen.type("autoload -U compinit && compinit -u -D; PS1='ready> '", "Enter")
        screen.type(f"source {place}/{shell}; cd {place}; clear; echo so'urc'ed", "Enter")
        screen.wait("^sourced$")

        def completes(typed, wanted):
            screen.type("C-u", typed, "Tab")
            screen.wait(rf"ready> {re.escape(wanted)}", f"{typed!r} as {wanted!r}")

        completes("tally obs", "tally observe ")
        completes("tally run --sand", "tally run --sandbox")
        completes("tally run --sandbox fol", "tally run --sandbox folder/")
        completes("tally run --collector p", "tally run --collector procfs ")
        completes("tally show night", "tally show night\\ batch")
        completes("tally run --json a\\ f", "tally run --json a\\ file")
        completes("tally store exp", "tally store export ")
        completes("tally help obs", "tally help observe ")
    finally:
        screen.end()


def test_zsh_can_read_its_script(place):
    need("zsh")
    done = subprocess.run(["zsh", "-n", place / "zsh"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stderr == ""


def test_tasks_come_from_the_observer(tally, nobody, shared, child):
    folder = shared / "tally"
    folder.mkdir()
    os.chmod(folder, 0o777)
    pid = child(*python("import time; time.sleep(60)"), user=65534, group=65534).pid
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(shared)}
    assert nobody("completion", "tasks", env=environment).stdout == ""
    observer = Observer(nobody, folder, store="none", env=environment,
                        sources=[f"pid:shop/web={pid}", f"pid:ev\x1bil\nname={pid}"])
    try:
        observer.ticks(2)
        done = nobody("completion", "tasks", env=environment)
    finally:
        observer.end()
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout == "shop\nshop/web\n", "what a terminal must not see is not offered"


def test_an_unknown_shell_is_refused(tally):
    done = tally("completion", "csh")
    assert done.returncode == 2 and "for bash, zsh and fish there is" in done.stderr


# -- manual pages --------------------------------------------------------------------------------

@pytest.fixture
def pages(tally):
    build = os.environ.get("TALLY_BUILD")
    if not build or not os.path.isdir(os.path.join(build, "man")):
        pytest.skip("TALLY_BUILD does not name a build directory")
    return {command: os.path.join(build, "man", f"tally-{command}.1") for command in commands(tally)}


def test_every_command_has_a_manual_page_with_its_options(tally, pages):
    for command, path in pages.items():
        with open(path) as file:
            page = file.read()
        help_text = tally(command, "--help").stdout
        for letter, name, argument in options(help_text):
            if name not in ("help", "version"):
                shown = (f"Fl {letter} , " if letter else "") + f"Fl -{name}"
                assert re.search(rf"^\.It {re.escape(shown)}{' Ar ' if argument else '$'}", page,
                                 re.MULTILINE), f"{command}: --{name}"
        summary = re.search(r"\n\n(.*?)\.\n", help_text)[1]
        assert f".Nd {summary[0].lower()}{summary[1:]}\n" in page
        assert f".Cm {command}\n" in page.partition(".Sh SYNOPSIS")[2].partition(".Sh")[0].replace(
            "| ", "\n.Cm ") or command == "store"


def test_manual_pages_are_sound(pages):
    need("mandoc")
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages.values()],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
