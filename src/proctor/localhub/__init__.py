"""The Local Hub: a small Hugging Face Hub on your own machine, over HTTP.

Enough of the Hub's API for the unmodified ``huggingface_hub`` client and for ``transformers``:
point ``HF_ENDPOINT`` at it. It knows nothing of the rest of Proctor.
"""

from proctor.localhub.app import create_app
from proctor.localhub.deliveries import DeliveryPolicy
from proctor.localhub.faults import FAULTS, Rule
from proctor.localhub.limits import Limits
from proctor.localhub.server import LocalHub
from proctor.localhub.store import FolderInUse

__all__ = [
    "FAULTS",
    "DeliveryPolicy",
    "FolderInUse",
    "Limits",
    "LocalHub",
    "Rule",
    "create_app",
]
