"""What can go wrong between a checkpoint and a bundle."""

from __future__ import annotations


class ExportError(Exception):
    """Base of the errors below."""


class CheckpointError(ExportError):
    """A checkpoint is unreadable, of the wrong kind, or does not fit its network."""


class GraphError(ExportError):
    """A graph is not what the export expects."""


class EngineBuildError(ExportError):
    """An engine cannot be built: no builder, an unknown GPU, or a graph that the builder refuses."""


class VerificationError(ExportError):
    """An exported graph strays too far from what it was exported from, or no engine can check it."""


class BundleError(ExportError):
    """A bundle cannot be written."""


class FaceModelError(ExportError):
    """A face model is unreadable or its parts do not fit together."""
