# SPDX-License-Identifier: Apache-2.0
"""A program on the screen of a real terminal: tmux, a server of its own for each test."""
import os
import re
import shlex
import subprocess
import time

from conftest import PATIENCE


class Screen:
    def __init__(self, folder, words, columns=80, rows=24, **environment):
        self.socket = os.path.join(folder, "tmux")
        self.columns, self.rows = columns, rows
        environment = {"LANG": "C.UTF-8", "LC_ALL": "", "NO_COLOR": "", **environment}
        settings = " ".join(f"{key}={shlex.quote(value)}" for key, value in environment.items())
        command = f"env {settings} {shlex.join(map(str, words))}"
        # Something stays behind it: what the terminal is like afterwards can be seen.
        self.tmux("new-session", "-d", "-s", "screen", "-x", columns, "-y", rows,
                  f"{command}; echo status=$?; exec sleep 60")

    def tmux(self, *words):
        # -u: UTF-8 whatever our own locale says.
        done = subprocess.run(["tmux", "-u", "-S", self.socket, "-f", "/dev/null", *map(str, words)],
                              capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def type(self, *keys):
        """Names of keys as tmux has them ("Enter", "Escape", "Down"), or characters."""
        for key in keys:
            self.tmux("send-keys", "-t", "screen", key)

    def text(self, colours=False):
        return self.tmux("capture-pane", "-p", *(["-e"] if colours else []), "-t", "screen")

    def lines(self):
        return self.text().splitlines()

    def wait(self, what, text=None):
        """Wait for a pattern, or a function of the text, to be on the screen; the text then."""
        check = what if callable(what) else lambda seen: re.search(what, seen, re.MULTILINE)
        end = time.monotonic() + PATIENCE / 2
        while time.monotonic() < end:
            seen = self.text()
            if check(seen):
                return seen
            time.sleep(0.05)
        raise AssertionError(f"{text or what} did not come; this is there:\n{seen}")

    def resize(self, columns, rows):
        self.tmux("resize-window", "-t", "screen", "-x", columns, "-y", rows)

    @property
    def pid(self):
        """Of the program: the youngest descendant of the pane."""
        pid = int(self.tmux("list-panes", "-t", "screen", "-F", "#{pane_pid}"))
        while True:
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                children = file.read().split()
            if not children:
                return pid
            pid = int(children[-1])

    def status(self):
        """Exit status, once it has ended."""
        found = self.wait(r"^status=\d+$")
        return int(re.search(r"^status=(\d+)$", found, re.MULTILINE)[1])

    def end(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True)
