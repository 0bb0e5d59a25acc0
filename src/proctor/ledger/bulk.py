"""Many deliveries, events and steps in few statements: what makes group commit cheap.

One statement per table, whatever the number of rows, handed to the driver as it is: SQLAlchemy's
own way costs more per row than the database, and more memory than the receiver may have. A bulk
write means what the single writes mean; the contract tests hold both to the same words.

SQLite's write transaction holds the whole file (BEGIN IMMEDIATE), so there it is exact to look and
write in two statements. On PostgreSQL another receiver may write the same rows at the same moment:
there each statement decides by itself (ON CONFLICT), and steps go in one order, so that two who
ask for the same wait for one another, and never each for the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final, Protocol, TypeVar

from proctor.core.event import Delivery, Event
from proctor.core.run import Step, StepState
from proctor.ledger.batch import MANY, Batch
from proctor.ledger.columns import digest
from proctor.ledger.text import escape, unescape

T = TypeVar("T")

_DELIVERIES: Final = Batch(Delivery, "deliveries")
_EVENTS: Final = Batch(Event, "events", "identity_digest")
_STEPS: Final = Batch(Step, "steps")
_OPEN: Final = "state IN ('ready', 'running')"

# One statement that adds a step or notes on the open one that it was asked for again. A row that
# ends at this moment is waited for, and then a new one is added.
# https://www.postgresql.org/docs/current/sql-insert.html#SQL-ON-CONFLICT
_ASK: Final = f"""
{_STEPS.inserted} {_STEPS.unnested} ORDER BY kind COLLATE "C", subject COLLATE "C"
ON CONFLICT (kind, subject) WHERE {_OPEN} DO UPDATE SET
    due_at = CASE steps.state WHEN 'ready'
        THEN least(steps.due_at, excluded.due_at) ELSE steps.due_at END,
    again_due = CASE steps.state WHEN 'running'
        THEN least(steps.again_due, excluded.due_at) ELSE steps.again_due END
RETURNING {", ".join(f"steps.{name}" for name in _STEPS.columns)}
"""

_Asked = tuple[str, str]  # the kind and the subject of a step


class Statements(Protocol):
    """Runs statements as they are, in a transaction that writes."""

    @property
    def postgres(self) -> bool:
        """On PostgreSQL, else on SQLite."""
        ...

    def rows(self, statement: str, bound: Sequence[Any]) -> Sequence[Sequence[Any]]:
        """What the statement returns."""
        ...

    def count(self, statement: str, bound: Sequence[Any]) -> int:
        """The rows that it wrote. `bound` may be a list of tuples: then it runs for each."""
        ...


class Bulk:
    """Bulk writes through `statements`."""

    def __init__(self, statements: Statements) -> None:
        self._statements = statements

    def add_deliveries(self, deliveries: Sequence[Delivery]) -> None:
        """See the port."""
        if len(self._insert(_DELIVERIES, deliveries, "id")) < len(deliveries):
            raise ValueError("a delivery with one of these ids exists")

    def add_events(self, events: Sequence[Event]) -> Mapping[str, str]:
        """See the port."""
        first: dict[str, Event] = {}
        for event in events:
            first.setdefault(digest(event.identity), event)
        added = self._insert(_EVENTS, list(first.values()), "identity_digest")
        known = {key: first[key].id for key in added}
        known |= self._known([key for key in first if key not in known])
        if len(known) < len(first):
            raise ValueError("an event with one of these ids exists, and is another")
        return {event.identity: known[key] for key, event in first.items()}

    def add_steps(self, steps: Sequence[Step]) -> Sequence[Step]:
        """See the port."""
        asked: dict[_Asked, Step] = {}
        for step in steps:
            if step.state is not StepState.READY:
                raise ValueError(f"a step is asked for as ready, not {step.state}")
            before = asked.setdefault(_key(step), step)
            if step.due_at < before.due_at:
                asked[_key(step)] = replace(before, due_at=step.due_at)
        if not asked:
            return ()
        once = list(asked.values())
        stands = self._upsert(once) if self._statements.postgres else self._look_and_write(once)
        return [stands[_key(step)] for step in steps]

    def _insert(self, batch: Batch[T], values: Sequence[T], key: str) -> Sequence[str]:
        """Add the rows that collide with none. Returns the `key` of those added; SQLite tells only
        whether all of them were, so there it is all keys, or none when a row was there."""
        if not values:
            return ()
        if self._statements.postgres:
            insert = f"{batch.inserted} {batch.unnested} ON CONFLICT DO NOTHING RETURNING {key}"
            return [row[0] for row in self._statements.rows(insert, batch.arrays(values))]
        rows = batch.rows(values)
        whole = len(rows) - len(rows) % MANY
        count = 0
        for start in range(0, whole, MANY):
            bound = tuple(chain.from_iterable(rows[start : start + MANY]))
            count += self._statements.count(batch.insert_many, bound)
        if rows[whole:]:
            count += self._statements.count(batch.insert, rows[whole:])
        at = batch.columns.index(key)
        return [str(row[at]) for row in rows] if count == len(rows) else ()

    def _known(self, digests: Sequence[str]) -> dict[str, str]:
        """The ids of the events on record, by the digest of their identity."""
        if not digests:
            return {}
        query = "SELECT identity_digest, id FROM events WHERE identity_digest"
        found = self._among(query, digests)
        return {row[0]: unescape(row[1]) for row in found}

    def _among(self, query: str, wanted: Sequence[str]) -> Sequence[Any]:
        if self._statements.postgres:
            return self._statements.rows(f"{query} = ANY(%s)", (list(wanted),))
        marks = ",".join("?" * len(wanted))
        return self._statements.rows(f"{query} IN ({marks})", tuple(wanted))

    def _upsert(self, steps: Sequence[Step]) -> Mapping[_Asked, Step]:
        rows = self._statements.rows(_ASK, _STEPS.arrays(steps))
        return {_key(step): step for step in map(_STEPS.value, rows)}

    def _look_and_write(self, steps: Sequence[Step]) -> Mapping[_Asked, Step]:
        subjects = list({escape(step.subject) for step in steps})
        marks = ",".join("?" * len(subjects))
        found = self._statements.rows(
            f"SELECT {_STEPS.listed}, again_due FROM steps WHERE {_OPEN} AND subject IN ({marks})",  # noqa: S608 - names of our own columns
            tuple(subjects),
        )
        standing = {_key(step): (step, row[-1]) for row in found for step in [_STEPS.value(row)]}
        stands: dict[_Asked, Step] = {}
        new: list[Step] = []
        sooner: list[tuple[float, str]] = []
        again: list[tuple[float, str]] = []
        for step in steps:
            there, noted = standing.get(_key(step), (step, None))
            if there is step:
                new.append(step)
            elif there.state is StepState.RUNNING:
                if noted is None or step.due_at < noted:
                    again.append((step.due_at, escape(there.id)))
            elif step.due_at < there.due_at:
                sooner.append((step.due_at, escape(there.id)))
                there = replace(there, due_at=step.due_at)
            stands[_key(step)] = there
        if len(self._insert(_STEPS, new, "id")) < len(new):
            raise ValueError("a step with one of these ids exists")
        for column, noted_for in (("due_at", sooner), ("again_due", again)):
            if noted_for:
                update = f"UPDATE steps SET {column} = ? WHERE id = ?"  # noqa: S608 - one of the two names above
                self._statements.count(update, noted_for)
        return stands


def _key(step: Step) -> _Asked:
    return step.kind.value, step.subject
