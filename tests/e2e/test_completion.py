# SPDX-License-Identifier: Apache-2.0
"""Completion in real shells, and the manual pages, which both come from the tables of the program."""
import os
import re
import shlex
import shutil
import subprocess

import pytest

from conftest import PATIENCE, PROGRAM, python
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


def asked(words, place):
    """Run a shell once, with our scripts and our `tally` before all others."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, cwd=place, env={
        **os.environ, "PATH": f"{place}:{os.environ['PATH']}", "HOME": str(place),
        "LC_ALL": "C.UTF-8"})
    assert done.returncode == 0 and done.stderr == "", done.stderr
    return [answer.splitlines() for answer in done.stdout.split("--next--\n")[:-1]]


def in_bash(place, *lines):
    """What bash's own completion function replies to each of some lists of words."""
    script = f"source {place}/bash; compopt() {{ :; }}\n" + "".join(
        f"COMP_WORDS=({shlex.join(words)}); COMP_CWORD={len(words) - 1}; _tally\n"
        "((${#COMPREPLY[@]})) && printf '%s\\n' \"${COMPREPLY[@]}\"; echo --next--\n"
        for words in lines)
    return asked(["bash", "--norc", "-c", script], place)


def in_fish(place, *lines):
    """What fish offers behind each of some lines, without the descriptions."""
    script = f"source {place}/fish\n" + "".join(
        f"complete -C {shlex.quote(line)}; echo --next--\n" for line in lines)
    return [[found.split("\t")[0] for found in answer]
            for answer in asked(["fish", "--no-config", "-c", script], place)]


def long_options(tally):
    return {command: {f"--{name}" for _, name, _ in options(tally(command, "--help").stdout)}
            for command in commands(tally)}


def test_bash_knows_commands_options_values_and_tasks(tally, place):
    need("bash")
    known = long_options(tally)
    for command, found in zip(known, in_bash(place, *(("tally", c, "-") for c in known))):
        assert set(found) == known[command], command
    wanted = {
        ("tally", ""): [*known, "--help", "--version"],
        ("tally", "obs"): ["observe"],
        ("tally", "run", "--collector", ""): ["auto", "bpf", "procfs"],
        ("tally", "run", "-c", "b"): ["bpf"],
        ("tally", "run", "--collector", "=", "pr"): ["procfs"],
        ("tally", "top", "--sort", "sw"): ["swap", "switches"],
        ("tally", "store", "e"): ["export"],
        ("tally", "completion", ""): ["bash", "zsh", "fish"],
        ("tally", "history", "sh"): ["shop", "shop/web"],
        ("tally", "show", "night"): ["night\\ batch"],
        ("tally", "show", "cost"): ["cost\\$HOME"],
    }
    for words, found in zip(wanted, in_bash(place, *wanted)):
        assert found == wanted[words], words
    assert "true" in in_bash(place, ("tally", "run", "tru"))[0]


def test_fish_knows_commands_options_values_and_tasks(tally, place):
    need("fish")
    known = long_options(tally)
    for command, found in zip(known, in_fish(place, *(f"tally {c} --" for c in known))):
        assert set(found) == known[command], command
    wanted = {
        "tally ": sorted(known),
        "tally run --collector ": ["auto", "bpf", "procfs"],
        "tally history sh": ["shop", "shop/web"],
        "tally run --sandbox fol": ["folder/"],
        "tally store ex": ["export"],
    }
    for line, found in zip(wanted, in_fish(place, *wanted)):
        assert sorted(found) == wanted[line], line
    tasks, files = in_fish(place, "tally show night", "tally run --json a")
    assert [name.replace("\\", "") for name in tasks] == ["night batch"]
    assert "a file" in [name.replace("\\", "") for name in files]


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
        screen.wait(r"\S *$", "a prompt")
        if shell == "zsh":
            screen.type("autoload -U compinit && compinit -u -D; PS1='rea''dy> '", "Enter")
            screen.wait(r"^ready> *$")
        screen.type(f"source {place}/{shell}; cd {place}; clear; echo so'urc'ed", "Enter")
        screen.wait("^sourced$")

        def completes(typed, wanted):
            screen.type("C-u", typed, "Tab")
            screen.wait(rf"ready> {re.escape(wanted)} *$", f"{typed!r} as {wanted!r}")

        completes("tally obs", "tally observe")
        completes("tally run --sand", "tally run --sandbox" + "=" * (shell == "zsh"))
        completes("tally run --sandbox fol", "tally run --sandbox folder/")
        completes("tally run --collector p", "tally run --collector procfs")
        completes("tally show night", "tally show night\\ batch")
        completes("tally run --json a\\ f", "tally run --json a\\ file")
        completes("tally store exp", "tally store export")
        completes("tally help obs", "tally help observe")
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
