"""How the suite itself is run."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("together")
def test_tests_of_a_group_share_a_process(request: pytest.FixtureRequest) -> None:
    """Else each process makes what a module's tests share once more, which takes minutes."""
    if not getattr(request.config.option, "loadgroup", False):
        pytest.skip("the tests are run in one process")
    assert request.node.nodeid.endswith("@together")
