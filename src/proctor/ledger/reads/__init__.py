"""The View of the port."""

from proctor.ledger.reads.intake import IntakeReads
from proctor.ledger.reads.runs import RunReads
from proctor.ledger.reads.stages import StageReads


class SqlView(IntakeReads, RunReads, StageReads):
    """Implements `proctor.ports.ledger.View`."""


__all__ = ["SqlView"]
