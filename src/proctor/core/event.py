"""Deliveries and events: what the Hub sent, and the deduplicated fact that it tells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from proctor.core.names import RepoType, Revision


class Disposition(StrEnum):
    """What became of a delivery or an event. Exactly one each; `reason` says why in words."""

    PENDING = "pending"  # accepted, its repo is to be looked at
    RAN = "ran"  # started the run named in the reason
    DUPLICATE = "duplicate"  # tells an event that is already on record
    QUARANTINED = "quarantined"  # authentic, but we cannot read it; kept for a person
    COALESCED = "coalesced"  # another event of the same look stands for it
    SUPERSEDED = "superseded"  # its revision was no longer the head when we looked
    FILTERED = "filtered"  # no pipeline matches
    UNCHANGED = "unchanged"  # the head was judged already
    ECHO = "echo"  # our own write to the Hub came back
    REJECTED = "rejected"  # the repo or revision cannot be used; see the reason


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """One ref that moved. `old` is None when the ref is new, `new` when it was deleted."""

    ref: str
    old: Revision | None
    new: Revision | None


@dataclass(frozen=True, slots=True)
class Payload:
    """The fields of a webhook body (v3) that Proctor needs, validated.

    `scope` is widened to a known one; `scope_as_sent` is what the body said. `subscription` is
    the body's webhook.id. `fingerprint` is a digest of the fields that tell this event from
    others of its kind (None: nothing in the body does), for deliveries without a Webhook-Id.
    """

    subscription: str
    action: str
    scope: str
    scope_as_sent: str
    repo_type: RepoType
    repo_id: str
    repo_name: str
    private: bool = False
    head: Revision | None = None
    updates: tuple[RefUpdate, ...] = ()
    moved_to: str | None = None
    discussion: int | None = None
    comment: str | None = None
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP POST as received. `body` is the raw bytes; `headers` are redacted before they get
    here. Times are seconds since the epoch."""

    id: str
    received_at: float
    webhook_id: str | None
    headers: tuple[tuple[str, str], ...]
    body: bytes
    disposition: Disposition
    reason: str
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """The deduplicated fact. `identity` is unique; `source` is webhook, sweep or person."""

    id: str
    identity: str
    source: str
    received_at: float
    action: str
    scope: str
    repo_type: RepoType
    hub_id: str
    repo_name: str
    updates: tuple[RefUpdate, ...] = ()
    head: Revision | None = None
    disposition: Disposition = Disposition.PENDING
    reason: str = ""
    run_id: str | None = None
