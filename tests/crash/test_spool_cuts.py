"""The spool killed at every step, and power lost after every step (spool_cuts.c)."""
import os
import re
import subprocess
import tempfile

from postern import BUILD

ON_DEMAND = "POSTERN_CRASH_CUTS" in os.environ  # make crash: more ways in which the disk may be left


def test_every_step(tmp_path):
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else str(tmp_path)) as directory:
        done = subprocess.run([os.path.join(BUILD, "tests/crash/spool_cuts"), os.path.join(directory, "queue"), "100" if ON_DEMAND else "8"],
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout[-3000:])
    assert done.returncode == 0
    numbers = re.search(r"killed: (\d+) cuts, 0 failures; power lost: (\d+) disks, 0 failures", done.stdout)
    assert int(numbers.group(1)) > 300 and int(numbers.group(2)) > 500
