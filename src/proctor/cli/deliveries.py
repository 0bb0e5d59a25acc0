"""deliveries: what the receiver took in, and what became of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from proctor.cli.pictures import STYLES, Facts, console, when
from proctor.cli.session import opened, show_json
from proctor.core.event import Disposition
from proctor.core.harmless import harmless
from proctor.flow import views


def deliveries(
    disposition: Annotated[
        Disposition | None,
        typer.Option(
            metavar="WORD",
            help="Only those of which this became, as quarantined (they could not be read).",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print facts as JSON.")] = False,
) -> None:
    """The newest deliveries, and what became of each.

    A delivery is one POST of the Hub to the receiver. Of those that could not be read the
    beginning is shown.
    """
    with opened() as wiring, wiring.ledger.view() as view:
        facts = views.deliveries(view, disposition, limit)
    if as_json:
        show_json(facts)
        return
    out, shown = console(), harmless(facts)
    if not shown:
        what = f"No delivery on record is {disposition.value}." if disposition else ""
        out.print(what or "No delivery is on record yet.")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("received", "disposition"):
        table.add_column(column, no_wrap=True)
    table.add_column("of", overflow="fold")
    table.add_column("why", overflow="fold")
    for each in shown:
        word = each["disposition"]
        table.add_row(
            when(each["received_at"]), Text(word, _STYLES.get(word, "")), _of(each), _why(each)
        )
    out.print(table)


_STYLES = {**STYLES, "quarantined": "yellow", "rejected": "red", "ran": "green"}


def _of(delivery: Facts) -> Text:
    event: Any = delivery["event"]
    if event is None:
        return Text(f"{delivery['bytes']:,} bytes")
    return Text(f"{event['repo']} {event['scope']}")


def _why(delivery: Facts) -> Text:
    said = Text(delivery["reason"])
    if delivery["begins"]:
        said.append(f"\nbegins: {delivery['begins']}", "dim")
    return said
