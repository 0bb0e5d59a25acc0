"""Shipped fakes and contract tests, for our own tests and for those of plugin authors.

The fakes implement the ports in memory and pass the same contract tests as the real thing
(`proctor.testing.contracts`).
"""

from proctor.testing.fake_check import FakeCheck
from proctor.testing.fake_clock import FakeClock
from proctor.testing.fake_hub import FakeHub
from proctor.testing.fake_notifier import FakeNotifier
from proctor.testing.fake_queue import FakeQueue

__all__ = ["FakeCheck", "FakeClock", "FakeHub", "FakeNotifier", "FakeQueue"]
