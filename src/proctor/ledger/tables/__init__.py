"""The tables, by concern. Importing this package fills `metadata`."""

from proctor.ledger.tables.base import Row, table
from proctor.ledger.tables.intake import DeliveryRow, EventRow
from proctor.ledger.tables.repos import EntryRow, KnownRepoRow, RefChangeRow, RefSeenRow
from proctor.ledger.tables.runs import EvidenceRow, RunCheckRow, RunRow, VerdictRow
from proctor.ledger.tables.stages import (
    HoldRow,
    OperationRow,
    OutboxRow,
    PromotionRow,
    StageHeadRow,
)
from proctor.ledger.tables.steps import AttemptRow, StepRow

metadata = Row.metadata

__all__ = [
    "AttemptRow",
    "DeliveryRow",
    "EntryRow",
    "EventRow",
    "EvidenceRow",
    "HoldRow",
    "KnownRepoRow",
    "OperationRow",
    "OutboxRow",
    "PromotionRow",
    "RefChangeRow",
    "RefSeenRow",
    "Row",
    "RunCheckRow",
    "RunRow",
    "StageHeadRow",
    "StepRow",
    "VerdictRow",
    "metadata",
    "table",
]
