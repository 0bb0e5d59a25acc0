"""Writing tags: once, to the right repo, trusting no answer.

A write is never repeated in here. A lost answer does not tell whether the write took effect; by
the time of a second try a person may have made or removed the tag, and a blind repetition would
undo that. The caller observes the refs again and decides anew.
"""

from __future__ import annotations

from proctor.core.errors import RevisionGone, TagExists, TagGone
from proctor.core.names import Repo, Revision, parse_revision
from proctor.hub.reads import same
from proctor.hub.translate import Conflict, Missing
from proctor.hub.wire import Wire


def create_tag(wire: Wire, repo: Repo, tag: str, revision: Revision, message: str) -> None:
    """Ask for a tag, under the repo's current name. Raises TagExists."""
    target = parse_revision(revision)
    now = same(wire, repo)
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


def delete_tag(wire: Wire, repo: Repo, tag: str) -> None:
    """Ask for a tag's removal, under the repo's current name. Raises TagGone."""
    now = same(wire, repo)
    try:
        wire.once(lambda: wire.api.delete_tag(now.name, tag=tag, repo_type=repo.type.value))
    except (RevisionGone, Missing):
        raise TagGone(f"{now.name} has no tag {tag}") from None
