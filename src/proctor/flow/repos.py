"""Which repo a person means."""

from __future__ import annotations

from collections.abc import Sequence

from proctor.core.errors import Refused
from proctor.core.record import KnownRepo
from proctor.ports.ledger import Transaction, View


def one_repo(view: View, name: str) -> KnownRepo:
    """The one repo on record called `name`. Raises Refused with what is on record."""
    found: Sequence[KnownRepo] = view.repos_named(name)
    found = [k for k in found if not k.gone_because] or found
    if len(found) == 1:
        return found[0]
    if found:
        kinds = ", ".join(k.repo.type.value for k in found)
        raise Refused(f"several repos are called {name}: {kinds}")
    known = ", ".join(k.repo.name for k in view.known_repos()[:10]) or "none yet"
    raise Refused(
        f"repo {name} is not on record (known: {known}): nothing was heard of it yet. The next "
        "push to it will put it there, or the sweep, where a pipeline names its owner"
    )


def locked_repo(tx: Transaction, name: str) -> KnownRepo:
    """As `one_repo`, and locked until the end of the transaction: no look at the repo and no other
    request comes in between. To be read before anything else is locked. Raises Refused."""
    named = one_repo(tx, name)
    return tx.known_repo(named.repo.hub_id) or named
