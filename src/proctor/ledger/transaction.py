"""The write transaction of the port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, update
from sqlalchemy.exc import IntegrityError

from proctor.core.event import Delivery, Event
from proctor.core.evidence import Evidence
from proctor.core.promotion import Promotion
from proctor.core.record import Entry, KnownRepo, RefChange, StageHead
from proctor.core.run import Run, Step
from proctor.ledger.bulk import Bulk
from proctor.ledger.columns import class_of, digest
from proctor.ledger.mapping import to_row
from proctor.ledger.reads import SqlView
from proctor.ledger.reads.base import of
from proctor.ledger.reads.intake import CHANGES, REFS_SEEN
from proctor.ledger.reads.stages import HEADS, OPERATIONS, PROMOTIONS
from proctor.ledger.steps import StepWrites
from proctor.ledger.writes import (
    ENDS,
    UNIQUE_BEYOND_ID,
    add_row,
    add_rows,
    change_rows,
    put_row,
    put_rows,
)
from proctor.ports.clock import Clock
from proctor.ports.ledger import Record

_FORGET_REF = delete(REFS_SEEN).where(
    REFS_SEEN.c.hub_id == bindparam("of"), REFS_SEEN.c.ref_digest == bindparam("named")
)


class SqlTransaction(SqlView, StepWrites):
    """Implements `proctor.ports.ledger.Transaction` on a connection that has begun to write."""

    _locking = True

    def __init__(self, connection: Connection, clock: Clock) -> None:
        super().__init__(connection)
        self._clock = clock
        self._bulk = Bulk(_AsItIs(connection))

    def add_event(self, event: Event) -> bool:
        """Add unless its identity is on record; returns whether it was added."""
        if add_row(self._connection, event):
            return True
        if self.event_by_identity(event.identity) is None:
            raise ValueError(f"an event with id {event.id} exists")
        return False

    def add_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        self._bulk.add_deliveries(deliveries)

    def add_events(self, events: Sequence[Event]) -> Mapping[str, str]:
        """See the port."""
        return self._bulk.add_events(events)

    def add_steps(self, steps: Sequence[Step]) -> Sequence[Step]:
        """See the port."""
        return self._bulk.add_steps(steps)

    def add(self, record: Record) -> None:
        """Raises ValueError when the id, or what makes it unique, exists."""
        if isinstance(record, RefChange):
            self.put_ref(record)
        else:
            self._add(record)

    def add_all(self, records: Sequence[Record]) -> None:
        """See the port."""
        for same in _by_class(records):
            if add_rows(self._connection, same) < len(same):
                kind = _kind(same[0])
                raise ValueError(f"one of {len(same)} {kind}, or what makes it unique, exists")
        self._apply([record for record in records if isinstance(record, RefChange)])

    def save(self, record: Record) -> None:
        """Overwrite the record of that id. Raises KeyError when there is none, and ValueError on
        an attempt to leave an ended status or to take what is unique from another."""
        self.save_all([record])

    def save_all(self, records: Sequence[Record]) -> None:
        """See the port."""
        for same in _by_class(records):
            if change_rows(self._connection, same) < len(same):
                for record in same:
                    self._save_with_care(record)
        for record in records:
            if isinstance(record, RefChange):
                self._apply_newest(record)

    def _save_with_care(self, record: Record) -> None:
        """For a record that is missing, has ended, or changes what makes it unique."""
        table = of(type(record))
        if isinstance(record, Run | Promotion):
            self._keep_ends(record)
        change = update(table).where(table.c.id == record.id).values(**to_row(record))
        try:
            with self._connection.begin_nested():  # PostgreSQL: else all would be lost
                found = self._connection.execute(change).rowcount
        except IntegrityError as error:
            if type(record) not in UNIQUE_BEYOND_ID:
                raise
            raise ValueError(
                f"{_kind(record)} {record.id} would take what is unique to another"
            ) from error
        if found == 0:
            raise KeyError(f"no {_kind(record)} {record.id}")

    def add_evidence(self, evidence: Evidence) -> None:
        """Raises ValueError when the id is on record: evidence is never overwritten."""
        self._add(evidence)

    def put_repo(self, repo: KnownRepo) -> None:
        """Add or overwrite by hub_id."""
        put_row(self._connection, of(KnownRepo), ["hub_id"], to_row(repo))

    def put_entry(self, entry: Entry) -> None:
        """Add or overwrite by (hub_id, revision)."""
        put_row(self._connection, of(Entry), ["hub_id", "revision"], to_row(entry))

    def put_stage_head(self, head: StageHead) -> None:
        """Add or overwrite by (hub_id, stage)."""
        put_row(self._connection, HEADS, ["hub_id", "stage"], to_row(head))

    def drop_operation(self, id: str) -> None:
        """No error when it is not on record."""
        self._connection.execute(delete(OPERATIONS).where(OPERATIONS.c.id == id))

    def drop_stage_head(self, hub_id: str, stage: str) -> None:
        """The stage points nowhere. No error when it did already."""
        of_stage = (HEADS.c.hub_id == hub_id, HEADS.c.stage == stage)
        self._connection.execute(delete(HEADS).where(*of_stage))

    def put_ref(self, change: RefChange) -> None:
        """Record the change and apply it to `refs_seen`."""
        self._add(change)
        self._apply([change])

    def next_release(self, hub_id: str, stage: str) -> int:
        """1 + the highest n of any promotion of the repo whose release is "stage-n"."""
        if self._connection.dialect.name == "postgresql":
            # Two at once would get the same number, and the second would be refused by the index.
            key = func.hashtextextended(f"release of {digest(hub_id)}", 0)
            self._connection.execute(select(func.pg_advisory_xact_lock(key)))
        query = select(PROMOTIONS.c.release).where(
            PROMOTIONS.c.hub_id == hub_id, PROMOTIONS.c.release != ""
        )
        releases: list[str] = list(self._connection.execute(query).scalars())
        numbers = (r.removeprefix(f"{stage}-") for r in releases if r.startswith(f"{stage}-"))
        return 1 + max((int(n) for n in numbers if n.isascii() and n.isdigit()), default=0)

    def _add(self, value: Any) -> None:
        if not add_row(self._connection, value):
            raise ValueError(f"{_kind(value)} {value.id}, or what makes it unique, exists")

    def _keep_ends(self, record: Run | Promotion) -> None:
        table = of(type(record))
        query = select(table.c.status).where(table.c.id == record.id).with_for_update()
        before: str | None = self._connection.execute(query).scalar()
        if before is None or before == record.status.value:
            return
        if before in ENDS[type(record)]:
            raise ValueError(
                f"{_kind(record)} {record.id} has ended as {before}: "
                f"it cannot become {record.status.value}"
            )

    def _apply(self, changes: Sequence[RefChange]) -> None:
        last = {(c.hub_id, digest(c.ref)): c for c in changes}
        there, gone = list[dict[str, Any]](), list[dict[str, Any]]()
        for (hub_id, ref), change in last.items():
            if change.new is None:
                gone.append({"of": hub_id, "named": ref})
            else:
                row = {"hub_id": hub_id, "ref_digest": ref, "ref": change.ref}
                there.append({**row, "revision": change.new})
        if there:
            put_rows(self._connection, REFS_SEEN, ["hub_id", "ref_digest"], there)
        if gone:
            self._connection.execute(_FORGET_REF, gone)

    def _apply_newest(self, of_ref: RefChange) -> None:
        same_ref = (CHANGES.c.hub_id == of_ref.hub_id, CHANGES.c.ref == of_ref.ref)
        newest = select(CHANGES).where(*same_ref).order_by(CHANGES.c.seq.desc())
        self._apply([self._first(RefChange, newest) or of_ref])


class _AsItIs:
    """`bulk.Statements` on SQLAlchemy's connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.postgres = connection.dialect.name == "postgresql"

    def rows(self, statement: str, bound: Sequence[Any]) -> Sequence[Sequence[Any]]:
        return self._connection.exec_driver_sql(statement, bound).all()

    def count(self, statement: str, bound: Sequence[Any]) -> int:
        return self._connection.exec_driver_sql(statement, bound).rowcount


def _by_class(records: Sequence[Record]) -> Sequence[Sequence[Record]]:
    """In the order in which each class comes first: what others point at is added before them."""
    found: dict[type, list[Record]] = {}
    for record in records:
        found.setdefault(class_of(record), []).append(record)
    return list(found.values())


def _kind(value: object) -> str:
    return type(value).__name__
