"""The receiver's own way into the ledger, on the bare drivers.

It writes three tables, with statements that it shares with the rest (`ledger.bulk`). SQLAlchemy and
the tables would take more of the receiver's memory than all else together.
"""

from proctor.ledger.direct.intake import DirectIntake

__all__ = ["DirectIntake"]
