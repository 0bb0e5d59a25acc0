"""Each mistake in the file is told with its place and a remedy, all of them at once."""

from __future__ import annotations

import pytest

from .conftest import Refused

# A valid file. Each case replaces one line of it (by number, from 1) and says what is told there.
VALID = """\
stages:
- {name: staging}
- {name: prod, after: staging}
pipelines:
- name: one
  match: {repo: "acme/*", ref: refs/heads/main}
  checks:
  - {use: card}
  - {use: files, name: f, needs: [card], with: {}}
  gate:
  - {metric: card/keys, at_least: 1}
  promote: [staging, prod]
  notify: [ops]
channels:
  ops: {use: webhook, url: "https://x.example", secret: "env:KEY"}
"""
ENVIRON = {"KEY": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}

CASES = {
    "unknown key": (2, "- {nam: staging, name: staging}", "unknown key 'nam'", "Known: after"),
    "near key": (3, "- {name: prod, aftr: staging}", "unknown key 'aftr'", "'after'"),
    "near key at the top": (1, "stage: []\nstages:", "unknown key 'stage'", "'stages'?"),
    "missing key": (2, "- {after: staging}", "'name' is missing", "Add `name"),
    "soak": (3, "- {name: prod, after: staging, soak: 1h}", "'soak' is not in this version", ""),
    "approvals": (3, "- {name: prod, approvals: 1}", "'approvals' is not in this version", ""),
    "circle of stages": (2, "- {name: staging, after: prod}", "stages in a circle", "Remove"),
    "stage after itself": (2, "- {name: staging, after: staging}", "in a circle", "Remove one"),
    "unknown after": (3, "- {name: prod, after: stagin}", "unknown stage 'stagin'", "'staging'"),
    "doubled stage": (3, "- {name: staging}", "'staging' is there already", ""),
    "release tag": (3, "- {name: staging-12}", "release tag of stage 'staging'", "another name"),
    "hides a branch": (3, "- {name: main}", "hide the branch", ""),
    "not a tag": (3, "- {name: prod.lock}", "cannot be a git tag", ""),
    "not a tag either": (3, '- {name: "pro d"}', "cannot be a git tag", ""),
    "a sha as a tag": (3, f"- {{name: {'a' * 40}}}", "looks like a commit", ""),
    "name with a slash": (5, "- name: a/b", "'a/b' cannot be a name", "letters"),
    "name of a wrong type": (5, "- name: 1", "'name' should be text", "quotes"),
    "name is given twice": (6, "  name: two\n  match: {repo: a/b}", "given twice", "Keep one"),
    "bare repo": (6, "  match: {repo: acme}", "'acme' is not a pattern", "acme/chat-*"),
    "bare ref": (6, "  match: {repo: a/b, ref: main}", "'main' is not a branch", "refs/heads/main"),
    "ref is a tag": (6, "  match: {repo: a/b, ref: refs/tags/x}", "is not a branch", "in full"),
    "ref is a glob": (6, '  match: {repo: a/b, ref: "refs/heads/*"}', "one branch", "`repo` only"),
    "type": (6, "  match: {repo: a/b, type: modle}", "'type' should be 'model', 'dataset'", ""),
    "unknown check": (8, "  - {use: crad, name: card}", "no plugin 'crad'", "Did you mean 'card'?"),
    "doubled check": (9, "  - {use: card}", "'card' is there already", "`name` of its own"),
    "name of a check": (8, "  - {use: card, name: a/b}", "'a/b' cannot be a name", ""),
    "parameter": (9, "  - {use: files, with: {format: [gguf]}}", "unknown key 'format'", "formats"),
    "parameter's type": (
        8,
        "  - {use: card, with: {licences: mit}}",
        "'licences' should be a list",
        "[a, b]",
    ),
    "item's type": (
        8,
        "  - {use: card, with: {require: [a, 2]}}",
        "'item 2 of require' should be text",
        "quotes",
    ),
    "parameter's value": (
        9,
        "  - {use: files, with: {formats: [zip]}}",
        "'formats' has the unknown format 'zip'",
        "Correct",
    ),
    "more than can be": (
        8,
        "  - {use: lm-eval, name: card, with: {tasks: [t]}}\n"
        "  gate: [{metric: card/t/acc, at_least: 80}, {metric: card/t/mcc, at_most: -2}]\n"
        "  x:",
        "'t/acc' cannot be more than 1",
        "Write a share: 0.8",
    ),
    "less than can be": (11, "  - {metric: card/keys, at_most: -1}", "be less than 0", "Correct"),
    "bounds that exclude each other": (
        11,
        "  - {metric: card/keys, at_most: 1}\n  - {metric: card/keys, at_least: 2}",
        "at most 1 and at least 2",
        "one of the two",
    ),
    "parameters are a list": (8, "  - {use: card, with: []}", "'with' should be a mapping", ""),
    "secret in a check": (8, "  - {use: card, with: {require: ['env:KEY']}}", "channels only", ""),
    "unknown need": (9, "  - {use: files, needs: [crad]}", "unknown check 'crad'", "'card'"),
    "circle of checks": (8, "  - {use: card, needs: [f]}", "checks in a circle", "Remove one"),
    "no check of the gate": (
        11,
        "  - {metric: crad/keys, at_least: 1}",
        "no check 'crad'",
        "'card'",
    ),
    "metric": (11, "  - {metric: card/key, at_least: 1}", "no metric 'key'", "'keys'"),
    "metric without check": (11, "  - {metric: keys, at_least: 1}", "not check/metric", "full/"),
    "no bound": (11, "  - {metric: card/keys}", "no bound", "at_least or at_most"),
    "both bounds": (11, "  - {metric: card/keys, at_least: 1, at_most: 2}", "in one", "two"),
    "bound of text": (11, "  - {metric: card/keys, at_least: '1'}", "should be a number", "quotes"),
    "bound of truth": (11, "  - {metric: card/keys, at_least: true}", "should be a number", ""),
    "bound of nan": (11, "  - {metric: card/keys, at_least: .nan}", "not a finite number", ""),
    "bound of infinity": (11, "  - {metric: card/keys, at_most: .inf}", "not a finite number", ""),
    "too large a bound": (11, "  - {metric: card/keys, at_most: 1e999}", "not a finite number", ""),
    "baseline": (
        11,
        "  - {metric: card/keys, no_worse_than: prod}",
        "'no_worse_than' is not in this version yet",
        "at_least or at_most",
    ),
    "unknown stage": (12, "  promote: [staging, prd]", "unknown stage 'prd'", "'prod'"),
    "wrong order": (12, "  promote: [prod, staging]", "'prod' comes after 'staging'", "before it"),
    "skipped stage": (12, "  promote: [prod]", "'staging', which is skipped", "before it"),
    "doubled promotion": (12, "  promote: [staging, staging]", "is there already", "Remove"),
    "unknown channel": (13, "  notify: [opps]", "unknown channel 'opps'", "'ops'"),
    "unknown notifier": (15, "  ops: {use: slak}", "no plugin 'slak'", "'slack'"),
    "channel without use": (15, "  ops: {url: x}", "'use' is missing", "Add `use"),
    "channel's parameter": (15, "  ops: {use: log, level: x}", "unknown key 'level'", ""),
    "variable": (15, '  ops: {use: slack, url: "env:NONE"}', "NONE is not set", "NONE_FILE"),
    "variable's name": (15, '  ops: {use: slack, url: "env:$X"}', "not followed by", ""),
    "not a URL": (15, "  ops: {use: slack, url: geheim}", "'url' is not a URL", ""),
    "custom tag": (5, "- name: !python/name:os.system x", "has no meaning here", "Remove"),
    "binary": (5, "- name: !!binary eA==", "has no meaning here", "Remove"),
    "NUL": (5, '- name: "a\\0b"', "NUL", ""),
    "key is a list": (13, "  notify: [ops]\n  [a]: b", "a key is not text", ""),
}


@pytest.mark.parametrize(("line", "written", "problem", "remedy"), CASES.values(), ids=CASES)
def test_a_mistake_is_told_where_it_is(
    refused: Refused, line: int, written: str, problem: str, remedy: str
) -> None:
    lines = VALID.splitlines()
    lines[line - 1] = written
    found = refused("\n".join(lines), ENVIRON)
    last = line + written.count("\n")
    told = [p for p in found if line <= p.line <= last]
    assert any(problem in p.problem and remedy in p.remedy for p in told), found
    assert all(p.file.endswith("proctor.yaml") and p.remedy for p in found)
    assert "geheim" not in "".join(map(str, found))


def test_the_file_without_mistakes_loads(refused: Refused) -> None:
    """Or else the cases above would prove nothing."""
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        refused(VALID, ENVIRON)


def test_all_mistakes_are_told_at_once_in_order(refused: Refused) -> None:
    lines = VALID.splitlines()
    chosen = [c for c in CASES.values() if "\n" not in c[1]]
    wanted = {line: (written, problem) for line, written, problem, _ in reversed(chosen)}
    for line, (written, _) in wanted.items():
        lines[line - 1] = written
    found = refused("\n".join(lines), ENVIRON)
    assert [p.line for p in found] == sorted(p.line for p in found)
    assert {p.line for p in found} >= wanted.keys() - {8, 9}  # checks may name each other
    assert len(found) >= 9


def test_columns_count_from_one(refused: Refused) -> None:
    (problem,) = refused(VALID.replace("notify: [ops]", "notify: [ops, nope]"), ENVIRON)
    assert (problem.line, problem.column) == (13, 17)


def test_a_path_has_to_exist(refused: Refused) -> None:
    check = "  - {use: lm-eval, name: card, with: {tasks: [t], include_path: none/here}}"
    found = refused(VALID.replace("  - {use: card}", check), ENVIRON)
    assert any("'none/here' does not exist" in p.problem and p.line == 8 for p in found), found


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_is_told(refused: Refused, text: str) -> None:
    (problem,) = refused(text)
    assert "is empty" in problem.problem
    assert "pipelines:" in problem.remedy


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("pipelines: []", "'pipelines' is empty"),
        ("stages: []", "'pipelines' is missing"),
        ("- a\n- b", "should be a mapping"),
        ("just text", "should be a mapping"),
        ("pipelines: 3", "'pipelines' should be a list"),
        ("pipelines: [3]", "'item 1 of pipelines' should be a mapping"),
        ("pipelines: [{name: a, checks: [], match: {repo: a/b}, gate: []}]", "'checks' is empty"),
        ("pipelines: [{name: a, checks: [], match: {repo: a/b}, gate: []}]", "'gate' is empty"),
    ],
)
def test_a_file_without_substance_is_refused(refused: Refused, text: str, told: str) -> None:
    assert any(told in p.problem for p in refused(text))
