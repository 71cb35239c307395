"""Training of the networks on synthetic CC0 people. Not part of the installed package.

Run its programs from the repository's root, for example `python -m training.train_shape --help`.
"""

import os
import sys
from pathlib import Path

# NumPy's own threads wait in a loop, and torch's wait for these: steps took half as long again.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# jiffexport (the networks) lives beside this folder and is not installed either.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "export"))
