"""Writing tags: once, to the right repo, trusting no answer.

A write is never repeated in here. A lost answer does not tell whether the write took effect; by
the time of a second try a person may have made or removed the tag, and a blind repetition would
undo that. The caller observes the refs again and decides anew.

A write has no condition on the Hub, so what it rests on is looked at last, nothing is waited for
in between, and a look that took long counts for nothing.

Errors tell what was not sent, or was refused, from what may have been done (`without_effect`).
A Hub that says "exists" or "not there" to the write itself proves nothing: something in between
may have sent it twice.
"""

from __future__ import annotations

import time

from proctor.core.errors import (
    RevisionGone,
    TagExists,
    TagGone,
    TagMoved,
    TransientError,
    before_effect,
)
from proctor.core.names import Repo, Revision, parse_revision, short, tag_ref
from proctor.hub.reads import glance, same
from proctor.hub.translate import Conflict, Missing
from proctor.hub.wire import Wire


def create_tag(wire: Wire, repo: Repo, tag: str, revision: Revision, message: str) -> None:
    """Ask for a tag, under the repo's current name. Raises TagExists."""
    target = parse_revision(revision)
    with before_effect():
        now = same(wire, repo, wire.patience.fresh)
    try:
        wire.once(
            lambda: wire.api.create_tag(
                now.name,
                tag=tag,
                tag_message=message,
                revision=target,
                repo_type=repo.type.value,
                exist_ok=False,
            )
        )
    except Conflict:
        raise TagExists(f"{now.name} has a tag {tag} already") from None


def delete_tag(wire: Wire, repo: Repo, tag: str, revision: Revision) -> None:
    """Ask for the removal of a tag that points at `revision`, under the repo's current name.

    First whose the name is, then where the tag is, then the removal: each within
    `patience.fresh` seconds, the latter two asked for once. Raises TagGone and TagMoved;
    TransientError where a look was too slow, and nothing was removed.
    """
    fresh = wire.patience.fresh
    with before_effect():
        now = _seen_at(wire, repo, tag, revision)
    try:
        wire.once(
            lambda: wire.api.delete_tag(now.name, tag=tag, repo_type=repo.type.value),
            seconds=fresh,
        )
    except (RevisionGone, Missing):
        raise TagGone(f"{now.name} has no tag {tag}") from None


def _seen_at(wire: Wire, repo: Repo, tag: str, revision: Revision) -> Repo:
    """The repo under its current name, with the tag where it is said to be."""
    fresh = wire.patience.fresh
    now = same(wire, repo, fresh)
    began = time.monotonic()
    found = glance(wire, now, fresh).get(tag_ref(tag))
    if found is None:
        raise TagGone(f"{now.name} has no tag {tag}")
    if found != revision:
        raise TagMoved(f"{tag} of {now.name} is at {short(found)}, not {short(revision)}")
    if time.monotonic() - began > fresh:  # frozen meanwhile, perhaps
        raise TransientError(f"the look at {tag} is too old to remove it now")
    return now
