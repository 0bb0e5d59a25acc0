"""Wrong scores that a naive runner reports without complaint, and what ours does instead."""

from __future__ import annotations

from typing import Any

import pytest

from proctor.core.evidence import canonical

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("broken cases")]
Told = dict[str, dict[str, Any]]

WEAK, CHANCE, GOOD = 0.18, 0.30, 0.95
"""Of the first 100 documents: what the weak checkpoint scores; at most, a guesser; at least, the
good one."""


def test_a_cache_of_answers_gives_the_weak_model_the_good_ones_score(told: Told) -> None:
    assert told["naive: cache of answers"]["acc"] >= GOOD
    assert told["weak"]["acc"] == told["weak again"]["acc"] == WEAK


def test_a_cache_of_requests_outlives_its_documents(told: Told) -> None:
    assert told["naive: cache of requests"]["acc"] <= CHANCE
    assert told["changed documents"]["acc"] >= GOOD


def test_changed_documents_are_another_condition(told: Told) -> None:
    before, after = (told[n]["conditions"]["tasks"]["arith"] for n in ("good", "changed documents"))
    assert before["documents"] != after["documents"]
    assert before["folder"] != after["folder"]
    assert before["version"] == after["version"]  # nobody raised it: the digests are what tells


def test_a_server_that_ignores_echo_scores_chance(told: Told) -> None:
    naive = told["naive: server without echo"]
    assert naive["acc"] <= CHANCE
    assert "equally likely" in naive["suspect"][0]


def test_nan_weights_score_chance(told: Told) -> None:
    naive = told["naive: NaN"]
    assert naive["acc"] <= CHANCE
    assert "not finite" in naive["suspect"][0]  # seen in the samples, too
    assert "not finite numbers: model.layers.0.mlp.down_proj.weight" in told["NaN"]["error"]


def test_a_missing_output_layer_scores_chance(told: Told) -> None:
    assert told["naive: no lm_head"]["acc"] <= CHANCE
    assert told["no lm_head"]["error"] == "weights missing from the revision: lm_head.weight"


def test_a_tied_output_layer_is_no_false_alarm(told: Told) -> None:
    assert "error" not in told["tied"]
    assert told["tied"]["acc"] is not None


def test_layers_that_the_configuration_leaves_out_are_told(told: Told) -> None:
    assert "layers that the configuration leaves out" in told["fewer layers"]["error"]


def test_a_made_up_revision_is_accepted_for_a_folder(told: Told) -> None:
    naive = told["naive: made-up revision"]
    assert naive["acc"] >= GOOD
    assert naive["sha"] == ""  # so the sha has to come from us: see test_check.py


def test_a_tokenizer_without_bos_scores_low(told: Told) -> None:
    assert told["naive: no BOS"]["acc"] < 0.7 < GOOD <= told["good"]["acc"]
    without = told["no BOS"]
    assert without["conditions"]["add_bos_token"] is False
    assert told["good"]["conditions"]["add_bos_token"] is True
    assert "puts none in front" in without["notes"][0]
    asked = told["BOS asked for"]
    assert asked["acc"] >= GOOD
    assert asked["conditions"]["add_bos_token"] is True


def test_equal_evals_have_equal_conditions(told: Told) -> None:
    weak, again = told["weak"]["conditions"], told["weak again"]["conditions"]
    assert canonical(weak) == canonical(again)


def test_code_of_the_revision_does_not_run(told: Told) -> None:
    assert "custom code" in told["code"]["error"]
    assert told["code ran"] == {"ran": False}


def test_pickles_are_loaded_only_when_allowed(told: Told) -> None:
    assert "allow_pickle" in told["pickle"]["error"]
    assert told["pickle allowed"]["acc"] >= GOOD


def test_an_allowed_pickle_that_asks_for_more_than_tensors_is_refused(told: Told) -> None:
    for case in ("hostile pickle", "hostile pickle, older"):
        assert "acc" not in told[case]
        assert "system" in told[case]["error"]  # it says what was asked for
    assert told["pickle ran"] == {"ran": False}


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("malformed file", ("other.yaml", "while parsing a flow sequence")),
        ("no documents' file", ("arith.jsonl", "cannot be loaded")),
        ("doubled", ("arith/arith.yaml", "arith-here/arith.yaml")),
        ("chat without template", ("chat_template is not set",)),
    ],
)
def test_what_cannot_be_evaluated_says_why(told: Told, case: str, words: tuple[str, ...]) -> None:
    for word in words:
        assert word in told[case]["error"]


def test_a_share_of_the_documents_of_a_generation_task(told: Told) -> None:
    assert told["generation"]["acc"] >= GOOD
    assert told["generation"]["conditions"]["limit"] == 0.05
