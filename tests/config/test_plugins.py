"""Plugins are found by name, imported when asked for, and told apart."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from proctor import plugins
from proctor.core.rule import Channel, CheckSpec
from proctor.core.secret import Secret

MODULE = '''
"""A check by somebody else."""
from pydantic import BaseModel, ConfigDict
from proctor.core.evidence import Findings, Metric

class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid")
    most: int = 3

class Words:
    """Counts words."""
    Parameters = Parameters
    queue = "io"
    time_limit = 1.0
    def __init__(self, parameters):
        self.most = parameters.most
    def measure(self, subject, room):
        return Findings((Metric("words", self.most),))

class Bare:
    pass
'''
ENTRY_POINTS = """
[proctor.checks]
words = acme_words:Words
bare = acme_words:Bare
gone = acme_words_that_are_not_there:Words
"""


def install(folder: Path, name: str, points: str) -> None:
    """What pip leaves behind for a package."""
    (folder / "acme_words.py").write_text(MODULE)
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(points)


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package of somebody else."""
    install(tmp_path, "acme_words", ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_words", raising=False)
    return tmp_path


def test_the_built_ins_come_through_the_same_door() -> None:
    assert {"card", "files", "lm-eval"} <= set(plugins.checks())
    assert {"log", "apprise", "webhook"} <= set(plugins.notifiers())


def test_a_third_party_check_is_found_and_built(third_party: Path) -> None:
    check = plugins.build_check(CheckSpec("w", "words", {"most": 7}))
    assert (check.queue, check.time_limit) == ("io", 1.0)
    assert plugins.documentation(plugins.checks()["words"]) == "Counts words."
    assert plugins.metrics_of(plugins.checks()["words"]) is None


class Named(BaseModel):
    """A plugin's parameters, some of them paths."""

    include_path: str | None = None
    words: Path | None = None
    several: list[Path] = Field(default_factory=list, alias="more")
    ours: Path = Path("by-default.txt")
    text: str = "no/path"


def test_the_paths_that_parameters_name_are_known() -> None:
    given = {"include_path": "tasks/", "words": None, "more": ["a", "b"], "text": "x"}
    assert plugins.paths_in(Named, given) == {
        "include_path": ("tasks/",),
        "words": (),
        "more": ("a", "b"),
        "ours": ("by-default.txt",),
    }


def test_reading_names_imports_nothing(third_party: Path) -> None:
    assert "words" in set(plugins.checks())
    assert "acme_words" not in sys.modules


def test_reading_names_imports_none_of_the_built_ins() -> None:
    code = (
        "import sys\n"
        "from proctor import plugins\n"
        "assert 'card' in plugins.checks() and 'log' in list(plugins.notifiers())\n"
        "heavy = {'proctor.checks', 'proctor.notifiers', 'apprise', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_an_unknown_name_fails_with_the_nearest() -> None:
    with pytest.raises(plugins.UnknownPlugin, match="did you mean 'card'") as caught:
        plugins.build_check(CheckSpec("c", "crad"))
    assert not str(caught.value).startswith(("'", '"'))
    with pytest.raises(plugins.UnknownPlugin, match=r"known: .*apprise"):
        plugins.build_notifier(Channel("c", "zzz"))


def test_a_name_offered_twice_fails_and_names_both(third_party: Path) -> None:
    install(third_party, "other_words", "[proctor.checks]\nwords = other:Words\n")
    with pytest.raises(plugins.PluginError, match=r"'words'.*(acme.*other:W|other:W.*acme)"):
        plugins.checks()


def test_the_same_plugin_seen_twice_is_one() -> None:
    point = EntryPoint("card", "proctor.checks.card:Card", plugins.CHECKS)
    assert list(plugins.Catalogue[object](plugins.CHECKS, [point, point])) == ["card"]


def test_a_plugin_that_cannot_be_imported_fails_when_it_is_used(third_party: Path) -> None:
    assert "gone" in plugins.checks()
    with pytest.raises(plugins.PluginError, match=r"'gone' of acme_words.*cannot be imported"):
        plugins.checks()["gone"]


def test_a_plugin_without_parameters_is_refused(third_party: Path) -> None:
    with pytest.raises(plugins.PluginError, match="no pydantic model `Parameters`"):
        plugins.checks()["bare"]


def test_bad_parameters_are_refused_without_showing_them() -> None:
    channel = Channel("ops", "webhook", {"url": Secret("geheim"), "secret": "geheim-too"})
    with pytest.raises(plugins.PluginError) as caught:
        plugins.build_notifier(channel)
    assert "channel 'ops'" in str(caught.value)
    assert "url" in str(caught.value)
    assert "geheim" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("name", ["card", "files"])
def test_built_in_checks_document_every_metric_and_parameter(name: str) -> None:
    factory = plugins.checks()[name]
    told = plugins.documentation(factory)
    metrics = plugins.metrics_of(factory)
    assert metrics
    assert all(f"`{metric}`" in told for metric in metrics)
    assert "gate:" in told
    assert all(info.description for info in factory.Parameters.model_fields.values())


def test_built_in_notifiers_are_documented() -> None:
    for name in ("log", "apprise", "webhook"):
        factory = plugins.notifiers()[name]
        assert "channels:" in plugins.documentation(factory)
        assert all(info.description for info in factory.Parameters.model_fields.values())
