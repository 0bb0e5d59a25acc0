"""The webhook secret: what a stranger can learn, and where it may turn up."""

from __future__ import annotations

import ast
import hmac
import inspect
from collections.abc import Callable
from urllib.parse import quote

import pytest
from tests.web.conftest import SECRET, Site, sample

from proctor.core.secret import Secret
from proctor.web import authentic
from proctor.web.authentic import Gate

PUSH = sample("repo.content-push")


def test_a_secret_is_compared_in_constant_time_and_nowhere_else() -> None:
    """Timing a comparison over a network is no test; that there is only one of them, and that it
    is the constant one, is."""
    tree = ast.parse(inspect.getsource(authentic))
    matches = next(
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "_matches"
    )
    (loop,) = (
        n for n in ast.walk(matches) if isinstance(n, ast.For) and "known" in ast.dump(n.target)
    )
    # Every known secret is compared, whatever the first ones said.
    assert not any(isinstance(n, ast.Break | ast.Return | ast.If) for n in ast.walk(loop))
    assert not any(isinstance(n, ast.Compare) for n in ast.walk(matches))
    calls = [n for n in ast.walk(loop) if isinstance(n, ast.Call)]
    assert [ast.unparse(call.func) for call in calls] == ["hmac.compare_digest"]
    # Nothing else looks at the digests of the secrets.
    uses = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr == "_digests"]
    assert len(uses) == 3  # made, empty or not, compared


def test_what_is_compared_has_one_length(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def watched(a: bytes, b: bytes) -> bool:
        seen.append((len(a), len(b)))
        return real(a, b)

    monkeypatch.setattr("proctor.web.authentic.hmac.compare_digest", watched)
    gate = Gate([Secret("short"), Secret("a-very-much-longer-secret")])
    for presented in (b"s", b"short", b"x" * 50_000):
        gate.refusal([(b"x-webhook-secret", presented)], b"")
    assert len(seen) == 6  # each with both, also where the first was right
    assert set(seen) == {(32, 32)}


def test_a_refusal_does_not_tell_how_near_one_was(site: Site) -> None:
    wrong = [SECRET[:-1], SECRET + "x", "x" + SECRET[1:], SECRET.upper(), "x", f" {SECRET}x"]
    answers = [site.ask("POST", "/webhooks/hub", PUSH, {"X-Webhook-Secret": s}) for s in wrong]
    assert {a.status for a in answers} == {401}
    assert len({a.body for a in answers}) == 1


PLACES: dict[str, tuple[str, dict[str, str]]] = {
    "webhook id": ("", {"Webhook-Id": SECRET}),
    "webhook id, spelled": ("", {"Webhook-Id": quote(SECRET, safe="")}),
    "user agent": ("", {"User-Agent": f"curl ({SECRET})"}),
    "a form": ("", {"X-Form": SECRET.replace("+", "%2B")}),
    "query of another name": (f"?key={quote(SECRET, safe='')}", {}),
    "query and header": (f"?secret={quote(SECRET, safe='')}", {"X-Webhook-Secret": SECRET}),
    "forwarded address": ("", {"X-Forwarded-Uri": f"/webhooks/hub?secret={quote(SECRET)}"}),
    "content type": ("", {"Content-Type": f"application/json; a={SECRET}"}),
}


@pytest.mark.parametrize("place", PLACES)
def test_wherever_the_secret_is_written_it_is_not_kept(site: Site, place: str) -> None:
    query, headers = PLACES[place]
    sent = {"X-Webhook-Secret": SECRET, **headers}
    assert site.ask("POST", f"/webhooks/hub{query}", PUSH, sent).status == 202
    # The fixture searches all rows and the log.


def test_wrong_ones_are_not_kept_either(
    start: Callable[..., Site], caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong secret may be the right one of something else."""
    site = start()
    for path in ("/webhooks/hub", "/nothing", "/webhooks/hub/", "//webhooks/hub"):
        query = "?secret=hunter2&token=hunter2"
        site.ask("POST", path + query, PUSH, {"X-Webhook-Secret": "hunter2"})
        site.ask("GET", path + query)
    assert "hunter2" not in caplog.text
