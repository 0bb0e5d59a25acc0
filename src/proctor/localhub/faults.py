"""Trouble on demand: rules that make chosen requests fail, for tests and try-outs.

Rules live in memory: a restart ends all trouble.
"""

import re
import threading
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from proctor.localhub.moment import fresh_id
from proctor.localhub.refusal import bad_request

Redirect = Literal["301", "302", "307"]
Refused = Literal["404", "409", "429", "500", "503"]
Fault = Literal[Redirect, Refused, "hang", "reset", "lost_answer", "truncate"]
REDIRECTS: tuple[Redirect, ...] = get_args(Redirect)
FAULTS: tuple[Fault, ...] = get_args(Fault)

_HEADER = re.compile(r"[!-~]{1,1000}")


@dataclass(frozen=True)
class Rule:
    """Which requests fail, how, and how often still.

    ``404``, ``409``, ``429``, ``500``, ``503``: that answer, nothing done (``retry_after_s``
    becomes Retry-After; ``error_code`` becomes X-Error-Code, ``RepoNotFound`` for one).
    ``301``, ``302``, ``307``: a redirect to ``location``, nothing done; without one, to where the
    request went, as a relative address: what follows it gets there when the rule is spent.
    ``hang``: no answer for ``hang_s`` seconds, then the connection closes; nothing done.
    ``reset``: the connection is reset; nothing done.
    ``lost_answer``: the work is done, then the connection is reset instead of the answer.
    ``truncate``: the work is done and half of the answer's body sent, then a reset.
    """

    id: str
    path: str
    fault: Fault
    method: str | None = None
    times: int = 1
    retry_after_s: int | None = None
    hang_s: float = 30.0
    error_code: str | None = None
    location: str | None = None
    hits: int = 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Faults:
    """The rules in force. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rules: dict[str, Rule] = {}

    def add(
        self,
        path: str,
        fault: str,
        *,
        method: str | None = None,
        times: int = 1,
        retry_after_s: int | None = None,
        hang_s: float = 30.0,
        error_code: str | None = None,
        location: str | None = None,
    ) -> Rule:
        """Make the next ``times`` requests fail whose path (as sent, with its query) matches the
        regular expression ``path`` anywhere. Rules are tried oldest first. 400 on nonsense."""
        kind = next((known for known in FAULTS if known == str(fault)), None)
        if kind is None:
            raise bad_request(f"Unknown fault {str(fault)[:50]!r}; known: {', '.join(FAULTS)}")
        try:
            re.compile(path)
        except (re.error, TypeError, RecursionError) as error:
            raise bad_request(f"path is not a regular expression: {error}") from error
        if times < 1:
            raise bad_request("times must be at least 1")
        for name, value in (("error_code", error_code), ("location", location)):
            if value is not None and not _HEADER.fullmatch(value):
                raise bad_request(f"{name} must be printable ASCII without spaces")
        verb = method.upper() if method else None
        rule = Rule(
            fresh_id(), path, kind, verb, times, retry_after_s, hang_s, error_code, location
        )
        with self._lock:
            self._rules[rule.id] = rule
        return rule

    def clear(self, rule_id: str | None = None) -> None:
        """Drop one rule, or all."""
        with self._lock:
            if rule_id is None:
                self._rules.clear()
            else:
                self._rules.pop(rule_id, None)

    def rules(self) -> list[Rule]:
        """All rules, the spent ones too: ``hits`` tells how often each one struck."""
        with self._lock:
            return list(self._rules.values())

    def strike(self, method: str, target: str) -> Rule | None:
        """The rule that this request falls under, with one of its times used up."""
        with self._lock:
            for rule in self._rules.values():
                if rule.hits >= rule.times or rule.method not in (None, method):
                    continue
                if re.search(rule.path, target):
                    struck = replace(rule, hits=rule.hits + 1)
                    self._rules[rule.id] = struck
                    return struck
        return None
