"""Webhooks: https://huggingface.co/docs/huggingface_hub/package_reference/webhooks"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from huggingface_hub import WebhookInfo, WebhookWatchedItem
from huggingface_hub.constants import WEBHOOK_DOMAIN_T

from proctor.core.errors import PermanentError, RepoGone
from proctor.core.names import Repo, RepoType
from proctor.hub.reads import account, find
from proctor.hub.translate import Malformed, Missing
from proctor.hub.wire import Wire
from proctor.ports.hub import Webhook

_PREFIX: Mapping[str, str] = {"dataset": "datasets/", "space": "spaces/"}


def webhooks(wire: Wire) -> Sequence[Webhook]:
    """What the token's user has registered."""
    return tuple(_webhook(told) for told in wire.read(wire.api.list_webhooks))


def create_webhook(
    wire: Wire, url: str, watched: Sequence[str], domains: Sequence[str], secret: str
) -> Webhook:
    """Register a webhook, once: after a lost answer read `webhooks` before another try."""
    if not watched:
        raise PermanentError("a webhook has to watch something")
    if not secret.isascii() or not secret:
        raise PermanentError("a webhook's secret has to be ASCII text: it is sent as a header")
    items: list[dict[str, str] | WebhookWatchedItem] = [_watched_item(wire, w) for w in watched]
    redact = wire.redact.also(secret)

    def ask(spelling: Mapping[str, str]) -> WebhookInfo:
        asked = [cast(WEBHOOK_DOMAIN_T, spelling.get(domain, domain)) for domain in domains]
        return wire.once(
            lambda: wire.api.create_webhook(url=url, watched=items, domains=asked, secret=secret),
            redact=redact,
        )

    try:
        return _webhook(ask({}))
    except Malformed:
        # Refused, so nothing was made: the Hub may know the domain by its other name.
        return _webhook(ask(_OTHER_SPELLING))


_OTHER_SPELLING = {"discussion": "discussions"}
"""Documentation and client disagree on the name of this domain; we speak as the documentation."""


def _webhook(told: WebhookInfo) -> Webhook:
    spoken = {theirs: ours for ours, theirs in _OTHER_SPELLING.items()}
    return Webhook(
        id=told.id,
        url=_without_secret(told.url or ""),
        watched=tuple(_PREFIX.get(item.type, "") + item.name for item in told.watched),
        domains=tuple(spoken.get(domain, domain) for domain in told.domains),
        disabled=told.disabled,
    )


def _watched_item(wire: Wire, name: str) -> WebhookWatchedItem:
    if "/" in name:
        repo = _repo(wire, name)
        return WebhookWatchedItem(type=repo.type.value, name=repo.name)
    me = account(wire)
    if name != me.name and (name in me.orgs or _is_org(wire, name)):
        return WebhookWatchedItem(type="org", name=name)
    return WebhookWatchedItem(type="user", name=name)


def _repo(wire: Wire, name: str) -> Repo:
    for kind in (RepoType.DATASET, RepoType.SPACE):
        if name.startswith(_PREFIX[kind]):
            return find(wire, kind, name.removeprefix(_PREFIX[kind]))
    for kind in RepoType:
        try:
            return find(wire, kind, name)
        except RepoGone:
            continue
    raise RepoGone(f"there is no model, dataset or space called {name}")


def _is_org(wire: Wire, name: str) -> bool:
    try:
        wire.get(f"/api/organizations/{quote(name, safe='')}/overview")
    except (Missing, RepoGone):
        return False
    return True


def _without_secret(url: str) -> str:
    """The URL with the value of `?secret=` blotted out."""
    parts = urlsplit(url)
    if "secret" not in parts.query:
        return url
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [(key, "***" if key == "secret" else value) for key, value in pairs]
    return urlunsplit(parts._replace(query=urlencode(kept, safe="*")))
