"""Webhook bodies: bytes to a validated value. Total: whatever the bytes, a Payload or Unreadable.

Strict in the fields that Proctor uses, blind to all others: keys, actions and versions may be
added by the Hub at any time. What cannot be used is refused with a reason; it is then kept for a
person, never answered with an error (the Hub suspends webhooks that answer so).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, TypeVar

from proctor.core.event import Payload, RefUpdate
from proctor.core.evidence import Json, digest
from proctor.core.names import RepoType, Revision, is_revision
from proctor.core.strict_json import Unreadable, read, shown

SCOPES: Final = ("repo", "repo.content", "repo.config", "discussion", "discussion.comment")
"""https://huggingface.co/docs/hub/webhooks#event"""

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME = re.compile(r"(?:[A-Za-z0-9_.-]{1,96}/)?[A-Za-z0-9_.-]{1,96}")
_REF = re.compile(r"refs/[^\s~^:?*\[\\]{1,500}")  # https://git-scm.com/docs/git-check-ref-format
_TYPES: Final[Mapping[str, RepoType]] = {kind.value: kind for kind in RepoType}
_SURROGATE = re.compile("[\ud800-\udfff]")

_T = TypeVar("_T", bool, int, str)
_Object = Mapping[str, Json]


def parse(body: bytes, *, fingerprint: bool = True) -> Payload:
    """The payload that a webhook body tells. Raises Unreadable, and nothing else.

    The fingerprint takes as long as all the rest: a delivery with a Webhook-Id needs none.
    """
    told = _object(read(body), "the body")
    event = _object(told.get("event"), "event")
    # "In the current version of webhooks, the top-level property repo is always specified"
    # https://huggingface.co/docs/hub/webhooks#repo
    repo = _object(told.get("repo"), "repo")
    discussion = _optional_object(told, "discussion")
    comment = _optional_object(told, "comment")
    as_sent = _matching(_WORD, event.get("scope"), "event.scope")
    action = _matching(_WORD, event.get("action"), "event.action")
    scope = widen(as_sent)
    try:
        return Payload(
            subscription=_matching(
                _ID, _object(told.get("webhook"), "webhook").get("id"), "webhook.id"
            ),
            action=action if scope == as_sent else "update",
            scope=scope,
            scope_as_sent=as_sent,
            repo_type=_repo_type(repo.get("type")),
            repo_id=_matching(_ID, repo.get("id"), "repo.id"),
            repo_name=_repo_name(repo.get("name"), "repo.name"),
            private=_optional(bool, repo, "private", "repo.private") or False,
            # The head of main, whatever ref the event is about.
            # https://huggingface.co/docs/hub/webhooks#repo
            head=_revision(repo.get("headSha"), "repo.headSha"),
            updates=_updates(told.get("updatedRefs")),
            moved_to=_moved_to(told),
            discussion=_optional(int, discussion, "num", "discussion.num"),
            comment=_text(comment, "content", "comment.content"),
            fingerprint=_fingerprint(as_sent, action, told) if fingerprint else None,
        )
    except RecursionError:  # an ignored part that was just shallow enough to be read
        raise Unreadable("the body is nested too deeply") from None


def widen(scope: str) -> str:
    """The known scope that `scope` is, or is a narrower part of.

    "Your webhook handler can consider any action on a narrowed scope to be an "update" action on
    the broader scope" (https://huggingface.co/docs/hub/webhooks#event). A scope that is part of
    no known one stays as it is: its event still names a repo, and a look at it costs little.
    """
    part = scope
    while part not in SCOPES:
        part, dot, _ = part.rpartition(".")
        if not dot:
            return scope
    return part


def _fingerprint(scope: str, action: str, told: _Object) -> str | None:
    """Digest of what makes this event this event, by scope as sent.

    No names of repos (a rename would change them) and no URLs. Numbers, lists and texts may be
    of any type here: they are compared, not used.
    """
    repo = _object(told.get("repo"), "repo")
    webhook = _object(told.get("webhook"), "webhook")
    discussion = _optional_object(told, "discussion") or {}
    comment = _optional_object(told, "comment") or {}
    telling: Json
    match scope:
        case "repo.content":  # https://huggingface.co/docs/hub/webhooks#code-changes
            refs = told.get("updatedRefs")
            telling = [
                sorted(digest(r) for r in refs) if isinstance(refs, list) else None,
                repo.get("headSha"),
            ]
        case "repo":
            telling = [repo.get("headSha"), repo.get("name"), told.get("movedTo")]
        case "repo.config":  # https://huggingface.co/docs/hub/webhooks#config-changes
            # "when the updated config key is not supported by the webhook" it is {}: two such
            # bodies may tell two changes, so nothing in them may make one a repetition.
            if not told.get("updatedConfig"):
                return None
            telling = [told.get("updatedConfig"), repo.get("headSha")]
        case "discussion":  # https://huggingface.co/docs/hub/webhooks#discussions-and-pull-requests
            changes = _optional_object(discussion, "changes") or {}
            telling = [
                *(discussion.get(key) for key in ("id", "status", "title", "isPullRequest")),
                changes.get("base"),
                comment.get("id"),
            ]
        case "discussion.comment":  # https://huggingface.co/docs/hub/webhooks#comment
            telling = [
                discussion.get("id"),
                *(comment.get(key) for key in ("id", "hidden", "content")),
            ]
        case _:  # a scope that we do not know: any field of it may be what tells it apart
            telling = told
    return digest([webhook.get("id"), scope, action, repo.get("type"), repo.get("id"), telling])


def _updates(value: Json) -> tuple[RefUpdate, ...]:
    # "Newly created references will have oldSha set to null. Deleted references will have newSha
    # set to null." https://huggingface.co/docs/hub/webhooks#code-changes
    if value is None:
        return ()
    if not isinstance(value, list):
        raise Unreadable(f"updatedRefs is {_kind(value)}, not a list")
    return tuple([_update(item, f"updatedRefs[{at}]") for at, item in enumerate(value)])


def _update(value: Json, where: str) -> RefUpdate:
    told = _object(value, where)
    ref = _matching(_REF, told.get("ref"), where, ".ref")
    if ".." in ref or not ref.isprintable():
        raise Unreadable(f"{where}.ref is {shown(ref)}, which is not the name of a ref")
    old, new = told.get("oldSha"), told.get("newSha")
    return RefUpdate(ref, _revision(old, where, ".oldSha"), _revision(new, where, ".newSha"))


def _object(value: Json, where: str) -> _Object:
    if isinstance(
        value, dict
    ):  # what JSON brings; asking for a Mapping takes several times as long
        return value
    if value is None:
        raise Unreadable(f"{where} is missing")
    raise Unreadable(f"{where} is {_kind(value)}, not an object")


def _optional_object(parent: _Object, key: str) -> _Object | None:
    value = parent.get(key)
    return None if value is None else _object(value, key)


def _optional(type: type[_T], parent: _Object | None, key: str, where: str) -> _T | None:
    value = None if parent is None else parent.get(key)
    if value is None:
        return None
    if not isinstance(value, type) or (type is int and isinstance(value, bool)):
        raise Unreadable(f"{where} is {_kind(value)}")
    return value


def _text(parent: _Object | None, key: str, where: str) -> str | None:
    text = _optional(str, parent, key, where)
    if text is not None and _has_lone_surrogate(text):
        raise Unreadable(f"{where} holds half a character (a lone surrogate)")
    return text


def _matching(pattern: re.Pattern[str], value: Json, where: str, part: str = "") -> str:
    """`value`, which `pattern` describes. `where` and `part` together are its place in the body."""
    if isinstance(value, str):
        if pattern.fullmatch(value) and not _has_lone_surrogate(value):
            return value
        raise Unreadable(f"{where}{part} is {shown(value)}, which cannot be one")
    if value is None:
        raise Unreadable(f"{where}{part} is missing")
    raise Unreadable(f"{where}{part} is {_kind(value)}, not text")


def _repo_name(value: Json, where: str) -> str:
    name = _matching(_NAME, value, where)
    if ".." in name or "." in name.split("/"):
        raise Unreadable(f"{where} is {shown(name)}, which cannot be one")
    return name


def _moved_to(told: _Object) -> str | None:
    moved_to = _optional_object(told, "movedTo")
    if moved_to is None:
        return None
    name = _repo_name(moved_to.get("name"), "movedTo.name")
    # The docs do not show this field. Without its owner the name would lead elsewhere.
    return name if "/" in name else None


def _repo_type(value: Json) -> RepoType:
    if isinstance(value, str) and value in _TYPES:
        return _TYPES[value]
    text = _matching(_WORD, value, "repo.type")
    raise Unreadable(f"repo.type is {shown(text)}, not one of {', '.join(RepoType)}")


def _revision(value: Json, where: str, part: str = "") -> Revision | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise Unreadable(f"{where}{part} is {_kind(value)}, not a full commit sha")
    if not is_revision(value):
        raise Unreadable(f"{where}{part} is {shown(value)}, not a full commit sha")
    return Revision(value)


def _has_lone_surrogate(text: str) -> bool:
    return not text.isascii() and _SURROGATE.search(text) is not None


def _kind(value: Json) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case Mapping():
            return "an object"
        case _:
            return "a list"
