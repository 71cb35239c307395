"""`python -m jiffexport` is `build_engines.py`."""

import sys

from .command import main

sys.exit(main())
