"""Reads of deliveries, events, repos and the registry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import case, literal_column, select

from proctor.core.event import Delivery, Disposition, Event
from proctor.core.names import RepoType, Revision
from proctor.core.record import Entry, KnownRepo, RefChange
from proctor.ledger.columns import digest
from proctor.ledger.reads.base import Reads, of
from proctor.ledger.tables import RefSeenRow, table

DELIVERIES, EVENTS = of(Delivery), of(Event)
REPOS, CHANGES, ENTRIES = of(KnownRepo), of(RefChange), of(Entry)
REFS_SEEN = table(RefSeenRow)

# Spelled out, not bound: only so does SQLite see that the partial index covers the question.
_PENDING = EVENTS.c.disposition == literal_column("'pending'")


class IntakeReads(Reads):
    """What came in, and what is known of repos."""

    def delivery(self, id: str) -> Delivery | None:
        """By id."""
        return self._one(Delivery, id=id)

    def deliveries(
        self,
        *,
        limit: int = 100,
        event_id: str | None = None,
        disposition: Disposition | None = None,
    ) -> Sequence[Delivery]:
        """Newest first. `disposition` is what became of them: of a delivery that told a new event
        (PENDING), that of the event."""
        query = select(DELIVERIES).order_by(DELIVERIES.c.seq.desc()).limit(limit)
        if event_id is not None:
            query = query.where(DELIVERIES.c.event_id == event_id)
        if disposition is not None:
            pending = DELIVERIES.c.disposition == Disposition.PENDING.value
            told = pending & EVENTS.c.id.is_not(None)
            became = case((told, EVENTS.c.disposition), else_=DELIVERIES.c.disposition)
            query = query.outerjoin(EVENTS, EVENTS.c.id == DELIVERIES.c.event_id)
            query = query.where(became == disposition.value)
        return self._many(Delivery, query)

    def event(self, id: str) -> Event | None:
        """By id."""
        return self._one(Event, id=id)

    def event_by_identity(self, identity: str) -> Event | None:
        """By what makes it unique."""
        return self._one(Event, identity_digest=digest(identity))

    def pending_events(self, hub_id: str) -> Sequence[Event]:
        """Events whose repo is still to be looked at, oldest first."""
        query = select(EVENTS).where(EVENTS.c.hub_id == hub_id, _PENDING)
        return self._many(Event, query.order_by(EVENTS.c.received_at, EVENTS.c.seq))

    def events(
        self,
        *,
        hub_id: str | None = None,
        disposition: Disposition | None = None,
        limit: int = 100,
    ) -> Sequence[Event]:
        """Newest first."""
        query = select(EVENTS).order_by(EVENTS.c.seq.desc()).limit(limit)
        if hub_id is not None:
            query = query.where(EVENTS.c.hub_id == hub_id)
        if disposition is not None:
            query = query.where(EVENTS.c.disposition == disposition.value)
        return self._many(Event, query)

    def known_repo(self, hub_id: str) -> KnownRepo | None:
        """By hub_id."""
        return self._one(KnownRepo, hub_id=hub_id)

    def known_repos(self) -> Sequence[KnownRepo]:
        """By type and name."""
        # Sorted here: databases differ in how they sort text.
        found = self._many(KnownRepo, select(REPOS))
        return sorted(found, key=lambda known: (known.repo.type, known.repo.name))

    def repos_named(self, name: str, type: RepoType | None = None) -> Sequence[KnownRepo]:
        """All repos that we last saw under this name."""
        query = select(REPOS).where(REPOS.c.name == name)
        if type is not None:
            query = query.where(REPOS.c.type == type.value)
        return self._many(KnownRepo, query.order_by(REPOS.c.first_seen, REPOS.c.hub_id))

    def refs_seen(self, hub_id: str) -> Mapping[str, Revision]:
        """The refs of the repo as last seen, by full name."""
        query = select(REFS_SEEN.c.ref, REFS_SEEN.c.revision).where(REFS_SEEN.c.hub_id == hub_id)
        return {ref: Revision(revision) for ref, revision in self._connection.execute(query)}

    def seen_at(self, ref: str) -> Mapping[str, Revision]:
        """Where one ref was last seen in every repo on record, by hub_id."""
        query = select(REFS_SEEN.c.hub_id, REFS_SEEN.c.revision).where(REFS_SEEN.c.ref == ref)
        return {hub_id: Revision(revision) for hub_id, revision in self._connection.execute(query)}

    def ref_changes(self, hub_id: str, *, limit: int = 100) -> Sequence[RefChange]:
        """Newest first."""
        query = select(CHANGES).where(CHANGES.c.hub_id == hub_id)
        return self._many(RefChange, query.order_by(CHANGES.c.seq.desc()).limit(limit))

    def entry(self, hub_id: str, revision: Revision) -> Entry | None:
        """The registry's record of one (repo, revision)."""
        return self._one(Entry, hub_id=hub_id, revision=revision)

    def described(self, hub_id: str, revision: Revision) -> bool:
        """Whether there is an entry of it: to read one takes long where it tells of many files."""
        there = (ENTRIES.c.hub_id == hub_id, ENTRIES.c.revision == revision)
        return self._connection.execute(select(ENTRIES.c.seq).where(*there)).first() is not None

    def entries(self, hub_id: str, *, limit: int = 100) -> Sequence[Entry]:
        """Newest first."""
        newest = (ENTRIES.c.synced_at.desc(), ENTRIES.c.seq.desc())
        query = select(ENTRIES).where(ENTRIES.c.hub_id == hub_id).order_by(*newest)
        return self._many(Entry, query.limit(limit))
