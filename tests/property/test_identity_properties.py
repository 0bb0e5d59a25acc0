"""For any body: parsing never surprises, and identity hangs on meaning, not on spelling."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proctor.core.event import Payload
from proctor.core.identity import identify
from proctor.core.payload import SCOPES, parse
from proctor.core.strict_json import Unreadable

shas = st.text("0123456789abcdef", min_size=40, max_size=40)
texts = st.text(max_size=20)
leaves = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    leaves, lambda v: st.lists(v, max_size=4) | st.dictionaries(texts, v, max_size=4), max_leaves=12
)


@st.composite
def bodies(draw: st.DrawFn) -> dict[str, Any]:
    """A valid body of any scope, with unknown keys."""
    finite = st.recursive(
        st.none() | st.booleans() | st.integers() | texts,
        lambda v: st.lists(v, max_size=3) | st.dictionaries(texts, v, max_size=3),
        max_leaves=6,
    )
    body: dict[str, Any] = {
        "event": {
            "action": draw(st.sampled_from(["create", "update", "delete", "move", "archive"])),
            "scope": draw(st.sampled_from([*SCOPES, "repo.config.dois", "billing"])),
        },
        "repo": {
            "type": draw(st.sampled_from(["model", "dataset", "space"])),
            "name": "acme/chat",
            "id": draw(st.text("0123456789abcdef", min_size=24, max_size=24)),
            "headSha": draw(st.none() | shas),
        },
        "webhook": {"id": "6390e855e30d9209411de93b", "version": 3},
        "updatedRefs": draw(
            st.none()
            | st.lists(
                st.fixed_dictionaries(
                    {
                        "ref": st.sampled_from(["refs/heads/main", "refs/pr/1", "refs/tags/v1"]),
                        "oldSha": st.none() | shas,
                        "newSha": st.none() | shas,
                    }
                ),
                max_size=3,
            )
        ),
        "updatedConfig": draw(st.none() | st.dictionaries(texts, st.booleans(), max_size=3)),
        "extra": draw(finite),
    }
    if draw(st.booleans()):
        body["comment"] = {"id": "c" * 24, "content": draw(st.text("ab/", max_size=5))}
    return body


def _shuffled(value: Any, chance: Any) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        chance.shuffle(keys)
        return {key: _shuffled(value[key], chance) for key in keys}
    if isinstance(value, list):
        return [_shuffled(item, chance) for item in value]
    return value


def _read(body: Any, **spelling: Any) -> Payload:
    return parse(json.dumps(body, **spelling).encode())


@given(bodies(), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_identity_ignores_the_order_of_keys_and_the_spelling(body: Any, chance: Any) -> None:
    one = _read(body)
    other = _read(_shuffled(body, chance), indent=1, ensure_ascii=False)
    for webhook_id in (None, "abc"):
        assert identify(webhook_id, one, received_at=1e9, unique="u") == identify(
            webhook_id, other, received_at=1e9, unique="u"
        )


@given(
    bodies(),
    st.text(min_size=1, max_size=60),
    st.floats(1e9, 2e9),
    st.floats(1e9, 2e9),
)
@settings(max_examples=100)
def test_retries_and_replays_keep_the_identity(
    body: Any, webhook_id: str, first: float, later: float
) -> None:
    payload = _read(body)
    assert identify(webhook_id, payload, received_at=first, unique="1") == identify(
        webhook_id, payload, received_at=later, unique="2"
    )


@given(bodies(), st.text(max_size=10), st.text(max_size=10))
@settings(max_examples=100)
def test_another_webhook_id_is_another_event(body: Any, one: str, other: str) -> None:
    payload = _read(body)
    same = identify(one, payload, received_at=1e9, unique="1") == identify(
        other, payload, received_at=1e9, unique="1"
    )
    assert same == (one == other)


@given(st.binary(max_size=200))
@settings(max_examples=200)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    _read_or_refused(body)


@given(values)
@settings(max_examples=200)
def test_any_json_is_read_or_refused(value: Any) -> None:
    _read_or_refused(json.dumps(value).encode())


@given(bodies(), st.data())
@settings(max_examples=300)
def test_any_field_of_any_value_is_read_or_refused(body: Any, data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(["", "event", "repo", "webhook", "comment"]))
    target = body if not place else body.setdefault(place, {})
    target[data.draw(st.sampled_from([*target, "discussion", "movedTo", "num"]))] = data.draw(
        values
    )
    _read_or_refused(json.dumps(body).encode())


def _read_or_refused(body: bytes) -> None:
    try:
        payload = parse(body)
    except Unreadable as refused:
        reason = str(refused)
        assert reason.isprintable()
        assert 0 < len(reason) < 300
    else:
        # What is read can be stored and told: no half characters, no control characters.
        for text in (payload.repo_id, payload.repo_name, payload.scope, payload.action):
            assert text.isprintable()
            assert text.isascii()
        (payload.comment or "").encode()
        assert len(identify(None, payload, received_at=0.0, unique="u")) == 64
