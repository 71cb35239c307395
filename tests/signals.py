"""How programs that a test interrupts have to be started."""

from __future__ import annotations

import signal


def heed_interrupts() -> None:
    """Runs in a new process before its program: a shell's background jobs are born ignoring Ctrl+C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
