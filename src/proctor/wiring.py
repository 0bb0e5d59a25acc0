"""The composition root: the only file that knows every concrete class.

Each part is made when it is first asked for, so the receiver never imports what only workers
need.
"""

from __future__ import annotations

import os
import socket
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from proctor.clock import HostsClock
from proctor.core.errors import PermanentError, TransientError
from proctor.core.names import RepoType, Revision
from proctor.core.secret import redact, secrets_in
from proctor.settings import Settings

if TYPE_CHECKING:
    from proctor.core.rule import Rules
    from proctor.core.run import RunCheck, StepKind
    from proctor.flow.alarm import Alarm
    from proctor.flow.ask import Ask
    from proctor.flow.attempt import Doing, Worker
    from proctor.flow.reconcile import Reconcile
    from proctor.flow.retention import Retention
    from proctor.flow.sweep import Sweep
    from proctor.hub.shelf import DiskShelf
    from proctor.ledger import SqlLedger
    from proctor.ledger.direct import DirectIntake
    from proctor.ports.check import Check
    from proctor.ports.hub import Hub
    from proctor.ports.notifier import Notifier
    from proctor.queue.app import App
    from proctor.queue.waker import CeleryQueue
    from proctor.web.access import Access


DAY = 24 * 3600.0
"""Seconds."""


class Wiring:
    """Proctor, put together from its settings. Cheap to make; `close` it at the end."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = HostsClock()

    @cached_property
    def rules(self) -> Rules:
        """The pipelines. Raises ConfigError with every problem in the file."""
        from proctor.config import load

        return load(self.settings.config, os.environ)

    @cached_property
    def ledger(self) -> SqlLedger:
        """The database, its schema brought up to date. Raises LedgerUnavailable, and
        PermanentError when there is no folder for it."""
        from proctor.ledger import open_ledger

        self.make_home()
        return open_ledger(self.settings.database_url.reveal(), self.clock, self.clock.correct)

    @cached_property
    def intake(self) -> DirectIntake:
        """The receiver's own way into the database, whose schema has to be current."""
        from proctor.ledger.direct import DirectIntake

        return DirectIntake(self.settings.database_url.reveal(), self.clock.correct)

    @cached_property
    def app(self) -> App:
        """The Celery app. Connects to nothing yet."""
        from proctor.queue.app import make_app

        return make_app(self.settings.broker_url.reveal())

    @cached_property
    def queue(self) -> CeleryQueue:
        """What wakes workers."""
        from proctor.queue.waker import CeleryQueue

        return CeleryQueue(self.app)

    @cached_property
    def hub(self) -> Hub:
        """The Hub at the configured endpoint, and no other."""
        from proctor.hub import HuggingFaceHub, Patience

        token = self.settings.hub_token
        return HuggingFaceHub(
            endpoint=self.settings.hub_endpoint,
            token=token.reveal() if token else None,
            patience=Patience(read=self.settings.hub_timeout),
        )

    @cached_property
    def ask(self) -> Ask:
        """What people may ask for."""
        from proctor.flow.ask import Ask

        return Ask(self.ledger, self.clock, self.rules)

    @cached_property
    def sweep(self) -> Sweep:
        """What puts overdue work back."""
        from proctor.flow.sweep import Sweep

        return Sweep(self.ledger, self.queue, self.clock)

    @cached_property
    def alarm(self) -> Alarm:
        """What notices that no webhook comes."""
        from proctor.flow.alarm import Alarm

        return Alarm(self.ledger, self.queue, self.clock, self.rules, self.link)

    @cached_property
    def retention(self) -> Retention | None:
        """What removes what is old; None where all is kept for ever."""
        from proctor.flow.retention import Retention

        keep = self.settings.keep_days * DAY
        return Retention(self.ledger, self.clock, self.artifacts, keep) if keep else None

    @cached_property
    def shelf(self) -> DiskShelf:
        """Where downloaded revisions lie."""
        from proctor.hub.shelf import DiskShelf

        folder = self.settings.home / "snapshots"
        return DiskShelf(folder, self.clock, self.settings.snapshot_room)

    @cached_property
    def reconcile(self) -> Reconcile:
        """What finds pushes that no webhook told of."""
        from proctor.flow.reconcile import Reconcile

        return Reconcile(self.ledger, self.hub, self.queue, self.clock, self.rules)

    def make_home(self) -> Path:
        """The state folder, made when missing. Raises PermanentError."""
        home = self.settings.home
        try:
            home.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PermanentError(
                f"the state folder {home} cannot be made ({error.strerror}): let PROCTOR_HOME name "
                "a folder that this user may write"
            ) from error
        return home

    @property
    def artifacts(self) -> Path:
        """Where files that checks keep are."""
        return self.settings.home / "artifacts"

    def redact(self, text: str) -> str:
        """`text` without any secret that this process holds."""
        held = list(self.settings.secrets())
        rules = self.__dict__.get("rules")
        if rules is not None:
            held += [s for c in rules.channels.values() for s in secrets_in(c.parameters)]
        return redact(text, held)

    def link(self, type: RepoType, repo: str, revision: Revision | None) -> str:
        """The Hub's page about a repo, or one of its commits."""
        kind = "" if type is RepoType.MODEL else f"{type.value}s/"
        page = f"{self.settings.hub_endpoint.rstrip('/')}/{kind}{repo}"
        return f"{page}/commit/{revision}" if revision else page

    def probe_broker(self) -> None:
        """Raises TransientError unless the broker can be reached within a few seconds."""
        try:
            with self.app.connection_for_write() as connection:
                connection.ensure_connection(max_retries=0, timeout=3)
        except Exception as error:  # kombu's transports raise what their libraries raise
            said = self.redact(str(error))
            raise TransientError(f"the broker cannot be reached: {said}") from None

    def web(self) -> Access:
        """The receiver's application."""
        from proctor.web.app import create_app
        from proctor.web.receiver import Limits

        return create_app(
            intake=self.intake,
            queue=self.queue,
            clock=self.clock,
            secrets=self.settings.webhook_secrets,
            limits=Limits(body=self.settings.max_body),
            probes={"broker": self.probe_broker},
            per_source=self.settings.source_rate,
            per_address=self.settings.address_rate,
        )

    def worker(self, stop: threading.Event, threads: int = 1) -> Worker:
        """What does steps in so many threads, named after this host and process."""
        from proctor.flow.attempt import Worker
        from proctor.flow.trouble import RefusedToken, Trouble
        from proctor.flow.turns import Turns

        return Worker(
            name=f"{socket.gethostname()}/{os.getpid()}",
            ledger=self.ledger,
            queue=self.queue,
            clock=self.clock,
            steps=self._steps(),
            redact=self.redact,
            paused=Trouble(self.clock, self.rules, self.link).paused,
            refused=RefusedToken(self.ledger, self.clock, self.rules).tell,
            stop=stop,
            lease=self.settings.lease,
            heartbeat=self.settings.heartbeat,
            senders=threading.Semaphore(max(1, threads // 2)),
            askers=Turns(max(1, threads - 1)),
        )

    def _steps(self) -> dict[StepKind, Doing]:
        from proctor.core.run import StepKind
        from proctor.flow.announce import Announce
        from proctor.flow.check import Check as CheckStep
        from proctor.flow.check import Folders
        from proctor.flow.judge import Judge
        from proctor.flow.plan import Plan
        from proctor.flow.promote import Promote
        from proctor.flow.sync import Sync

        ledger, hub, clock, rules = self.ledger, self.hub, self.clock, self.rules
        folders = Folders(
            work=self.settings.home / "work",
            artifacts=self.artifacts,
            base=self.settings.config.resolve().parent,
        )
        return {
            StepKind.PLAN: Plan(ledger, hub, clock, rules, self.link),
            StepKind.SYNC: Sync(ledger, hub, clock, rules, _queue_of, self.link),
            StepKind.CHECK: CheckStep(ledger, hub, clock, _build, _queue_of, folders, self.shelf),
            StepKind.JUDGE: Judge(ledger, clock, rules, self.link),
            StepKind.PROMOTE: Promote(ledger, hub, clock, rules, self.link),
            StepKind.ANNOUNCE: Announce(ledger, clock, self._notifier),
        }

    def _notifier(self, name: str) -> Notifier:
        from proctor import plugins
        from proctor.core.rule import Channel
        from proctor.flow.outbox import DEFAULT_CHANNEL

        channel = self.rules.channels.get(name)
        if channel is None:
            if name != DEFAULT_CHANNEL:
                raise PermanentError(f"channel {name} is no longer in the configuration")
            channel = Channel(DEFAULT_CHANNEL, "log")
        return plugins.build_notifier(channel)

    def close(self) -> None:
        """Let go of connections."""
        for name in ("queue", "ledger", "intake"):
            part = self.__dict__.get(name)
            if part is not None:
                part.close()


def _build(check: RunCheck) -> Check:
    from proctor import plugins
    from proctor.checks.unchanged import Unchanged
    from proctor.core.rule import CheckSpec

    try:
        made = plugins.build_check(CheckSpec(check.name, check.use, check.parameters, check.needs))
    except plugins.PluginError as error:
        raise PermanentError(str(error)) from error
    return Unchanged(made, check.content) if check.content else made


def _queue_of(check: RunCheck) -> str:
    """The queue that the check asks for; one that cannot be built fails just as well on io."""
    try:
        return _build(check).queue
    except PermanentError:
        return "io"
