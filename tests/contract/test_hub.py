"""The Hub's contract, kept by the fake and by the real adapter."""

from __future__ import annotations

import pytest

from proctor.testing import FakeHub
from proctor.testing.contracts.hub import HubContract, World


class TestFakeHub(HubContract):
    """The fake."""

    @pytest.fixture
    def world(self) -> World:
        """A fake Hub is its own person."""
        hub = FakeHub()
        return World(hub, hub, "acme")
