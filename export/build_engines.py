#!/usr/bin/env python3
"""Builds a bundle from trained checkpoints, or adds formats to one: see `--help` and docs/export.md."""

import sys

from jiffexport.command import main

if __name__ == "__main__":
    sys.exit(main())
