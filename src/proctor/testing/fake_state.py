"""What the fake Hub stores, the faults asked of it, and what it tells of changes."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from proctor.core.errors import PermanentError, RepoGone, RepoReplaced
from proctor.core.evidence import Json
from proctor.core.names import Repo, RepoType, Revision
from proctor.testing.fake_clock import FakeClock
from proctor.testing.fake_repo import StoredRepo
from proctor.testing.payloads import payload, updated_refs

CALLS = (
    "account",
    "find",
    "refs",
    "describe",
    "history",
    "snapshot",
    "create_tag",
    "delete_tag",
    "heads",
    "webhooks",
    "create_webhook",
)
"""The calls of the port: what can be asked to fail."""


@dataclass(frozen=True, slots=True)
class RefMove:
    """A ref that moved, and by whom: "proctor" (through the port) or "person"."""

    hub_id: str
    ref: str
    old: Revision | None
    new: Revision | None
    by: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the port, with the name of the repo where there is one."""

    name: str
    repo: str | None


@dataclass(frozen=True, slots=True)
class _Fault:
    error: Exception | None
    after_effect: bool
    action: Callable[[], None] | None


class FakeState:
    """Storage, faults and news of the fake Hub."""

    def __init__(
        self,
        *,
        clock: FakeClock | None = None,
        on_change: Callable[[Mapping[str, Json]], None] | None = None,
        subscription: str = "6512f0e5c0a1b2c3d4e5f6a7",
    ) -> None:
        self.clock = clock or FakeClock()
        self.on_change = on_change
        self.subscription = subscription
        self.calls: list[Call] = []
        self.moves: list[RefMove] = []
        self._lock = threading.RLock()
        self._repos: dict[str, StoredRepo] = {}
        self._names: dict[tuple[RepoType, str], str] = {}
        self._redirects: dict[tuple[RepoType, str], str] = {}
        self._faults: defaultdict[str, deque[_Fault]] = defaultdict(deque)
        self._news: list[dict[str, Json]] = []
        self._made = 0

    def fail_next(
        self, call: str, error: Exception, *, after_effect: bool = False, times: int = 1
    ) -> None:
        """Raise `error` from the next `times` calls named `call`. With `after_effect` the work
        is done all the same: only its answer is lost. Proctor cannot tell the two apart unless the
        error is `without_effect`."""
        self._faults[_known(call)].extend([_Fault(error, after_effect, None)] * times)

    def before_next(self, call: str, action: Callable[[], None]) -> None:
        """Run `action` once, just before the next call named `call` takes effect: a person who
        acts between our look and our write."""
        self._faults[_known(call)].append(_Fault(None, False, action))

    @contextmanager
    def _answering(self, call: str, repo: str | None = None) -> Iterator[None]:
        with self._lock:
            self.calls.append(Call(call, repo))
            fault = self._faults[call].popleft() if self._faults[call] else None
        if fault is not None and fault.action is not None:
            fault.action()
        if fault is not None and fault.error is not None and not fault.after_effect:
            raise fault.error
        with self._acting():
            yield
        if fault is not None and fault.error is not None:
            raise fault.error

    @contextmanager
    def _acting(self) -> Iterator[None]:
        """Change the state under the lock; tell the news outside it."""
        with self._lock:
            yield
            news, self._news = self._news, []
        if self.on_change is not None:
            for body in news:
                self.on_change(body)

    def _new_id(self) -> str:
        self._made += 1
        return f"{0x650000000000000000000000 + self._made:024x}"

    def _named(self, type: RepoType, name: str) -> StoredRepo:
        hub_id = self._names.get((type, name)) or self._redirects.get((type, name))
        if hub_id is None or hub_id not in self._repos:
            raise RepoGone(f"there is no {type} called {name}")
        return self._repos[hub_id]

    def _same(self, repo: Repo) -> StoredRepo:
        found = self._named(repo.type, repo.name)
        if found.repo.hub_id != repo.hub_id:
            raise RepoReplaced(
                f"{repo.name} is now another repo ({found.repo.hub_id}, not {repo.hub_id})"
            )
        return found

    def _move(self, stored: StoredRepo, ref: str, new: Revision | None, by: str) -> None:
        """Point a ref elsewhere and tell it."""
        old = stored.refs.get(ref)
        if new is None:
            stored.refs.pop(ref, None)
        else:
            stored.refs[ref] = new
        self._moved(stored, ref, old, new, by)

    def _moved(
        self, stored: StoredRepo, ref: str, old: Revision | None, new: Revision | None, by: str
    ) -> None:
        self.moves.append(RefMove(stored.repo.hub_id, ref, old, new, by))
        self._tell(stored, "update", "repo.content", updatedRefs=updated_refs([(ref, old, new)]))

    def _tell(self, stored: StoredRepo, action: str, scope: str, **more: Json) -> None:
        self._news.append(
            payload(
                stored.repo,
                action,
                scope,
                head=stored.head,
                subscription=self.subscription,
                more=more,
            )
        )


def _known(call: str) -> str:
    if call not in CALLS:
        raise PermanentError(f"the port has no call {call!r}; it has {', '.join(CALLS)}")
    return call
