# SPDX-License-Identifier: Apache-2.0
"""Help, the version and the man page, which say the same."""
import os
import re

import pytest

from conftest import ROOT


def commands(tally):
    text = tally("--help").stdout
    return re.findall(r"^  (\w+) ", text.partition("Commands:\n")[2], re.MULTILINE)


def options(text):
    """Long and short names in a help text."""
    return re.findall(r"^  (?:-(\w), |    )--([\w-]+)(?: (\w+))?", text, re.MULTILINE)


def test_help_lists_the_commands(tally):
    assert {"run", "show", "doctor", "help", "version"} <= set(commands(tally))
    assert tally("help").stdout == tally("-h").stdout == tally("--help").stdout


def test_every_command_has_help_and_a_version(tally):
    for command in commands(tally):
        done = tally(command, "--help")
        assert done.returncode == 0 and done.stderr == ""
        assert done.stdout.startswith(f"Usage: tally {command} ")
        assert done.stdout == tally("help", command).stdout == tally(command, "-h").stdout
        assert max(map(len, done.stdout.splitlines())) < 80
        assert tally(command, "--version").stdout == tally("--version").stdout


def test_the_version_is_a_version(tally):
    assert re.fullmatch(r"tally \d+\.\d+\.\d+\n", tally("--version").stdout)
    assert tally("version").stdout == tally("-V").stdout == tally("--version").stdout


def test_the_man_page_has_every_command_and_every_option(tally):
    with open(os.path.join(ROOT, "man/tally.1")) as file:
        page = file.read()
    sections = dict(re.findall(r"^\.Sh TALLY (\w+)\n(.*?)(?=^\.Sh )", page, re.MULTILINE | re.DOTALL))
    assert {name.lower() for name in sections} == set(commands(tally))
    for command in commands(tally):
        told = set()
        for letter, letter_name, name, argument in re.findall(
                r"^\.It Fl (?:(\w) , Fl -([\w-]+)|-([\w-]+))(?: Ar (\w+))?$",
                sections[command.upper()], re.MULTILINE):
            told.add((letter, letter_name or name, bool(argument)))
        known = {(letter, name, bool(argument))
                 for letter, name, argument in options(tally(command, "--help").stdout)}
        assert told == known - {("h", "help", False), ("V", "version", False)}, command


@pytest.mark.parametrize("word, hint", [
    ("rnu", "did you mean `tally run`?"),
    ("docter", "did you mean `tally doctor`?"),
    ("make", "`tally run make` runs a program"),
    ("--json", "options come behind a command"),
    ("\x1b[31m", "'?[31m'"),
])
def test_an_unknown_command_is_refused_with_a_hint(tally, word, hint):
    done = tally(word)
    assert done.returncode == 2
    assert hint in done.stderr and done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_without_words_it_says_what_there_is(tally):
    done = tally()
    assert done.returncode == 2
    assert done.stdout == "" and done.stderr == tally("--help").stdout


def test_help_for_an_unknown_command_is_refused(tally):
    done = tally("help", "nonsense")
    assert done.returncode == 2
    assert "there is no command 'nonsense'" in done.stderr
