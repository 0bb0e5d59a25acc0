"""A check that finds what the test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from proctor.core.errors import Cancelled, CheckFailed
from proctor.core.evidence import Findings
from proctor.core.names import Revision
from proctor.ports.check import Room, Subject


class FakeCheck:
    """Implements `proctor.ports.check.Check`.

    `findings` tells what to report for a revision, or the error to raise; `otherwise` is for all
    other revisions (None: the check cannot measure them). `during` is called in the midst of
    each measurement. `measured` holds the subjects, in order.
    """

    def __init__(
        self,
        findings: Mapping[Revision, Findings | Exception] | None = None,
        *,
        otherwise: Findings | Exception | None = None,
        queue: str = "io",
        time_limit: float = 60.0,
        during: Callable[[Subject, Room], None] | None = None,
    ) -> None:
        self.findings = dict(findings or {})
        self.otherwise = otherwise
        self.during = during
        self.measured: list[Subject] = []
        self._queue = queue
        self._time_limit = time_limit

    @property
    def queue(self) -> str:
        """ "io" or "eval"."""
        return self._queue

    @property
    def time_limit(self) -> float:
        """Seconds."""
        return self._time_limit

    def measure(self, subject: Subject, room: Room) -> Findings:
        """Report the findings for the subject's revision, or raise its error."""
        self.measured.append(subject)
        room.progress(0, 1, "started")
        if self.during is not None:
            self.during(subject, room)
        if room.cancelled():
            raise Cancelled("the work was given up")
        found = self.findings.get(subject.revision, self.otherwise)
        if found is None:
            raise CheckFailed(f"no findings were given for {subject.revision}")
        if isinstance(found, Exception):
            raise found
        room.progress(1, 1, "done")
        return found
