"""Help pages without what only programmers read.

Typer names the Python type of every parameter ("--json <bool>", "FILE <path>") and puts braces
around what is required. A flag takes no value, and an argument's name says what it is.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption


class PlainCommand(TyperCommand):
    """A command whose help shows names instead of types."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, each told plainly."""
        return _told_plainly(super().get_params(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """As in `[OPTIONS] REPO [STAGE]`."""
        return _usage(super().collect_usage_pieces(ctx), self.get_params(ctx))


class PlainGroup(TyperGroup):
    """A group whose help shows names instead of types."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, each told plainly."""
        return _told_plainly(super().get_params(ctx))


def _told_plainly(parameters: list[Any]) -> list[Any]:
    for each in parameters:
        if isinstance(each, TyperOption) and each.is_flag:
            each.metavar = ""
        elif isinstance(each, TyperArgument):
            each.display_type_rich = _no_type  # type: ignore[method-assign]  # no option for it
    return parameters


def _no_type(ctx: Any) -> None:
    """Instead of "<str>"."""


def _usage(pieces: list[str], parameters: list[Any]) -> list[str]:
    arguments = [p for p in parameters if isinstance(p, TyperArgument)]
    kept = pieces[: len(pieces) - len(arguments)]
    return [*kept, *(a.metavar or a.name.upper() for a in arguments)]
