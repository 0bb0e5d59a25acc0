"""A valid file becomes rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from proctor import plugins
from proctor.config import ConfigMissing, load, starter
from proctor.core.gate import AtLeast, AtMost
from proctor.core.names import RepoType
from proctor.core.rule import CheckSpec, Match, Rules, Stage
from proctor.core.secret import Secret

from .conftest import Loaded

# apprise imports the standard library's imghdr, which is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

PIPELINES = Path(__file__).parents[2] / "fixtures" / "pipelines"
SLACK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
ENVIRON = {
    "SLACK_WEBHOOK_URL": SLACK,
    "PAGER_URL": "json://pager.example/geheim",
    "MAIL_URL": "mailto://user:geheim@mail.example",
    "ARCHIVE_URL": "https://archive.example/in",
    "ARCHIVE_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}

WHOLE = """
    stages: [{name: staging}, {name: prod, after: staging}]
    pipelines:
      - name: data
        match: {type: dataset, repo: "acme/*", ref: refs/heads/next}
        checks:
          - {use: card, with: {require: [license]}}
          - {use: files, name: weights, needs: [card]}
        gate:
          - {metric: card/missing_keys, at_most: 0}
          - {metric: weights/weight_files, at_least: 1}
        promote: [staging, prod]
        notify: [ops]
      - name: bare
        match: {repo: a/b}
        checks: [{use: card}]
        gate: [{metric: card/keys, at_least: 1}]
    channels: {ops: {use: apprise, urls: ["env:PAGER_URL", "env:MAIL_URL"]}}
"""


def test_every_part_of_the_file_arrives(loaded: Loaded) -> None:
    rules = loaded(WHOLE, ENVIRON)
    assert rules.stages == (Stage("staging"), Stage("prod", "staging"))
    first, second = rules.pipelines
    assert first.match == Match("acme/*", RepoType.DATASET, "refs/heads/next")
    assert first.checks == (
        CheckSpec("card", "card", {"require": ["license"]}),
        CheckSpec("weights", "files", {}, ("card",)),
    )
    assert first.gate == (AtMost("card/missing_keys", 0), AtLeast("weights/weight_files", 1))
    assert first.promote == ("staging", "prod")
    assert first.notify == ("ops",)
    assert second.match == Match("a/b", RepoType.MODEL, "refs/heads/main")
    assert (second.promote, second.notify) == ((), ())


def test_secrets_of_channels_stay_secrets(loaded: Loaded) -> None:
    rules = loaded(WHOLE, ENVIRON)
    urls = [Secret(ENVIRON["PAGER_URL"]), Secret(ENVIRON["MAIL_URL"])]
    assert rules.channels["ops"].parameters == {"urls": urls}
    assert "geheim" not in repr(rules)
    assert all("geheim" not in f"{value}" for value in rules.channels["ops"].parameters.values())


def test_a_channel_log_is_always_there(loaded: Loaded) -> None:
    rules = loaded(WHOLE, ENVIRON)
    assert rules.channels["log"].use == "log"
    assert plugins.build_notifier(rules.channels["log"])


def test_a_variable_may_be_a_file(loaded: Loaded, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("json://pager.example/x\n")
    environ = {"PAGER_URL_FILE": str(tmp_path / "url"), "MAIL_URL": "mailto://u:p@mail.example"}
    urls = loaded(WHOLE, environ).channels["ops"].parameters["urls"]
    assert isinstance(urls, list)
    assert urls[0] == Secret("json://pager.example/x")


def test_slack_is_short_for_apprise(loaded: Loaded) -> None:
    text = WHOLE.replace("use: apprise, urls:", "use: slack, urls:")
    environ = ENVIRON | {"PAGER_URL": SLACK, "MAIL_URL": SLACK}
    channel = loaded(text, environ).channels["ops"]
    assert (channel.use, channel.parameters["service"]) == ("apprise", "slack")
    assert plugins.build_notifier(channel)


def test_only_what_is_written_counts_for_the_gate(loaded: Loaded) -> None:
    """A new parameter of a plugin, left at its default, must not void verdicts."""
    spec = loaded(WHOLE, ENVIRON).pipelines[0].checks[1]
    assert spec.parameters == {}


def test_what_a_named_folder_holds_counts_for_the_gate(loaded: Loaded, tmp_path: Path) -> None:
    text = WHOLE.replace("{use: card}]", "{use: lm-eval, with: {tasks: [t], include_path: t/}}]")
    text = text.replace("card/keys", "lm-eval/t/acc")
    (tmp_path / "t").mkdir()
    digests = set()
    for documents in ("one", "two"):
        (tmp_path / "t" / "t.jsonl").write_text(documents)
        pipeline = loaded(text, ENVIRON).pipelines[1]
        assert pipeline.checks[0].content.keys() == {"t/"}
        digests.add(pipeline.gate_digest())
    assert len(digests) == 2


def test_anchors_and_merges_are_understood(loaded: Loaded) -> None:
    rules = loaded(
        """
        pipelines:
          - &base
            name: one
            match: &match {repo: acme/a}
            checks: [{use: card}]
            gate: [{metric: card/keys, at_least: 1}]
          - {<<: *base, name: two, match: {<<: *match, repo: acme/b}}
        """
    )
    assert [(p.name, p.match.repo) for p in rules.pipelines] == [
        ("one", "acme/a"),
        ("two", "acme/b"),
    ]


def test_the_starter_loads(loaded: Loaded) -> None:
    rules = loaded(starter())
    assert rules.pipelines
    assert {c.name for p in rules.pipelines for c in p.checks} == {"card", "files"}


def test_a_missing_file_is_answered_with_a_starter(tmp_path: Path) -> None:
    with pytest.raises(ConfigMissing) as caught:
        load(tmp_path / "proctor.yaml", {})
    assert caught.value.starter == starter()
    assert starter() in str(caught.value)
    assert "no such file" in str(caught.value)


@pytest.mark.parametrize("path", sorted(PIPELINES.glob("*.yaml")), ids=lambda p: str(p.stem))
def test_every_example_loads_and_its_checks_can_be_built(path: Path) -> None:
    rules: Rules = load(path, ENVIRON)
    assert rules.pipelines
    for pipeline in rules.pipelines:
        for spec in pipeline.checks:
            assert plugins.build_check(spec).queue in ("io", "eval")
    for channel in rules.channels.values():
        assert plugins.build_notifier(channel)
