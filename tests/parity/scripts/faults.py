"""Takes the first step of `faulty.py` once for each fault: `faults.py FOLDER FRAMEWORK FAULT...`.

One process for all of them: what an operation is compiled to for the first one, the others find. Each trace is a file
of its fault's name.
"""

import os
import runpy
import sys
from contextlib import suppress
from pathlib import Path

FOLDER, FRAMEWORK, *FAULTS = sys.argv[1:]
FAULTY = str(Path(__file__).with_name("faulty.py"))

Path(FOLDER).mkdir()
for fault in FAULTS:
    os.environ["MULTILEARN_WALK"] = str(Path(FOLDER, fault))
    sys.argv = [FAULTY, fault, FRAMEWORK]
    with suppress(SystemExit):
        runpy.run_path(FAULTY, run_name="__main__")
