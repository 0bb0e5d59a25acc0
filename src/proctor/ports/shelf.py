"""Where downloaded revisions lie while they are needed, and a while longer."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from proctor.core.names import Revision


class Shelf(Protocol):
    """Folders for downloads on this machine, one for each revision, shared by checks and tries."""

    def borrow(self, revision: Revision, size: int) -> AbstractContextManager[Path]:
        """The revision's folder, with what earlier tries left in it; others may hold it too.

        It is not removed while it is held, and may be at any time afterwards. `size` is what the
        whole revision takes, in bytes: raises TransientError where the disk has not enough.
        """
        ...
