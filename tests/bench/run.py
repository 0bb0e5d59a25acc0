"""`make bench`: how fast deliveries are taken, next to a named ceiling in the same run, and what
the walk costs.

    python -m tests.bench.run [--quick | --long] [--json build/bench.json]

Every contender is a process of its own, and so is the sender. Rounds are interleaved (each
contender in turn, then all of them again), a ratio is taken within a round, and the median of the
rounds is what counts: a neighbour that takes the machine for a while hits all of them alike.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Final

from tests.bench import backends, walks
from tests.bench.book import EFFORTS, Book, Effort, at, say
from tests.bench.contenders import HERE, Server, post, proctor, python, request, started
from tests.bench.fill import fill
from tests.bench.load import Plan, Result
from tests.ports import free_port

CONNECTIONS: Final = 256
RATE: Final = 300.0  # requests a second in the open loop
CEILING: Final = "bare uvicorn + Starlette"
SQLITE, POSTGRES = "proctor, SQLite, folder as broker", "proctor, PostgreSQL, Redis"
TUTORIAL, LIBRARY = "tutorial: FastAPI, ORM, delay()", "huggingface_hub WebhooksServer"

_numbers: Final = count(1_000_000, 1_000_000)


def send(server: Server, *, seconds: float, rate: float = 0.0, repo: str = "") -> Result:
    """One run of the load generator."""
    text = request(repo=repo) if repo else request()
    connections = CONNECTIONS if not rate else 64
    plan = Plan(server.port, text, connections, seconds, rate, first=next(_numbers))
    done = subprocess.run(
        [sys.executable, str(HERE / "load.py")],
        input=json.dumps(asdict(plan)),
        capture_output=True,
        text=True,
        check=True,
    )
    result = Result(**json.loads(done.stdout))
    if result.wrong:
        raise RuntimeError(f"{server.name}: {result.wrong} wrong answers: {result.example}")
    return result


def throughput(book: Book, servers: Sequence[Server], effort: Effort) -> None:
    """As fast as they can, and what it costs them."""
    found: dict[str, list[dict[str, float]]] = {server.name: [] for server in servers}
    for server in servers:
        send(server, seconds=0.5)
    for _ in range(effort.rounds):
        for server in servers:
            before = server.cpu()
            result = send(server, seconds=effort.seconds)
            found[server.name].append(
                {
                    "per_second": result.answers / result.elapsed,
                    "cpu_us": (server.cpu() - before) / result.answers * 1e6,
                    "sender_busy": result.cpu / result.elapsed,
                }
            )
    book.facts["throughput"] = found
    ceiling = found[CEILING]
    say(f"\nAs fast as they can, {CONNECTIONS} connections, {effort.rounds} rounds (medians)")
    for name, rounds in found.items():
        rate = statistics.median(r["per_second"] for r in rounds)
        cpu = statistics.median(r["cpu_us"] for r in rounds)
        ratios = [r["per_second"] / c["per_second"] for r, c in zip(rounds, ceiling, strict=True)]
        costs = [r["cpu_us"] / c["cpu_us"] for r, c in zip(rounds, ceiling, strict=True)]
        told = f"{rate:7,.0f}/s = {statistics.median(ratios):.2f}"
        goals = "≥ 0.50 fast disk, ≥ 0.25 slow disk" if name.startswith("proctor") else ""
        book.add(name, told, goals)
        book.add(
            "  its CPU a request",
            f"{cpu:7.0f} µs = {statistics.median(costs):.1f} x",
            "≤ 2.5 x" if goals else "",
        )
    busiest = max(r["sender_busy"] for rounds in found.values() for r in rounds)
    book.add("the sender's own CPU at its busiest", f"{busiest:.0%} of a core", "well below 100%")


def open_loop(book: Book, servers: Sequence[Server], effort: Effort) -> None:
    """At a steady rate, and how long answers take."""
    rounds = max(2, effort.rounds // 2)
    found: dict[str, list[float]] = {server.name: [] for server in servers}
    for _ in range(rounds):
        for server in servers:
            found[server.name] += send(server, seconds=effort.open_seconds, rate=RATE).latencies
    say(f"\nOpen loop, {RATE:.0f}/s, {rounds} x {effort.open_seconds:.0f} s")
    book.facts["open_loop"] = {}
    for name, latencies in found.items():
        latencies.sort()
        p50, p99 = at(latencies, 0.5), at(latencies, 0.99)
        book.facts["open_loop"][name] = {"p50_ms": p50, "p99_ms": p99, "n": len(latencies)}
        goal = "p99 ≤ 10 fast disk, ≤ 25 slow disk" if name.startswith("proctor") else ""
        book.add(name, f"p50 {p50:.1f} ms, p99 {p99:.1f} ms", goal)


def mute(book: Book, folder: Path, redis: str, effort: Effort) -> None:
    """A broker that answers, and one that does not."""
    with ExitStack() as stack:
        silent = stack.enter_context(backends.mute_broker())
        database = f"sqlite:///{folder}/%s.db"
        servers = [
            stack.enter_context(proctor(name, folder / name, database % name, broker))
            for name, broker in (("answers", redis), ("mute", silent))
        ]
        found: dict[str, list[float]] = {server.name: [] for server in servers}
        for _ in range(max(2, effort.rounds // 2)):
            for server in servers:
                result = send(server, seconds=effort.open_seconds, rate=RATE)
                found[server.name].append(at(result.latencies, 0.99))
    usual, without = (statistics.median(found[name]) for name in ("answers", "mute"))
    book.facts["mute_broker"] = {"p99_ms": found}
    say("\nA mute broker")
    told = f"p99 {without:.1f} ms = {without / usual:.2f} x {usual:.1f} ms"
    book.add("answers while the broker is mute", told, "< 2 x")


def task_start(book: Book, server: Server, redis: str, effort: Effort, log: Path) -> None:
    """From the POST to the first line of the work, over Redis."""
    time.sleep(1)  # the last hint of what was measured before comes after its answer
    backends.empty(redis)  # nobody has read those hints
    command = python("starter.py", redis)
    with (
        log.open("ab") as out,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=out, text=True) as worker,
    ):
        assert worker.stdout is not None
        try:
            took = []
            for n in range(effort.tasks + 3):
                began = time.monotonic()
                post(server.port, next(_numbers), repo=f"{os.getpid():012d}{n:012d}")
                started_at = float(worker.stdout.readline())
                took.append((started_at - began) * 1000)
                time.sleep(0.1)
        finally:
            worker.terminate()
            worker.wait(60)
    took = sorted(took[3:])  # the first ones wait for the worker to connect
    p50, p99 = statistics.median(took), took[int(len(took) * 0.99)]
    found = {"p50": p50, "p99": p99, "n": len(took)}
    book.facts.setdefault("task_start_ms", {})[server.name] = found
    say(f"\nFrom the POST to the start of the work, {server.name}")
    book.add("over Redis", f"p50 {p50:.1f} ms, p99 {p99:.1f} ms", "p50 ≤ 6 ms")


def memory(book: Book, servers: Sequence[Server], when: str) -> None:
    """What the receivers take."""
    for server in servers:
        found = server.memory()
        book.facts.setdefault("memory", {}).setdefault(server.name, {})[when] = found
        told = f"{found['rss_mb']:.0f} MB, {found['own_mb']:.0f} of it its own"
        book.add(f"{server.name}, {when}", told, "resident < 80 MB")


def full(book: Book, folder: Path, redis: str, effort: Effort, events: int) -> None:
    """With many stored events, next to none."""
    say(f"\nWith {events:,} events on record")
    stored = folder / "full.db"
    began = time.monotonic()
    fill(f"sqlite:///{stored}", events)
    book.add("to put them there", f"{time.monotonic() - began:.0f} s")
    with ExitStack() as stack:
        servers = [
            stack.enter_context(proctor(name, folder / name, f"sqlite:///{path}", redis))
            for name, path in (("empty", folder / "empty.db"), ("full", stored))
        ]
        rates: dict[str, list[float]] = {server.name: [] for server in servers}
        for _ in range(effort.rounds):
            for server in servers:
                result = send(server, seconds=effort.seconds)
                rates[server.name].append(result.answers / result.elapsed)
    ratio = statistics.median(f / e for e, f in zip(rates["empty"], rates["full"], strict=True))
    book.facts["full"] = {"events": events, "rates": rates, "ratio": ratio}
    book.add("throughput, full to empty", f"{ratio:.2f}", "≥ 0.85")


@contextmanager
def contenders(folder: Path, redis: str, postgres_url: str, book: Book) -> Iterator[list[Server]]:
    """All that can run here, started."""
    with ExitStack() as stack:
        port = free_port()
        servers = [
            stack.enter_context(
                started(CEILING, python("bare.py", str(port)), port, folder / "bare")
            ),
            stack.enter_context(
                proctor(
                    SQLITE, folder / "s", f"sqlite:///{folder}/s.db", f"filesystem://{folder}/b"
                )
            ),
            stack.enter_context(proctor(POSTGRES, folder / "p", postgres_url, redis)),
        ]
        memory(book, servers[1:], "at rest")
        optional: Mapping[str, tuple[str, list[str]]] = {
            TUTORIAL: ("fastapi", ["tutorial.py", str(folder / "tutorial.db"), redis]),
            LIBRARY: ("gradio", ["hub_library.py"]),
        }
        for name, (needs, script) in optional.items():
            if find_spec(needs) is None:
                book.add(name, f"not measured: {needs} is not installed")
                continue
            port = free_port()
            command = python(script[0], str(port), *script[1:])
            log = folder / f"{needs}.log"
            servers.append(stack.enter_context(started(name, command, port, log)))
        yield servers


def main() -> None:
    """Measure, show, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="less than two minutes")
    parser.add_argument("--long", action="store_true", help="also with many events on record")
    parser.add_argument("--events", type=int, default=1_000_000, help="how many for --long")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    effort = EFFORTS["quick" if options.quick else "normal"]
    logging.getLogger("proctor").setLevel(logging.ERROR)  # evals that are overtaken say so
    book = Book()
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="proctor-bench-")))
        disk = backends.fdatasync_ms(folder)
        book.facts["machine"] = {
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "fdatasync_ms": disk,
            "load_average": os.getloadavg(),
        }
        load = os.getloadavg()[0]
        say(f"{os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f}")
        book.add("fdatasync of 4 kB", f"p50 {disk['p50']:.2f} ms, p90 {disk['p90']:.2f} ms")
        redis = stack.enter_context(backends.redis())
        server = stack.enter_context(backends.postgres())
        url = server.url(server.new_database())
        with contenders(folder, redis, url, book) as servers:
            throughput(book, servers, effort)
            open_loop(book, servers[:3], effort)
            say("\nMemory")
            memory(book, servers[1:3], "after the load")
            task_start(book, servers[2], redis, effort, folder / "worker.log")
        name, database = "proctor, SQLite, Redis", f"sqlite:///{folder}/start.db"
        with proctor(name, folder / "start", database, redis) as small:
            task_start(book, small, redis, effort, folder / "worker.log")
        mute(book, folder, redis, effort)
        walks.sweep(book, folder / "hub")
        walks.bursts(book, folder / "bursts")
        databases = {
            "SQLite": f"sqlite:///{folder}/walk.db",
            "PostgreSQL": server.url(server.new_database()),
        }
        walks.writes(book, folder / "walks", databases)
        if options.long:
            full(book, folder, redis, effort, options.events)
        after = backends.fdatasync_ms(folder)
        book.facts["machine"]["fdatasync_ms_after"] = after
        book.add(
            "fdatasync of 4 kB, at the end", f"p50 {after['p50']:.2f} ms, p90 {after['p90']:.2f} ms"
        )
    book.facts["seconds"] = time.monotonic() - began
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({**book.facts, "table": book.rows}, indent=1) + "\n")
    say(f"\n{book.facts['seconds']:.0f} s; all figures are in {options.json}")


if __name__ == "__main__":
    main()
