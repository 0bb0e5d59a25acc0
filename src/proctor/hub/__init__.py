"""The Hub over HTTP: the only code that talks to it."""

from proctor.hub.hub import HuggingFaceHub
from proctor.hub.patience import Patience

__all__ = ["HuggingFaceHub", "Patience"]
