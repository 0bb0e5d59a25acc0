"""doctor: what is missing before Proctor can run here, and what to do about it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final
from urllib.parse import urlsplit

import typer
from rich.table import Table
from rich.text import Text

from proctor.cli import attendance, lacking
from proctor.cli.pictures import console
from proctor.cli.session import opened, show_json
from proctor.config import channels
from proctor.core.errors import AccessDenied, LedgerUnavailable, ProctorError, TransientError
from proctor.core.harmless import harmless
from proctor.core.rule import Rules
from proctor.flow.attendance import failing
from proctor.ports.hub import Account
from proctor.wiring import Wiring

LITTLE_DISK: Final = 5 * 1024**3
"""Bytes free under which a snapshot of a common model does not fit."""


class State(StrEnum):
    """How a thing is."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that was looked at. `remedy` is "" when it is good."""

    what: str
    state: State
    text: str
    remedy: str = ""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print facts as JSON.")] = False,
) -> None:
    """Check configuration, token, webhook, database, broker, disk, channels and workers, and say
    what to do.

    Exits 1 when something is bad, so it can stand in a deploy script.
    """
    with opened() as wiring:
        looked = [f for look in LOOKS for f in _looked(look, wiring)]
    found = _each_once(looked)
    if as_json:
        show_json(
            [
                {"what": f.what, "state": f.state.value, "text": f.text, "remedy": f.remedy}
                for f in found
            ]
        )
    else:
        out = console()
        for each in found:
            mark = {
                State.GOOD: "[green]✓[/]",
                State.WARNING: "[yellow]![/]",
                State.BAD: "[red]✗[/]",
            }
            line = Table.grid()
            line.add_row(f"{mark[each.state]} ", Text(harmless(f"{each.what}: {each.text}")))
            if each.remedy:
                line.add_row("", Text(harmless(f"→ {each.remedy}")))
            out.print(line)
    if any(f.state is State.BAD for f in found):
        raise typer.Exit(1)


def _each_once(found: Sequence[Found]) -> Sequence[Found]:
    """Without what was told already: a missing configuration stops more than one look."""
    told = {f.text: f for f in reversed(found) if f.state is State.BAD}
    return [f for f in found if f.state is not State.BAD or told[f.text] is f]


def _looked(look: Callable[[Wiring], Iterator[Found]], wiring: Wiring) -> Iterator[Found]:
    name = look.__name__.removeprefix("_")
    try:
        yield from look(wiring)
    except ProctorError as error:
        yield Found(name, State.BAD, wiring.redact(str(error)))


def _configuration(wiring: Wiring) -> Iterator[Found]:
    rules = wiring.rules
    names = ", ".join(p.name for p in rules.pipelines) or "none"
    text = f"{wiring.settings.config}, pipelines: {names}"
    yield Found("configuration", State.GOOD, text)


def _database(wiring: Wiring) -> Iterator[Found]:
    kind = wiring.settings.database_url.reveal().split(":", 1)[0]
    try:
        wiring.ledger.ping()
    except LedgerUnavailable as error:  # it names the address
        mend = "Let its folder be writable" if kind == "sqlite" else "Start it, mend the network"
        remedy = f"{mend}, or correct PROCTOR_DATABASE_URL."
        yield Found("database", State.BAD, wiring.redact(str(error)), remedy)
        return
    yield Found("database", State.GOOD, f"{kind} answers, its schema is current")
    off = wiring.clock.ahead
    if off:
        text = f"this machine's clock is {abs(off):.1f} s {'behind' if off > 0 else 'ahead of'} "
        remedy = "Proctor goes by the database's clock; set this one by NTP all the same."
        yield Found("clock", State.WARNING, f"{text}that of the database", remedy)


def _broker(wiring: Wiring) -> Iterator[Found]:
    url = wiring.settings.broker_url.reveal()
    if attendance.embedded(wiring):
        wiring.make_home()  # told as what it is: the folder is below it
    try:
        wiring.probe_broker()
    except ProctorError as error:
        text = f"{_address(url)} does not answer: {error}"
        remedy = "Start it, or correct PROCTOR_BROKER_URL. Nothing is lost meanwhile."
        yield Found("broker", State.BAD, text, remedy)
        return
    kind = "the folder" if attendance.embedded(wiring) else "Redis"
    yield Found("broker", State.GOOD, f"{kind} answers, at {_address(url)}")


def _address(url: str) -> str:
    """A URL without credentials and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _workers(wiring: Wiring) -> Iterator[Found]:
    text, _, remedy = attendance.missing(wiring).partition(". ")
    if text:
        yield Found("workers", State.WARNING, text[0].lower() + text[1:], remedy)
    else:
        yield Found("workers", State.GOOD, attendance.presence(wiring))


def _disk(wiring: Wiring) -> Iterator[Found]:
    home = wiring.make_home()
    probe = home / ".writable"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        remedy = "Let PROCTOR_HOME name a folder that this user may write."
        yield Found("disk", State.BAD, f"{home} cannot be written ({error.strerror})", remedy)
        return
    free = shutil.disk_usage(home).free
    text = f"{free / 1024**3:.0f} GiB free in {home}"
    if free < LITTLE_DISK:
        yield Found("disk", State.WARNING, text, "Each eval needs room for a snapshot.")
    else:
        yield Found("disk", State.GOOD, text)


def _secret(wiring: Wiring) -> Iterator[Found]:
    count = len(wiring.settings.webhook_secrets)
    if count:
        text = "set" if count == 1 else f"{count} are set, and any of them is accepted"
        yield Found("webhook secret", State.GOOD, text)
    else:
        yield Found(
            "webhook secret",
            State.WARNING,
            "none: the receiver only starts on 127.0.0.1",
            "Set PROCTOR_WEBHOOK_SECRETS to the secret that you give the webhook on the Hub.",
        )


def _hub(wiring: Wiring) -> Iterator[Found]:
    if wiring.settings.hub_token is None:
        yield Found("token", State.BAD, lacking.NO_TOKEN.text, lacking.NO_TOKEN.remedy)
        return
    try:
        account = wiring.hub.account()
    except AccessDenied as error:
        yield Found("token", State.BAD, str(error), "Make a new token and set HF_TOKEN.")
        return
    except TransientError as error:
        text = f"{wiring.settings.hub_endpoint} does not answer: {error}"
        remedy = "Correct HF_ENDPOINT, or look at the network. Nothing is lost meanwhile."
        yield Found("hub", State.BAD, text, remedy)
        return
    yield _token(account, wiring.settings.hub_endpoint)
    yield from _orgs(account, wiring.rules)
    yield _webhook(wiring)


def _token(account: Account, endpoint: str) -> Found:
    text = f"{account.name} on {endpoint}, role {account.role}"
    if account.role == "read":
        return Found("token", State.BAD, text, "Moving tags needs a token with write access.")
    if account.role == "fineGrained":
        remedy = 'It needs "write" on the content of the repos that the pipelines promote.'
        return Found("token", State.WARNING, text, remedy)
    return Found("token", State.GOOD, text)


def _orgs(account: Account, rules: Rules) -> Iterator[Found]:
    owners = {p.match.repo.split("/", 1)[0] for p in rules.pipelines}
    strange = sorted(
        o for o in owners if not set("*?[") & set(o) and o not in (account.name, *account.orgs)
    )
    if strange:
        text = f"the token's user is not a member of {', '.join(strange)}"
        remedy = "Use a token of a member with write access, or correct `match.repo`."
        yield Found("organisations", State.WARNING, text, remedy)


def _webhook(wiring: Wiring) -> Found:
    public = wiring.settings.public_url
    remedy = (
        "Register one in the Hub's settings (or with huggingface_hub's create_webhook): the URL "
        "of this receiver with /webhooks/hub, the repos or organisations to watch, and the secret."
    )
    ours = [
        w
        for w in wiring.hub.webhooks()
        if w.url.split("?", 1)[0].rstrip("/").endswith("/webhooks/hub")
        and (not public or w.url.startswith(public.rstrip("/")))
    ]
    if not ours:
        return Found("webhook", State.WARNING, "no webhook of this user points here", remedy)
    if all(w.disabled for w in ours):
        text = "the Hub has suspended it after failed deliveries"
        return Found("webhook", State.BAD, text, "Enable it again in the Hub's settings.")
    watched = ", ".join(sorted({name for w in ours for name in w.watched}))
    return Found("webhook", State.GOOD, f"watches {watched}")


def _evals(wiring: Wiring) -> Iterator[Found]:
    lack = lacking.harness(wiring.rules)
    if lack:
        yield Found("evals", State.WARNING, lack.text, lack.remedy)
    elif any(c.use == "lm-eval" for p in wiring.rules.pipelines for c in p.checks):
        yield Found("evals", State.GOOD, "lm-eval and torch are installed")
    else:
        yield Found("evals", State.GOOD, "no pipeline uses lm-eval")


def _channels(wiring: Wiring) -> Iterator[Found]:
    rules, remedy = wiring.rules, "Correct it in the pipelines file: `proctor lint` says where."
    wrong = channels.unusable(rules)
    for name, why in wrong.items():
        yield Found("channels", State.BAD, f"{name} cannot be used: {why}", remedy)
    with wiring.ledger.view() as view:
        down = failing(view)
    remedy = "Mend it, or correct the channel; what waits is then sent."
    for each in down:
        told = attendance.channel_told(each, wiring.clock.now())
        yield Found("channels", State.WARNING, wiring.redact(told), remedy)
    if not wrong and not down:
        names = ", ".join(sorted(rules.channels))
        yield Found("channels", State.GOOD, f"can be used: {names}; nothing was sent to try them")


LOOKS: Final = (
    _configuration,
    _database,
    _broker,
    _disk,
    _secret,
    _hub,
    _channels,
    _evals,
    _workers,
)
"""In the order in which they are shown."""
