"""Bodies to payloads: what is read, what is widened, what is refused and why."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proctor.core.event import RefUpdate
from proctor.core.names import RepoType, Revision
from proctor.core.payload import parse, widen
from proctor.core.strict_json import Unreadable

SAMPLES = Path(__file__).parents[2] / "fixtures" / "webhooks"
OLD = Revision("ce9a4674fa833a68d5a73ec355f0ea95eedd60b7")
NEW = Revision("575db8b7a51b6f85eb06eee540738584589f131c")


def sample(name: str) -> bytes:
    return (SAMPLES / name / "body.json").read_bytes()


def changed(change: Callable[[dict[str, Any]], object], name: str = "repo.content-push") -> bytes:
    body = json.loads(sample(name))
    change(body)
    return json.dumps(body).encode()


def test_a_push_tells_its_repo_and_every_ref_that_moved() -> None:
    payload = parse(sample("repo.content-push-and-tag"))
    assert payload.subscription == "6390e855e30d9209411de93b"
    assert (payload.scope, payload.action) == ("repo.content", "update")
    assert payload.repo_type is RepoType.MODEL
    assert payload.repo_id == "6366c000a2abcdf2fd69a080"
    assert payload.repo_name == "acme/chat-small"
    assert payload.head == NEW
    assert payload.updates == (
        RefUpdate("refs/heads/main", OLD, NEW),
        RefUpdate("refs/tags/v2", None, NEW),
    )


def test_the_head_is_that_of_main_whatever_ref_moved() -> None:
    payload = parse(sample("repo.content-pull-request"))
    assert payload.head == NEW
    assert [u.ref for u in payload.updates] == ["refs/pr/3"]
    assert payload.updates[0].new != payload.head


def test_a_deleted_branch_has_no_new_sha() -> None:
    assert parse(sample("repo.content-branch-deleted")).updates[0].new is None


def test_a_move_tells_the_new_name() -> None:
    assert parse(sample("repo-move")).moved_to == "acme/chat-tiny"


def test_a_new_name_without_its_owner_is_not_used() -> None:
    body = changed(lambda b: b["movedTo"].update(name="chat-tiny"), "repo-move")
    assert parse(body).moved_to is None


def test_a_comment_tells_its_text_and_a_hidden_one_none() -> None:
    assert parse(sample("discussion.comment-create")).comment == "/proctor rerun"
    assert parse(sample("discussion.comment-create")).discussion == 3
    assert parse(sample("discussion.comment-hidden")).comment is None


@pytest.mark.parametrize("name", sorted(p.name for p in SAMPLES.iterdir() if p.is_dir()))
def test_every_sample_can_be_read(name: str) -> None:
    assert parse(sample(name)).repo_id == "6366c000a2abcdf2fd69a080"


@pytest.mark.parametrize(
    ("as_sent", "known"),
    [
        ("repo", "repo"),
        ("repo.content", "repo.content"),
        ("repo.content.lfs", "repo.content"),
        ("repo.config.dois", "repo.config"),
        ("repo.config.dois.minted", "repo.config"),
        ("repo.stars", "repo"),
        ("discussion.reaction", "discussion"),
        ("discussion.comment.pin", "discussion.comment"),
        ("repository.content", "repository.content"),
        ("billing", "billing"),
        ("repo.", "repo"),
    ],
)
def test_a_narrower_scope_counts_as_the_broader_one(as_sent: str, known: str) -> None:
    assert widen(as_sent) == known


def test_any_action_on_a_narrower_scope_is_an_update() -> None:
    payload = parse(changed(lambda b: b["event"].update(scope="repo.config.dois", action="mint")))
    assert (payload.scope, payload.action) == ("repo.config", "update")
    assert payload.scope_as_sent == "repo.config.dois"


def test_an_unknown_scope_still_names_its_repo() -> None:
    payload = parse(sample("unknown-scope"))
    assert (payload.scope, payload.action) == ("billing", "create")
    assert payload.repo_name == "acme/chat-small"


def test_unknown_keys_actions_and_versions_are_no_obstacle() -> None:
    def change(body: dict[str, Any]) -> None:
        body["event"]["action"] = "archive"
        body["webhook"]["version"] = 4
        body["new"] = {"deep": [1, None, {"er": 1.5}]}
        body["repo"]["new"] = [["x"]]

    assert parse(changed(change)).action == "archive"


def test_a_missing_optional_field_is_no_obstacle() -> None:
    payload = parse(changed(lambda b: (b.pop("updatedRefs"), b["repo"].pop("headSha"))))
    assert payload.updates == ()
    assert payload.head is None


def _bad_bytes() -> Iterator[tuple[str, bytes, str]]:
    deep = 100_000
    yield "empty", b"", "empty"
    yield "blank", b" \r\n", "empty"
    yield "not json", b"payload=1", "not JSON"
    yield "cut", sample("repo-move")[:-20], "not JSON"
    yield "not utf-8", b'{"a": "\xff"}', "not UTF-8"
    yield "utf-16", '{"a": 1}'.encode("utf-16"), "not UTF-8"
    yield "gzip", b"\x1f\x8b\x08\x00\x00", "not UTF-8"
    yield "a list", b"[]", "the body is a list, not an object"
    yield "null", b"null", "the body is missing"
    yield "NaN", b'{"a": NaN}', "NaN is not a number"
    yield "Infinity", b'{"a": -Infinity}', "-Infinity is not a number"
    yield "deep lists", b"[" * deep + b"]" * deep, "nested too deeply"
    yield "deep objects", b'{"a":' * deep + b"1" + b"}" * deep, "nested too deeply"
    yield "a long number", b'{"a": ' + b"9" * 5000 + b"}", "a number of 5000 digits"
    yield "a key twice", b'{"a": 1, "b": {"c": 1, "c": 2}}', "the key 'c' is there twice"
    yield "NUL outside a string", b'{"a": \x00}', "not JSON"


@pytest.mark.parametrize(
    ("body", "reason"), [pytest.param(b, r, id=name) for name, b, r in _bad_bytes()]
)
def test_bytes_that_are_no_json_are_refused_with_a_reason(body: bytes, reason: str) -> None:
    with pytest.raises(Unreadable) as refused:
        parse(body)
    assert reason in str(refused.value)


def _put(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(body: Any) -> None:
        for key in path[:-1]:
            body = body[key]
        body[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda b: b.pop("event"), "event is missing"),
        (lambda b: b.pop("repo"), "repo is missing"),
        (lambda b: b.pop("webhook"), "webhook is missing"),
        (lambda b: b["repo"].pop("id"), "repo.id is missing"),
        (lambda b: b["repo"].pop("name"), "repo.name is missing"),
        (lambda b: b["event"].pop("scope"), "event.scope is missing"),
        (_put("event", value="push"), "event is text, not an object"),
        (_put("event", "scope", value=["repo"]), "event.scope is a list, not text"),
        (_put("event", "action", value={}), "event.action is an object, not text"),
        (_put("repo", "id", value=12), "repo.id is a number, not text"),
        (_put("repo", "private", value="no"), "repo.private is text"),
        (_put("repo", "headSha", value="main"), "repo.headSha is 'main', not a full commit sha"),
        (_put("repo", "headSha", value=1), "repo.headSha is a number"),
        (_put("repo", "type", value="bucket"), "repo.type is 'bucket', not one of model, dataset"),
        (_put("updatedRefs", value={}), "updatedRefs is an object, not a list"),
        (_put("updatedRefs", 0, value=None), "updatedRefs[0] is missing"),
        (_put("updatedRefs", 0, "newSha", value=NEW.upper()), "updatedRefs[0].newSha is"),
        (_put("updatedRefs", 0, "ref", value="main"), "updatedRefs[0].ref is 'main'"),
        (_put("updatedRefs", 0, "ref", value="refs/heads/../x"), "not the name of a ref"),
        (_put("updatedRefs", 0, "ref", value="refs/heads/a\u202eb"), "not the name of a ref"),
        (_put("updatedRefs", 0, "ref", value="refs/heads/a\x00b"), "not the name of a ref"),
        (_put("discussion", value=[]), "discussion is a list, not an object"),
        (_put("discussion", value={"num": True}), "discussion.num is true or false"),
        (_put("comment", value={"content": 5}), "comment.content is a number"),
        (_put("comment", value={"content": "\ud800"}), "half a character"),
    ],
)
def test_fields_that_cannot_be_used_are_refused_with_a_reason(
    change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    with pytest.raises(Unreadable) as refused:
        parse(changed(change))
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "acme/..",
        "./x",
        "acme/a..b",
        "acme/chat\x00",
        "acme/chat\r\nSet-Cookie: a=b",
        "acme/\x1b[31mred",
        "acme/" + "a" * 5000,
        "acme/\u202elamron",
        "acme/שלום",
        "acme/\ud800",
        "acme/chat/small",
        "/chat",
        "acme/",
        "",
        " ",
        "<script>/x",
        "acme/chat small",
    ],
)
@pytest.mark.parametrize("field", ["name", "id"])
def test_hostile_names_are_refused_and_shown_harmlessly(field: str, name: str) -> None:
    with pytest.raises(Unreadable) as refused:
        parse(changed(_put("repo", field, value=name)))
    reason = str(refused.value)
    assert reason.replace("…", "").isascii()
    assert reason.isprintable()
    assert len(reason) < 150


@pytest.mark.parametrize("name", ["gpt2", "acme/chat-small", "a-b_c.d/E.f-1"])
def test_ordinary_names_are_taken(name: str) -> None:
    assert parse(changed(_put("repo", "name", value=name))).repo_name == name


def test_a_branch_may_have_a_name_in_any_script() -> None:
    ref = "refs/heads/größer-שלום"
    body = changed(_put("updatedRefs", 0, "ref", value=ref))
    assert parse(body).updates[0].ref == ref


def test_nesting_near_the_interpreters_limit_is_refused_not_raised() -> None:
    limit = sys.getrecursionlimit()
    outcomes = set()
    for depth in range(limit - 400, limit + 100, 5):
        body = changed(lambda b: b["event"].update(scope="billing"))
        nested = body[:-1] + b', "x": ' + b"[" * depth + b"]" * depth + b"}"
        try:
            parse(nested)
            outcomes.add("read")
        except Unreadable as e:
            outcomes.add(str(e))
    assert outcomes == {"read", "the body is nested too deeply"}


def test_many_keys_with_one_twice_are_refused_quickly() -> None:
    keys = b",".join(b'"k%d":1' % n for n in range(80_000))
    with pytest.raises(Unreadable, match="'k79999' is there twice"):
        parse(b"{" + keys + b',"k79999":2}')
