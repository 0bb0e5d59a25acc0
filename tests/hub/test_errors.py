"""Which error of ours each refusal becomes, and that none of them tells a secret."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import pytest

from proctor.core.errors import (
    AccessDenied,
    PermanentError,
    ProctorError,
    RepoGone,
    RepoReplaced,
    RevisionGone,
    TokenRefused,
    TransientError,
)
from proctor.core.names import Repo, RepoType
from proctor.hub import HuggingFaceHub
from proctor.hub.translate import Redactor

if TYPE_CHECKING:
    from tests.hub.conftest import Stub

REFS = "/api/models/acme/bot/refs"
BAD_TOKEN = {"X_Error_Message": "Invalid credentials in Authorization header"}


@pytest.mark.parametrize(
    ("token", "status", "headers", "expected"),
    [
        ("ours", 401, BAD_TOKEN, TokenRefused),
        ("ours", 401, {"X_Error_Message": "User Access Token is expired"}, TokenRefused),
        ("ours", 401, {"X_Error_Code": "RepoNotFound"}, TokenRefused),
        (None, 401, {"X_Error_Code": "RepoNotFound"}, RepoGone),
        (None, 401, {}, RepoGone),
        ("ours", 403, {}, AccessDenied),
        ("ours", 403, {"X_Error_Code": "GatedRepo"}, AccessDenied),
        (None, 403, {}, AccessDenied),
        ("ours", 404, {"X_Error_Code": "RepoNotFound"}, RepoGone),
        ("ours", 404, {"X_Error_Code": "RevisionNotFound"}, RevisionGone),
    ],
)
def test_refusals_by_status_and_code(
    stub: Stub,
    connect: Callable[..., HuggingFaceHub],
    repo: Repo,
    token: str | None,
    status: int,
    headers: Mapping[str, str],
    expected: type[ProctorError],
) -> None:
    stub.on("GET", REFS, stub.told({"error": "no"}, status, **headers))
    with pytest.raises(ProctorError) as raised:
        connect(token=token).refs(repo)
    assert type(raised.value) is expected


def test_a_404_without_a_code_does_not_say_that_the_repo_is_gone(
    stub: Stub, hub: HuggingFaceHub
) -> None:
    with pytest.raises(PermanentError) as raised:
        hub.find(RepoType.MODEL, "acme/elsewhere")
    assert not isinstance(raised.value, RepoGone | RevisionGone)


def test_no_secret_in_any_error(stub: Stub, connect: Callable[..., HuggingFaceHub]) -> None:
    hub = connect(token="a-token-of-no-usual-shape")
    echoed = "a-token-of-no-usual-shape hf_SomebodyElsesToken0 https://x.example/?secret=hush"
    for status in (400, 403, 404, 409, 500, 429):
        refused = stub.told({"error": echoed}, status, X_Error_Message=echoed)
        stub.on("GET", "/api/models/acme/bot", refused)
        with pytest.raises(ProctorError) as raised:
            hub.find(RepoType.MODEL, "acme/bot")
        _assert_clean(raised.value, "no-usual-shape", "SomebodyElses", "hush")


def test_a_token_cut_in_two_by_the_length_of_a_message_is_not_told(
    stub: Stub, hub: HuggingFaceHub
) -> None:
    for padding in range(270, 301, 3):
        refused = stub.told({"error": "x" * padding + stub.token}, 400)
        stub.on("GET", "/api/models/acme/bot", refused)
        with pytest.raises(PermanentError) as raised:
            hub.find(RepoType.MODEL, "acme/bot")
        _assert_clean(raised.value, stub.token[3:8])


def test_the_secret_of_a_webhook_is_not_told(stub: Stub, hub: HuggingFaceHub) -> None:
    secret = "s3cr3t-of-hook"
    stub.on("POST", "/api/settings/webhooks", stub.told({"error": f"bad: {secret}"}, 403))
    with pytest.raises(AccessDenied) as raised:
        hub.create_webhook("https://x.example/", ["acme/bot"], ["repo"], secret)
    _assert_clean(raised.value, secret)


def test_a_token_that_cannot_be_a_header_is_not_told(stub: Stub, repo: Repo) -> None:
    token = "hf_Bad\nToken"
    with pytest.raises(ProctorError) as raised:
        HuggingFaceHub(stub.url, token).refs(repo)
    _assert_clean(raised.value, token, repr(token)[1:-1], token[7:])
    assert not isinstance(raised.value, TransientError)


def test_the_token_is_not_in_the_repr(hub: HuggingFaceHub, stub: Stub) -> None:
    assert stub.token not in repr(hub)


def test_redaction() -> None:
    redact = Redactor(["tok", None, ""]).also("shh")
    assert redact("tok hf_Abc123 shh ?secret=abc&d=e") == "*** hf_*** *** ?secret=***&d=e"


def test_a_stranger_is_told_apart_from_a_lost_revision(
    stub: Stub, hub: HuggingFaceHub, repo: Repo
) -> None:
    gone = stub.told({}, 404, X_Error_Code="RevisionNotFound")
    described = f"/api/models/acme/bot/revision/{stub.sha}"
    stub.on("GET", described, gone)
    stub.on("GET", f"/api/models/acme/bot/commits/{stub.sha}", gone)
    with pytest.raises(RevisionGone):
        hub.describe(repo, stub.sha)
    stub.on("GET", "/api/models/acme/bot", stub.identity(hub_id="b" * 24))
    with pytest.raises(RepoReplaced):
        hub.describe(repo, stub.sha)
    with pytest.raises(RepoReplaced):
        hub.history(repo, stub.sha)


def test_a_description_of_another_revision_is_refused(
    stub: Stub, hub: HuggingFaceHub, repo: Repo
) -> None:
    answer = {"_id": repo.hub_id, "id": repo.name, "sha": "b" * 40, "siblings": []}
    stub.on("GET", f"/api/models/acme/bot/revision/{stub.sha}", stub.told(answer))
    with pytest.raises(PermanentError):
        hub.describe(repo, stub.sha)


def test_what_is_no_sha_or_name_is_never_asked_for(
    stub: Stub, hub: HuggingFaceHub, repo: Repo
) -> None:
    for call in (
        lambda: hub.describe(repo, stub.sha.replace("a", "g", 1)),  # type: ignore[arg-type]
        lambda: hub.find(RepoType.MODEL, "../../admin"),
        lambda: hub.find(RepoType.MODEL, "acme/bot/extra"),
    ):
        with pytest.raises(PermanentError):
            call()
    assert stub.seen == []


def test_anonymous_reading_sends_no_token(
    stub: Stub,
    connect: Callable[..., HuggingFaceHub],
    repo: Repo,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_FromTheEnvironment")
    hub = connect(token=None)
    hub.refs(repo)
    with pytest.raises(AccessDenied):
        hub.account()
    assert all("authorization" not in seen.headers for seen in stub.seen)


def _assert_clean(error: ProctorError, *secrets: str) -> None:
    whole = "".join(traceback.format_exception(error))
    chain: BaseException | None = error
    while chain is not None:
        whole += repr(chain)
        chain = chain.__cause__ or chain.__context__
    for secret in secrets:
        assert secret not in whole


def test_what_the_hub_says_steers_no_terminal(
    stub: Stub, connect: Callable[..., HuggingFaceHub], repo: Repo
) -> None:
    stub.on("GET", REFS, stub.told({"error": "\x1b[2J\nno \u202etea\x07"}, 418))
    with pytest.raises(PermanentError, match="418") as raised:
        connect().refs(repo)
    assert str(raised.value).endswith(r": \x1b[2J no \u202etea\x07")
