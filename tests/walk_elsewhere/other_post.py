"""The other Hub's webhooks: who is told of what, in how many ways, in which order.

https://huggingface.co/docs/hub/webhooks
"""

from __future__ import annotations

import http.client
import json
import queue
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.walk_elsewhere.other_answers import stranger
from tests.walk_elsewhere.other_repos import MAIN, Json, OtherRepo, Refusal

_DOMAINS = {"repo", "discussions"}
"""The client's spelling (huggingface_hub.constants.WEBHOOK_DOMAIN_T); the documentation has
another."""


@dataclass
class Subscription:
    """A registered webhook, and the statuses that its receiver answered."""

    id: str
    url: str
    watched: list[dict[str, str]]
    domains: list[str]
    secret: str
    answered: list[int] = field(default_factory=list)

    def told(self) -> dict[str, Json]:
        """As the API tells it to its owner."""
        told = {"id": self.id, "url": self.url, "watched": self.watched, "job": None}
        return {**told, "domains": self.domains, "secret": self.secret, "disabled": False}

    def watches(self, repo: OtherRepo) -> bool:
        """Whether an event of the repo is for this webhook."""
        names = {repo.name, repo.name.partition("/")[0]}
        return "repo" in self.domains and any(each["name"] in names for each in self.watched)


class Post:
    """Delivers events from a thread of its own, those at hand newest first."""

    def __init__(self) -> None:
        self.subscriptions: list[Subscription] = []
        self.withheld = False
        self._due: queue.Queue[tuple[Subscription, dict[str, Json]] | None] = queue.Queue()
        self._sent = 0
        self._thread = threading.Thread(target=self._deliver_all)
        self._thread.start()

    def subscribe(self, asked: Mapping[str, Json]) -> Subscription:
        """Register a webhook."""
        strange = set(asked["domains"]) - _DOMAINS
        if strange:
            raise Refusal(422, "", f"we have no domain {strange}")
        made = Subscription(
            uuid.uuid4().hex, asked["url"], asked["watched"], asked["domains"], asked["secret"]
        )
        self.subscriptions.append(made)
        return made

    def tell(self, repo: OtherRepo, scope: str, action: str, more: Mapping[str, Json]) -> None:
        """Tell all who watch, unless the webhook is `withheld`."""
        if self.withheld:
            return
        about = {
            "type": repo.kind.removesuffix("s"),
            "name": repo.name,
            "id": repo.id,
            "private": repo.private,
            "owner": {"id": "elsewhere-1"},
            "headSha": repo.refs.get(MAIN),
        }
        for each in self.subscriptions:
            if each.watches(repo):
                body = {"event": {"action": action, "scope": scope}, "repo": about, **more}
                self._due.put((each, {**body, "webhook": {"id": each.id, "version": 4}}))

    @property
    def idle(self) -> bool:
        """Whether all that was to be told is told."""
        return not self._due.unfinished_tasks

    def close(self) -> None:
        """Stop; what is not delivered by then is lost."""
        self._due.put(None)
        self._thread.join()

    def _deliver_all(self) -> None:
        waiting: list[tuple[Subscription, dict[str, Json]]] = []
        while True:
            if not waiting or not self._due.empty():
                due = self._due.get()
                if due is None:
                    return
                waiting.append(due)
            else:
                self._deliver(*waiting.pop())
                self._due.task_done()

    def _deliver(self, to: Subscription, told: dict[str, Json]) -> None:
        """Every second event has no Webhook-Id, every third a scope that nobody knows yet, and
        every fourth comes twice."""
        turn, self._sent = self._sent, self._sent + 1
        headers = {"content-type": "application/json;charset=UTF-8", "x-webhook-secret": to.secret}
        if turn % 2 == 0:
            headers["webhook-id"] = f"msg_{uuid.uuid4().hex}"
        if turn % 3 == 2 and told["event"]["scope"] == "repo.content":
            told["event"] = {"action": "push", "scope": "repo.content.somewhere"}
        body = json.dumps(stranger(told), indent=turn % 2 or None, ensure_ascii=turn % 2 == 0)
        for _ in range(2 if turn % 4 == 0 else 1):
            to.answered.append(self._send(to.url, body.encode(), headers))

    def _send(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.netloc, timeout=60)
        try:
            path = f"{address.path}?{address.query}" if address.query else address.path
            connection.request("POST", path, body, dict(headers))
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()
