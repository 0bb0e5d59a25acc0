"""The embedded state in one file, and back: while it is in use, and whatever the file holds."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import sqlite3
import stat
import tarfile
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from proctor.clock import SystemClock
from proctor.core.errors import LedgerUnavailable
from proctor.core.event import Delivery, Disposition, Event
from proctor.core.names import RepoType
from proctor.ledger import open_ledger

if TYPE_CHECKING:
    from tests.cli.conftest import Cli, Record

REPO = "acme/bot"
KEPT = "artifacts/run/check/1/answers.jsonl"


@pytest.fixture
def home(cli: Cli, past: Record) -> Path:
    """A home with a past, a kept file, and what a backup leaves out."""
    home = Path(cli.environ["PROCTOR_HOME"])
    (home / KEPT).parent.mkdir(parents=True)
    (home / KEPT).write_text('{"answer": 42}\n')
    (home / "artifacts" / "away").symlink_to(cli.folder / "proctor.yaml")
    (home / "broker").mkdir(exist_ok=True)
    return home


@pytest.fixture
def saved(cli: Cli, home: Path) -> Path:
    """A backup of it."""
    file = cli.folder / "saved.tar.gz"
    assert cli("backup", str(file)).status == 0
    return file


def elsewhere(cli: Cli) -> dict[str, str]:
    """Variables of a machine on which nothing ran yet."""
    folder = cli.folder / "new"
    return {"PROCTOR_HOME": str(folder / "home"), "PROCTOR_CONFIG": str(folder / "proctor.yaml")}


def repacked(file: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """The archive with other contents."""
    with tarfile.open(file) as tar:
        found = {m.name: read.read() for m in tar if (read := tar.extractfile(m))}
    change(found)
    with tarfile.open(made := file.with_name("changed.tar.gz"), "w:gz") as tar:
        for name, content in found.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return made


def test_what_comes_back_is_what_was_there(cli: Cli, saved: Path, home: Path) -> None:
    new = elsewhere(cli)
    done = cli("restore", str(saved), **new)
    assert done.status == 0, done.err
    assert "1 kept files" in done.out and "Start Proctor again" in done.out
    for arguments in (("status", "--json"), ("runs", "--json"), ("why", REPO, "--json")):
        assert cli(*arguments, **new).facts == cli(*arguments).facts
    restored = Path(new["PROCTOR_HOME"])
    assert (restored / KEPT).read_bytes() == (home / KEPT).read_bytes()
    assert {p.name for p in restored.iterdir()} >= {"artifacts", "proctor.db"}
    assert not list(restored.glob(".restoring-*"))
    assert Path(new["PROCTOR_CONFIG"]).read_text() == (cli.folder / "proctor.yaml").read_text()


def test_only_the_owner_reads_it_and_it_holds_no_secret(cli: Cli, home: Path) -> None:
    rules = (cli.folder / "proctor.yaml").read_text()
    cli.configured(f"# {'s3cr3t' * 4}\n{rules}")
    file = cli.folder / "saved.tar.gz"
    secrets = {"HF_TOKEN": "hf_" + "x" * 30, "PROCTOR_WEBHOOK_SECRETS": "s3cr3t" * 4}
    done = cli("backup", str(file), **secrets)
    assert done.status == 0 and "Secrets in the pipelines file are ***" in done.out
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = gzip.decompress(file.read_bytes())
    assert b"s3cr3t" not in content and b"hf_xxx" not in content
    with tarfile.open(file) as tar:
        assert {m.name for m in tar} == {"ledger.db", "proctor.yaml", KEPT, "manifest.json"}
        assert {m.mode for m in tar.getmembers()} == {0o600}
    assert [p.name for p in cli.folder.glob(".saved*")] == []


def test_facts_for_programs(cli: Cli, home: Path) -> None:
    file = cli.folder / "saved.tar.gz"
    packed = cli("backup", str(file), "--json").facts
    assert packed == {
        "file": str(file),
        "bytes": file.stat().st_size,
        "artifacts": 1,
        "config": True,
        "blanked": False,
    }
    new = elsewhere(cli)
    unpacked = cli("restore", str(file), "--json", **new).facts
    assert unpacked["home"] == new["PROCTOR_HOME"]
    assert (unpacked["artifacts"], unpacked["aside"]) == (1, None)


def test_nothing_is_overwritten(cli: Cli, saved: Path, home: Path) -> None:
    before = saved.read_bytes()
    assert "exists: choose another name" in cli("backup", str(saved)).line
    assert saved.read_bytes() == before
    done = cli("restore", str(saved))
    assert done.status == 1 and "--force" in done.line
    assert (home / KEPT).exists()


def test_with_force_what_was_there_is_put_aside(cli: Cli, saved: Path, home: Path) -> None:
    facts = cli("status", "--json").facts
    (home / KEPT).write_text("later\n")
    with closing(sqlite3.connect(home / "proctor.db")) as connection:
        connection.execute("UPDATE runs SET reason = 'later'")
        connection.commit()
    done = cli("restore", str(saved), "--force")
    assert done.status == 0, done.err
    assert cli("status", "--json").facts == facts
    (aside,) = home.glob("replaced-*")
    assert str(aside) in done.out.replace("\n", "")
    assert (aside / KEPT).read_text() == "later\n"
    assert (aside / "proctor.db").exists() and (aside / "broker").exists()
    assert (home / "proctor.yaml.restored").exists()  # proctor.yaml is there: it is left alone


def test_a_ledger_of_its_own_place(cli: Cli, saved: Path, tmp_path: Path) -> None:
    new = elsewhere(cli) | {"PROCTOR_DATABASE_URL": f"sqlite:///{tmp_path}/db/my.db"}
    assert cli("restore", str(saved), **new).status == 0
    assert cli("status", "--json", **new).facts == cli("status", "--json").facts
    shutil.rmtree(new["PROCTOR_HOME"])
    assert "my.db is there" in cli("restore", str(saved), **new).line


@pytest.mark.parametrize("part", ["sweep", "worker-io", "web"])
def test_a_proctor_that_runs_is_not_pulled_from_under(
    cli: Cli, saved: Path, home: Path, part: str
) -> None:
    (home / "alive").mkdir(exist_ok=True)
    (home / "alive" / part).touch()
    assert f"{part} was alive" in cli("restore", str(saved), "--force").line
    # What is wrong with the archive is told first: no need to stop anything for it.
    missing = cli("restore", "none.tar.gz", "--force").line
    assert missing == "none.tar.gz cannot be read: No such file or directory"
    long_ago = time.time() - 61
    os.utime(home / "alive" / part, (long_ago, long_ago))
    assert cli("restore", str(saved), "--force").status == 0


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_of_postgresql_its_own_tools_are_named(cli: Cli, command: str) -> None:
    url = "postgresql://proctor:s3cr3t@nowhere.invalid/proctor"
    done = cli(command, "file.tar.gz", PROCTOR_DATABASE_URL=url)
    assert done.status == 1
    assert ("pg_dump" if command == "backup" else "pg_restore") in done.line
    assert "s3cr3t" not in done.err


def test_before_anything_ran_there_is_nothing_to_back_up(cli: Cli) -> None:
    assert "nothing ran here yet" in cli("backup", "file.tar.gz").line
    assert not (cli.folder / "file.tar.gz").exists()


def test_a_place_that_cannot_be_written(cli: Cli, home: Path) -> None:
    done = cli("backup", str(cli.folder / "no" / "such" / "file.tar.gz"))
    assert done.status == 1 and "cannot be written: No such file" in done.line
    done = cli("backup", "x" * 300)  # where it cannot even be looked whether it is there
    assert done.status == 1 and "cannot be written: File name too long" in done.line


Change = Callable[[dict[str, bytes]], None]


def _manifest(**more: object) -> Change:
    def change(found: dict[str, bytes]) -> None:
        found["manifest.json"] = json.dumps(json.loads(found["manifest.json"]) | more).encode()

    return change


def _without(name: str) -> Change:
    def change(found: dict[str, bytes]) -> None:
        del found[name]

    return change


def _damaged_ledger(found: dict[str, bytes]) -> None:
    wrong = b"SQLite format 3\0" + b"\0" * 5000
    manifest = json.loads(found["manifest.json"])
    facts = {"size": len(wrong), "sha256": hashlib.sha256(wrong).hexdigest()}
    manifest["files"]["ledger.db"] = facts
    found |= {"ledger.db": wrong, "manifest.json": json.dumps(manifest).encode()}


CHANGES: dict[str, tuple[Change, str]] = {
    "a file changed": (lambda f: f.update({KEPT: b"other"}), "is damaged"),
    "a file is missing": (_without(KEPT), "is damaged"),
    "a file was added": (lambda f: f.update({"artifacts/x": b""}), "is damaged"),
    "no manifest": (_without("manifest.json"), "is no backup"),
    "a manifest of the future": (_manifest(format=2), "is no backup that this Proctor"),
    "a manifest that is no JSON": (lambda f: f.update({"manifest.json": b"{"}), "cannot be read"),
    "a ledger that is none": (_damaged_ledger, "its ledger"),
    "a path that leads out": (lambda f: f.update({"artifacts/../../x": b""}), "no backup of ours"),
    "an absolute path": (lambda f: f.update({"/tmp/x": b""}), "no backup of ours"),
    "some other file": (lambda f: f.update({"etc/passwd": b""}), "no backup of ours"),
}


@pytest.mark.parametrize(("change", "said"), CHANGES.values(), ids=CHANGES)
def test_an_archive_that_is_not_whole_changes_nothing(
    cli: Cli, saved: Path, change: Change, said: str
) -> None:
    new = elsewhere(cli)
    refused = cli("restore", str(repacked(saved, change)), **new)
    assert refused.status == 1 and said in refused.line
    assert list(Path(new["PROCTOR_HOME"]).iterdir()) == []
    assert not Path(new["PROCTOR_CONFIG"]).exists()


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_an_archive_that_is_cut_off(cli: Cli, saved: Path, part: float) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[: int(len(whole) * part)])
    new = elsewhere(cli)
    assert cli("restore", str(saved), **new).status == 1
    assert list(Path(new["PROCTOR_HOME"]).rglob("*")) == []


def test_a_link_in_the_archive(cli: Cli, saved: Path) -> None:
    with tarfile.open(made := saved.with_name("link.tar.gz"), "w:gz") as tar:
        member = tarfile.TarInfo("artifacts/link")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(member)
    assert "no backup of ours" in cli("restore", str(made), **elsewhere(cli)).line


def test_a_ledger_newer_than_this_proctor(cli: Cli, home: Path) -> None:
    with closing(sqlite3.connect(home / "proctor.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    assert "at migration 9999" in cli("backup", "file.tar.gz").line


def test_a_busy_writer_is_neither_kept_waiting_nor_half_copied(cli: Cli, home: Path) -> None:
    """Each transaction writes an event and its delivery; writers pause for nobody."""
    stop, written, refused = threading.Event(), list[int](), list[LedgerUnavailable]()
    ledger = open_ledger(f"sqlite:///{home}/proctor.db", SystemClock())

    def write() -> None:
        number = 0
        while not stop.is_set():
            try:
                with ledger.transaction() as tx:
                    tx.add_event(_event(f"busy-{number}"))
                    tx.add_deliveries([_delivery(f"busy-{number}")])
            except LedgerUnavailable as error:  # kept for longer than a writer waits
                refused.append(error)
                return
            written.append(number)
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        saved = []
        for number in range(3):
            file, before = cli.folder / f"busy-{number}.tar.gz", len(written)
            assert cli("backup", str(file)).status == 0
            saved.append(len(written))
            new = {"PROCTOR_HOME": str(cli.folder / f"restored-{number}")}
            assert cli("restore", str(file), **new).status == 0
            counts = _counts(Path(new["PROCTOR_HOME"]) / "proctor.db")
            assert before <= counts["events"] == counts["deliveries"] <= len(written) + 1
    finally:
        stop.set()
        writer.join()
        ledger.close()
    assert refused == []
    assert saved[0] < saved[1] < saved[2]


def _counts(ledger: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(ledger)) as connection:
        return {
            table: connection.execute(
                f"SELECT count(*) FROM {table} WHERE id LIKE 'busy-%'"  # noqa: S608 - two names
            ).fetchone()[0]
            for table in ("events", "deliveries")
        }


def _event(id: str) -> Event:
    where = (RepoType.MODEL, "h", "acme/busy")
    return Event(id, id, "webhook", 0.0, "update", "repo.content", *where)


def _delivery(id: str) -> Delivery:
    return Delivery(id, 0.0, None, (), b"{}" * 500, Disposition.PENDING, "", id)
