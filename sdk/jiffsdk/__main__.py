"""`python -m jiffsdk` is `jiff`."""

import sys

from .cli import main

sys.exit(main())
