"""The deploy files are valid and agree with each other and with the settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from proctor.queue.worker import GRACE
from proctor.settings import declared

OURS = {"web", "worker-io", "worker-eval", "sweep"}


def ours(compose: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name in sorted(OURS):
        yield name, compose["services"][name]


def test_compose_file_follows_the_specification(root: Path, compose: dict[str, Any]) -> None:
    schema = json.loads((root / "tests/deploy/compose-spec.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft7Validator(schema)
    assert [error.message for error in validator.iter_errors(compose)] == []
    broken = {**compose, "services": {"web": {**compose["services"]["web"], "comand": []}}}
    assert list(validator.iter_errors(broken)), "the schema must be able to refuse"


def test_procfile_and_compose_run_the_same_parts(commands: dict[str, tuple[str, ...]]) -> None:
    for name in OURS:
        assert commands[f"Procfile:{name}"] == commands[f"compose:{name}"]


def test_each_image_default_is_one_of_the_parts(commands: dict[str, tuple[str, ...]]) -> None:
    defaults = {line for place, line in commands.items() if place.startswith("Dockerfile")}
    assert defaults == {commands["compose:web"], commands["compose:worker-eval"]}


def test_each_build_target_is_a_stage(compose: dict[str, Any], dockerfile: str) -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)$", dockerfile, re.MULTILINE)
    for _, service in ours(compose):
        assert service["build"]["target"] in stages
    assert stages[-1] == "app", "a plain `docker build .` makes the small image"


def test_images_do_not_run_as_root(dockerfile: str) -> None:
    last: dict[str, str] = {}
    for block in re.split(r"^(?=FROM )", dockerfile, flags=re.MULTILINE)[1:]:
        base, stage = re.match(r"FROM (\S+) AS (\S+)", block).groups()  # type: ignore[union-attr]  # every block begins so
        users = re.findall(r"^USER (\S+)$", block, re.MULTILINE)
        last[stage] = users[-1] if users else last.get(base, "root")
    assert last["app"] == last["eval"] == "10001"


def test_the_small_image_has_no_torch(dockerfile: str) -> None:
    small = dockerfile.split(" AS app\n")[1]
    assert "--from=build " in small
    assert "eval" not in dockerfile.split(" AS build\n")[1].split("FROM")[0]


def test_what_is_copied_is_in_the_build_context(root: Path, dockerfile: str) -> None:
    lines = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", dockerfile, re.MULTILINE)
        for name in line.split()
    }
    assert copied <= allowed
    for name in copied - {"README.md"}:
        assert (root / name).exists()
    assert not any(fnmatch("secrets", pattern) for pattern in allowed)


def test_every_setting_that_compose_names_exists(compose: dict[str, Any]) -> None:
    known = {setting.variable: setting for setting in declared().values()}
    for name, service in ours(compose):
        for variable in service["environment"]:
            base = variable.removesuffix("_FILE")
            assert base in known, f"{name}: {variable}"
            assert variable == base or known[base].secret, f"{name}: {variable}"


def test_secrets_come_as_files_and_only_where_they_are_needed(compose: dict[str, Any]) -> None:
    held = {}
    for name, service in [*ours(compose), ("postgres", compose["services"]["postgres"])]:
        files = {
            Path(value).name
            for variable, value in service["environment"].items()
            if variable.endswith("_FILE")
        }
        assert files == set(service["secrets"]), name
        held[name] = files
    assert set().union(*held.values()) == set(compose["secrets"])
    assert held["web"] == {"database_url", "webhook_secrets"}
    assert held["sweep"] == {"database_url", "hf_read_token"}
    assert "hf_token" not in held["worker-eval"], "where model code may run there is no write token"
    for secret in compose["secrets"].values():
        assert set(secret) == {"file"}


def test_what_is_waited_for_can_become_healthy(compose: dict[str, Any], dockerfile: str) -> None:
    for name, service in ours(compose):
        for needed, how in service["depends_on"].items():
            assert how == {"condition": "service_healthy"}
            assert "test" in compose["services"][needed]["healthcheck"]
        assert "healthcheck" in service or name == "web"
    assert "/healthz" in dockerfile


def test_healthchecks_look_at_the_file_that_the_part_touches(compose: dict[str, Any]) -> None:
    for name in ("worker-io", "worker-eval", "sweep"):
        test = compose["services"][name]["healthcheck"]["test"][1]
        assert f"/alive/{name} " in test


def test_there_is_time_to_give_work_back(compose: dict[str, Any]) -> None:
    for _, service in ours(compose):
        assert float(service["stop_grace_period"].removesuffix("s")) > GRACE


@pytest.mark.parametrize("service", ["redis", "postgres"])
def test_stores_are_not_reachable_from_outside(compose: dict[str, Any], service: str) -> None:
    assert "ports" not in compose["services"][service]
    assert compose["services"][service]["networks"] == ["backend"]
    assert compose["networks"]["backend"] == {"internal": True}


def test_pipelines_and_state_are_mounted_where_the_image_looks(
    compose: dict[str, Any], dockerfile: str
) -> None:
    for _, service in ours(compose):
        targets = [
            volume.split(":")[-2 if volume.endswith(":ro") else -1] for volume in service["volumes"]
        ]
        assert targets == ["/var/lib/proctor", "/etc/proctor"]
    assert "PROCTOR_HOME=/var/lib/proctor" in dockerfile
    assert "PROCTOR_CONFIG=/etc/proctor/proctor.yaml" in dockerfile
