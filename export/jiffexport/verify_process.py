"""The other end of `jiffexport.verification`: graphs in on stdin, reports or a message out on stdout."""

from __future__ import annotations

import os
import pickle
import sys

from .errors import VerificationError
from .verify import verify_graph


def main() -> None:
    # Vendors print to stdout now and then; the answers get a descriptor of their own.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    while True:
        try:
            name, format, content, examples, tolerance = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        answer: object
        try:
            answer = verify_graph(name, content, examples, tolerance=tolerance, format=format)
        except VerificationError as error:
            answer = str(error)
        except Exception as error:  # a vendor's own, while a graph runs
            answer = f"{name}: {type(error).__name__}: {' '.join(str(error).split())}"
        pickle.dump(answer, answers)
        answers.flush()


if __name__ == "__main__":
    main()
