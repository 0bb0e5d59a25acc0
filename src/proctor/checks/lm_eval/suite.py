"""The tasks to evaluate, from a folder of one's own or from those that come with the harness.

Runs in the eval process. The harness skips what it cannot read and says so at DEBUG; here
it is an error.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from proctor.checks.folders import CACHES
from proctor.core.errors import CheckFailed


def load(tasks: Sequence[str], include_path: Path | None) -> tuple[Any, dict[str, Path]]:
    """The harness's TaskDict of `tasks`, and the file that each task came from.

    Raises CheckFailed, naming file and problem.
    """
    manager = _index(tasks, include_path)
    for told in _unknown(tasks, manager, include_path).values():
        raise CheckFailed(told)
    factory = _beside_the_task()
    manager._factory = factory  # of lm_eval 0.4.13: no public place to resolve paths
    try:
        return manager.load(list(tasks)), factory.sources
    except Exception as e:  # task files name functions, files and datasets: anything may fail
        raise CheckFailed(f"tasks {', '.join(tasks)} cannot be loaded: {_told(e)}") from e


def unknown(tasks: Sequence[str], include_path: Path | None) -> Mapping[str, str]:
    """Those of `tasks` that are neither in the folder nor among the harness's own, with what to
    say of each. Loads none. Raises CheckFailed when the folder cannot be used."""
    return _unknown(tasks, _index(tasks, include_path), include_path)


def _index(tasks: Sequence[str], include_path: Path | None) -> Any:
    """A TaskManager, which knows the harness's own tasks only where `tasks` asks for more than the
    folder has."""
    from lm_eval.tasks import TaskManager  # type: ignore[import-untyped] # it has no types

    if include_path is not None:
        _readable(include_path)
    manager = TaskManager(include_path=_text(include_path), include_defaults=False)
    if any(name not in manager.task_index for name in tasks):
        manager = TaskManager(include_path=_text(include_path))  # 6–12 s: only when needed
    return manager


def _beside_the_task() -> Any:
    from lm_eval.tasks._factory import TaskFactory  # type: ignore[import-untyped] # no types

    class BesideTheTask(TaskFactory):  # type: ignore[misc] # lm_eval has no types
        """Reads data files that lie beside the task's file from there: the harness would look
        for them in the working directory."""

        def __init__(self) -> None:
            super().__init__()
            self.sources: dict[str, Path] = {}

        def _load_full_config(self, entry: Any, overrides: Any = None) -> dict[str, Any]:
            config: dict[str, Any] = super()._load_full_config(entry, overrides)
            if entry.yaml_path is not None:
                folder = Path(entry.yaml_path).parent
                self.sources[str(config.get("task", entry.name))] = Path(entry.yaml_path)
                settings = dict(config.get("dataset_kwargs") or {})
                for key in ("data_files", "data_dir"):
                    if key in settings:
                        settings[key] = _resolved(settings[key], folder)
                if settings:
                    config["dataset_kwargs"] = settings
            return config

    return BesideTheTask()


def _resolved(value: Any, folder: Path) -> Any:
    """`value` with each relative path that exists below `folder` made absolute."""
    if isinstance(value, Mapping):
        return {key: _resolved(inner, folder) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_resolved(inner, folder) for inner in value]
    if isinstance(value, str) and value and "://" not in value and value[0] not in "/~":
        return str(folder / value) if any(folder.glob(value)) else value
    return value


def _readable(include_path: Path) -> None:
    """Raises CheckFailed unless every task file can be read and no task is there twice."""
    if not include_path.is_dir():
        raise CheckFailed(f"include_path {include_path} is not a folder")
    names: dict[str, str] = {}
    for path, config in _task_files(include_path):
        name, where = config.get("task"), path.relative_to(include_path).as_posix()
        if isinstance(name, str) and "group" not in config:
            if name in names:
                raise CheckFailed(f"task {name} is defined in both {names[name]} and {where}")
            names[name] = where


def _task_files(include_path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    from lm_eval.tasks._yaml_loader import load_yaml  # type: ignore[import-untyped] # no types

    for path in sorted(include_path.rglob("*.yaml")):
        if CACHES.isdisjoint(path.parts):  # as the harness does
            try:
                yield path, load_yaml(path, resolve_func=False)
            except Exception as e:  # a reader of files that people write may raise anything
                where = path.relative_to(include_path).as_posix()
                raise CheckFailed(f"task file {where} cannot be read: {_told(e)}") from e


def _unknown(tasks: Sequence[str], manager: Any, include_path: Path | None) -> Mapping[str, str]:
    told = {}
    where = f"in {include_path} or " if include_path else ""
    for name in tasks:
        if name not in manager.task_index:
            near = difflib.get_close_matches(name, manager.all_tasks, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            told[name] = f"task {name} is not {where}among the harness's own{hint}"
    return told


def _text(path: Path | None) -> str | None:
    return str(path) if path else None


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
