"""How long the adapter waits, and how often it tries."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """Bounds on every call. All times in seconds.

    `connect` and `read` bound one wait on the socket; `answer` bounds one whole answer, headers,
    body and redirects included, so that a server that trickles cannot hold us. (What the system's
    resolver takes to find a host's addresses comes on top.) A download may take `answer` plus its
    size at `slowest` bytes per second. A call is tried `attempts` times; between two tries it waits
    a random part of `backoff` * 2^n (at most `longest_wait`), or as long as the Hub asks for: where
    that is more than `longest_wait`, the call gives up at once and hands the wish on as
    `TransientError.delay`.

    A read (a download is none) is not tried again here later than `brisk` after its first try: its
    step is, in its time, and until then its thread is free for other repos. After one
    answer that did not come within `brisk`, each read has only that long, for `wary`: of many
    repos that hang, one costs a thread `answer`, and the others little. So a read ends
    after at most `brisk` + `answer`.

    `fresh` is how old a look at the Hub may be when a write that rests on it is sent, and how long
    that write may take.
    """

    connect: float = 5.0
    read: float = 30.0
    answer: float = 60.0
    attempts: int = 4
    backoff: float = 0.5
    longest_wait: float = 30.0
    brisk: float = 5.0
    wary: float = 60.0
    slowest: float = 256 * 1024
    fresh: float = 5.0

    def download(self, size: int) -> float:
        """How long the download of `size` bytes may take."""
        return self.answer + size / self.slowest
