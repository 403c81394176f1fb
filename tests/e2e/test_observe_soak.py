# SPDX-License-Identifier: Apache-2.0
"""The soak of bench/ for a few seconds: it works, and nothing grows at once."""
import os
import subprocess
import sys

from conftest import PROGRAM, ROOT

BUILD = os.environ.get("TALLY_BUILD", os.path.dirname(os.path.dirname(os.path.dirname(PROGRAM))))


def test_memory_and_descriptors_stay_flat_while_everything_comes_and_goes():
    done = subprocess.run([sys.executable, os.path.join(ROOT, "bench/serve_soak.py"), "--build", BUILD,
                           "--collector", "procfs", "--seconds", "12"], capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "last" in done.stdout
