"""What the walk costs: the Hub's calls, the evals, and how long a worker holds the database."""

from __future__ import annotations

import gc
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import httpx2
from sqlalchemy import Connection
from tests.bench.book import Book, at, say
from tests.flow.conftest import RULES, Walkthrough

from proctor.clock import SystemClock
from proctor.core.evidence import Findings, Metric
from proctor.core.names import RepoType
from proctor.core.record import KnownRepo, RefChange
from proctor.flow.reconcile import MAIN, Reconcile
from proctor.hub import HuggingFaceHub
from proctor.ledger import SqlLedger, open_ledger
from proctor.localhub import LocalHub, blobs, commits, people, repos
from proctor.localhub.gitids import Entry, git_object
from proctor.localhub.storage import GITATTRIBUTES
from proctor.localhub.store import Store
from proctor.ports.check import Room, Subject
from proctor.ports.clock import Clock
from proctor.testing import FakeQueue

REPOS: Final = 10_000
PUSHES: Final = 20  # of a walk whose transactions are timed
FILES: Final = 500  # in a repo with many
METRICS: Final = 500  # of a check with many


def sweep(book: Book, folder: Path) -> None:
    """A pass of the sweep over many repos in which nothing changed."""
    token = _seed(folder)
    clock = SystemClock()
    say(f"\nA sweep of {REPOS:,} unchanged repos")
    with (
        LocalHub(folder) as local,
        closing(open_ledger(f"sqlite:///{folder}/ledger.db", clock)) as ledger,
    ):
        hub = HuggingFaceHub(local.url, token)
        with ledger.transaction() as tx:
            for repo, head in hub.heads("acme", RepoType.MODEL):
                tx.put_repo(KnownRepo(repo, clock.now(), clock.now()))
                tx.put_ref(RefChange(clock.new_id(), repo.hub_id, MAIN, None, head, clock.now()))
        began = time.perf_counter()
        listed = sum(1 for _ in hub.heads("acme", RepoType.MODEL))
        listing = time.perf_counter() - began
        before = _left(local.url, token)
        began = time.perf_counter()
        drift = Reconcile(ledger, hub, FakeQueue(), clock, RULES).once()
        took = time.perf_counter() - began
        calls = before - _left(local.url, token) - 1  # the last look is itself a call
    if (listed, drift.heads, drift.missed, drift.looks) != (REPOS, REPOS, (), 0):
        raise RuntimeError(f"the sweep found what is not there: {drift}")
    book.facts["sweep"] = {"repos": REPOS, "calls": calls, "s": took, "listing_s": listing}
    book.add("requests that the Hub saw", f"{calls}", "≤ 15")
    book.add("its time, and of that for the Hub's lists", f"{took:.1f} s, {listing:.1f} s")


def bursts(book: Book, folder: Path) -> None:
    """A hundred pushes, ten at a time while an eval runs: on a clock that is not the machine's."""
    say("\n100 pushes in 10 bursts")
    with closing(Walkthrough(folder)) as walk:
        pushed = 0

        def push_nine_more(subject: Subject, room: Room) -> None:
            nonlocal pushed
            while pushed % 10:
                walk.clock.advance(2.0)
                walk.push()
                pushed += 1
                walk.deliver_all()
                walk.drain(walk.worker_named("w2"))

        walk.checks["full"].during = push_nine_more
        for _ in range(10):
            walk.push()
            pushed += 1
            walk.settle()
            walk.clock.advance(300)
        evals, runs = len(walk.checks["full"].measured), len(walk.runs())
        last = walk.hub.refs(walk.repo)[MAIN]
        if (pushed, runs) != (100, 100) or walk.tags()["prod"] != last:
            raise RuntimeError(f"{pushed} pushes, {runs} runs, and prod at {walk.tags()['prod']}")
    book.facts["bursts"] = {"pushes": pushed, "evals": evals}
    book.add("evals", f"{evals}", "≤ 20")


def writes(book: Book, folder: Path, urls: Mapping[str, str]) -> None:
    """For how long a worker holds what the receiver waits for: from the begin of each write
    transaction to the end of its commit. On SQLite that is the whole file."""
    say(f"\nWrite transactions in a walk of {PUSHES} pushes, one worker")
    book.facts["writes"] = {}
    for name, url in urls.items():
        with closing(Walkthrough(folder / name, ledger=partial(_Timed, url))) as walk:
            assert isinstance(walk.ledger, _Timed)
            walk.pushed_and_settled()  # the first of everything takes longer
            gc.collect()
            gc.freeze()  # as a worker does; and here is what the rest of the bench left
            walk.ledger.taken()
            for number in range(PUSHES):
                walk.pushed_and_settled(0.9 if number % 3 else 0.1)
            usual = walk.ledger.taken()
            _push_many(walk)
            large = walk.ledger.taken()
        p50, p99, longest = at(usual, 0.5), at(usual, 0.99), usual[-1] * 1000
        book.facts["writes"][name] = {
            "n": len(usual),
            "p50_ms": p50,
            "p99_ms": p99,
            "max_ms": longest,
            "large_max_ms": large[-1] * 1000,
        }
        told = f"p50 {p50:.1f}, p99 {p99:.1f}, longest {longest:.1f} ms"
        book.add(f"{name}, {len(usual)} of them", told, "p99 < 20 ms")
        told = f"longest {large[-1] * 1000:.1f} ms"
        book.add(f"{name}, {FILES} files and {METRICS} metrics", told, "< 20 ms")


class _Timed(SqlLedger):
    """A ledger that times its write transactions."""

    def __init__(self, url: str, clock: Clock) -> None:
        open_ledger(url, clock).close()  # which makes the tables
        super().__init__(url, clock)
        self._took: list[float] = []

    def taken(self) -> Sequence[float]:
        """The times since this was last asked, sorted, in seconds."""
        took, self._took = self._took, []
        return sorted(took)

    @contextmanager
    def _begun(self) -> Iterator[Connection]:
        with super()._begun() as connection:
            began = time.perf_counter()
            yield connection
        self._took.append(time.perf_counter() - began)


def _push_many(walk: Walkthrough) -> None:
    """A push of many files, of which the check finds many numbers."""
    files = {f"part-{n:05}.safetensors": b"%d" % n for n in range(FILES)}
    revision = walk.hub.commit(walk.repo, files)
    more = tuple(Metric(f"subject_{n}/acc", 0.5, 0.01, 100) for n in range(METRICS))
    walk.checks["full"].findings[revision] = Findings((Metric("acc", 0.9), *more))
    walk.settle()


def _left(url: str, token: str) -> int:
    """How many calls the Hub's own count leaves this token. The question is one of them."""
    headers = {"authorization": f"Bearer {token}"}
    told = httpx2.get(f"{url}/api/whoami-v2", headers=headers).headers["ratelimit"]
    found = re.search(r"r=(\d+)", told)
    assert found, told
    return int(found[1])


def _seed(folder: Path) -> str:
    """Many repos in the folder of a Local Hub, each as it makes them: a request for each would
    take half a minute. Returns a token."""
    store = Store(folder)
    try:
        blob = blobs.Blobs(folder).put(GITATTRIBUTES)
        entry = Entry(
            ".gitattributes", blob.size, git_object("blob", GITATTRIBUTES), blob.sha256, lfs=False
        )
        with store.transaction() as db:
            people.add_user(db, "ada")
            people.add_org(db, "acme")
            people.join(db, "ada", "acme")
            for number in range(REPOS):
                repo = repos.add(db, "model", f"acme/model-{number}", private=False, sdk=None)
                blobs.link(db, repo.id, blob)
                first = commits.make(
                    db,
                    repo,
                    {entry.path: entry},
                    parent=None,
                    author="ada",
                    title="initial commit",
                )
                commits.advance(db, repo, repos.MAIN, first)
            return people.add_token(db, "ada", "write", "write")
    finally:
        store.close()
