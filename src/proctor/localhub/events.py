"""What happened, written down as deliveries to the webhooks that watch it.

Body: version 3, https://huggingface.co/docs/hub/webhooks. Called inside the transaction of the
change itself: an event exists exactly if its change does.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from proctor.localhub import access, people, refs, repos, webhooks
from proctor.localhub.moment import now
from proctor.localhub.refs import RefChange
from proctor.localhub.repos import Repo
from proctor.localhub.store import Db

Action = Literal["create", "delete", "update", "move"]
Scope = Literal["repo", "repo.content", "repo.config", "discussion", "discussion.comment"]


@dataclass(frozen=True)
class Emitter:
    """Writes events. ``base`` is the public address that links in bodies start with."""

    db: Db
    base: str

    def repo(self, repo: Repo, action: Action, **more: Any) -> None:
        self._emit(repo, action, "repo", more)

    def content(self, repo: Repo, changes: Sequence[RefChange]) -> None:
        """One event for all the refs that moved together."""
        self._emit(repo, "update", "repo.content", {"updatedRefs": refs.as_json(changes)})

    def config(self, repo: Repo, updated: Mapping[str, Any]) -> None:
        self._emit(repo, "update", "repo.config", {"updatedConfig": dict(updated)})

    def moved(self, before: Repo, after: Repo) -> None:
        """``repo.name`` is the old name. Which of both the live Hub puts there is not documented;
        the docs' example of ``movedTo`` reads this way."""
        owner = {"id": people.owner_id(self.db, after.namespace)}
        self._emit(before, "move", "repo", {"movedTo": {"name": after.name, "owner": owner}})

    def discussion(
        self,
        repo: Repo,
        action: Action,
        scope: Literal["discussion", "discussion.comment"],
        discussion: Mapping[str, Any],
        comment: Mapping[str, Any] | None = None,
    ) -> None:
        more: dict[str, Any] = {"discussion": dict(discussion)}
        if comment is not None:
            more["comment"] = dict(comment)
        self._emit(repo, action, scope, more)

    def _emit(self, repo: Repo, action: Action, scope: Scope, more: Mapping[str, Any]) -> None:
        body = {"event": {"action": action, "scope": scope}, "repo": self._repo(repo), **more}
        for hook in webhooks.active(self.db):
            if not webhooks.wants(self.db, hook, repo, scope) or not self._may_see(hook.user, repo):
                continue
            text = json.dumps({**body, "webhook": {"id": hook.id, "version": 3}})
            self.db.execute(
                "INSERT INTO deliveries"
                " (id, webhook, scope, action, body, status, due_at, created_at)"
                " VALUES (?, ?, ?, ?, ?, 'pending', ?, ?)",
                (str(uuid.uuid4()), hook.id, scope, action, text, now(), now()),
            )

    def _may_see(self, user: str, repo: Repo) -> bool:
        owner = people.Caller(user, "", "write", people.memberships(self.db, user), {})
        return access.can_read(owner, repo)

    def _repo(self, repo: Repo) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "type": repo.type,
            "name": repo.name,
            "id": repo.id,
            "private": repo.private,
            "url": {
                "web": f"{self.base}/{repo.web_path}",
                "api": f"{self.base}/api/{repo.type}s/{repo.name}",
            },
            "owner": {"id": people.owner_id(self.db, repo.namespace)},
        }
        # The head of main, whatever ref the event is about.
        head = refs.head(self.db, repo, repos.MAIN)
        if head is not None:
            answer["headSha"] = head
        return answer
