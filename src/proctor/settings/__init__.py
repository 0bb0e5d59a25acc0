"""Settings: one frozen value from the environment.

Each field of `Settings` declares its variable, meaning and parser; docs/reference/settings.md is
tested against this table.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, get_type_hints
from urllib.parse import quote, unquote, urlsplit

import platformdirs

from proctor.core.address import read_address
from proctor.core.errors import ProctorError
from proctor.core.secret import Secret, look_up, redact
from proctor.settings import parse
from proctor.settings.parse import Unusable

_LONGEST_FILE: Final = 65_536  # bytes; a secret is a line


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One thing wrong with the environment. Holds no secret."""

    variable: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.variable}: {self.problem}. {self.remedy}"


class SettingsError(ProctorError):
    """The environment cannot be used; `problems` holds all that is wrong with it."""

    def __init__(self, problems: tuple[SettingProblem, ...]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Setting:
    """How a field is read. `default` is parsed as if it were set ("": the field is computed, or
    None or empty); `told` is how the documentation states the default."""

    variable: str
    meaning: str
    parse: Callable[[str], object] = str
    default: str = ""
    told: str = "not set"
    secret: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All that the environment decides. Times are in seconds, sizes in bytes."""

    config: Annotated[
        Path,
        Setting("PROCTOR_CONFIG", "The pipelines file.", parse.path, default="proctor.yaml"),
    ]
    home: Annotated[
        Path,
        Setting(
            "PROCTOR_HOME",
            "Folder for the database, the embedded broker and the artifacts.",
            parse.path,
            told="the platform's state folder",
        ),
    ]
    database_url: Annotated[
        Secret,
        Setting(
            "PROCTOR_DATABASE_URL",
            "The ledger: `sqlite:///path` or `postgresql+psycopg://…`.",
            parse.database,
            told="sqlite:///$PROCTOR_HOME/proctor.db",
            secret=True,
        ),
    ]
    broker_url: Annotated[
        Secret,
        Setting(
            "PROCTOR_BROKER_URL",
            "What wakes the workers: `redis://…`, `rediss://…` or `filesystem:///folder`.",
            parse.broker,
            told="filesystem://$PROCTOR_HOME/broker",
            secret=True,
        ),
    ]
    webhook_secrets: Annotated[
        tuple[Secret, ...],
        Setting(
            "PROCTOR_WEBHOOK_SECRETS",
            "Webhook secrets, comma-separated. Any of them is accepted, so that one can be "
            "replaced without a gap.",
            parse.secrets,
            secret=True,
        ),
    ]
    public_url: Annotated[
        str,
        Setting(
            "PROCTOR_PUBLIC_URL",
            "Where the Hub reaches this receiver; doctor looks for a webhook that points there.",
            parse.web_url,
        ),
    ]
    hub_endpoint: Annotated[
        str,
        Setting("HF_ENDPOINT", "The Hub.", parse.web_url, default="https://huggingface.co"),
    ]
    hub_token: Annotated[
        Secret | None,
        Setting(
            "HF_TOKEN", "Token for the Hub. Moving tags needs write access.", Secret, secret=True
        ),
    ]
    hub_home: Annotated[
        Path | None,
        Setting(
            "HF_HOME",
            "Folder of huggingface_hub's caches.",
            parse.path,
            told="huggingface_hub's own",
        ),
    ]
    hub_timeout: Annotated[
        float,
        Setting(
            "PROCTOR_HUB_TIMEOUT",
            "Longest wait for one answer of the Hub, in seconds.",
            parse.seconds(1, 600),
            default="30",
        ),
    ]
    port: Annotated[
        int,
        Setting("PORT", "Port of the web server.", parse.whole(0, 65_535), default="8000"),
    ]
    max_body: Annotated[
        int,
        Setting(
            "PROCTOR_MAX_BODY",
            "Largest webhook body that is read, in bytes.",
            parse.whole(1_024, 64 * 1024 * 1024, " bytes"),
            default="1048576",
        ),
    ]
    source_rate: Annotated[
        int,
        Setting(
            "PROCTOR_SOURCE_RATE",
            "Deliveries a minute of one webhook whose work begins at once; what comes beyond it is "
            "stored all the same, and worked on later.",
            parse.whole(1, 1_000_000),
            default="600",
        ),
    ]
    address_rate: Annotated[
        int,
        Setting(
            "PROCTOR_ADDRESS_RATE",
            "Requests a minute without a right webhook secret that one address may send until it "
            "is told to wait.",
            parse.whole(1, 1_000_000),
            default="60",
        ),
    ]
    lease: Annotated[
        float,
        Setting(
            "PROCTOR_LEASE",
            "How long a worker holds a step without a heartbeat, in seconds.",
            parse.seconds(5, 3_600),
            default="60",
        ),
    ]
    heartbeat: Annotated[
        float,
        Setting(
            "PROCTOR_HEARTBEAT",
            "Time between two heartbeats, in seconds; at most half of the lease. A worker learns "
            "by its heartbeat that its work is no longer wanted.",
            parse.seconds(0.1, 1_800),
            default="5",
        ),
    ]
    sweep_interval: Annotated[
        float,
        Setting(
            "PROCTOR_SWEEP_INTERVAL",
            "Time between two sweeps for overdue work, in seconds.",
            parse.seconds(1, 86_400),
            default="10",
        ),
    ]
    reconcile_interval: Annotated[
        float,
        Setting(
            "PROCTOR_RECONCILE_INTERVAL",
            "Time between two comparisons of the Hub's heads with the ledger, in seconds.",
            parse.seconds(1, 86_400),
            default="300",
        ),
    ]
    keep_days: Annotated[
        int,
        Setting(
            "PROCTOR_KEEP_DAYS",
            "Days after which raw webhook bodies and files that checks kept are removed; `0` keeps "
            "them for ever. What a revision in a stage rests on stays.",
            parse.whole(0, 36_500, " days"),
            default="90",
        ),
    ]
    snapshot_room: Annotated[
        int,
        Setting(
            "PROCTOR_SNAPSHOT_ROOM",
            "Bytes of downloaded revisions kept for the next check or try of the same one, "
            "for six hours at the most. The last one used is kept even if it is larger.",
            parse.whole(0, 2**60, " bytes"),
            default=str(20 * 1024**3),
        ),
    ]
    log_level: Annotated[
        str,
        Setting(
            "PROCTOR_LOG_LEVEL",
            "`DEBUG`, `INFO`, `WARNING` or `ERROR`.",
            parse.level,
            default="INFO",
        ),
    ]

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Settings:
        """The settings that `environ` tells. Raises SettingsError with every problem at once."""
        values: dict[str, Any] = {}
        problems = _misspelled(environ)
        for name, setting in declared().items():
            try:
                values[name] = _read(setting, environ)
            except Unusable as e:
                problems.append(SettingProblem(setting.variable, redact(e.problem), e.remedy))
        if not problems and values["heartbeat"] > values["lease"] / 2:
            problems.append(
                SettingProblem(
                    "PROCTOR_HEARTBEAT",
                    f"{values['heartbeat']:g} s is more than half of PROCTOR_LEASE "
                    f"({values['lease']:g} s)",
                    "One late heartbeat must not end a lease: shorten it or lengthen the lease.",
                )
            )
        if problems:
            raise SettingsError(tuple(problems))
        home: Path = values["home"] or platformdirs.user_state_path("proctor")
        computed = {
            "home": home,
            "database_url": Secret(f"sqlite:///{quote(str(home))}/proctor.db"),
            "broker_url": Secret(f"filesystem://{home}/broker"),
            "webhook_secrets": (),
            "public_url": "",
        }
        for name, value in computed.items():
            if values[name] is None:
                values[name] = value
        return cls(**values)

    def secrets(self) -> tuple[Secret, ...]:
        """Every secret held here, for `redact`: of URLs only the password, as it is written there
        and as it is meant."""
        written = (
            read_address(self.database_url.reveal()).password,
            urlsplit(self.broker_url.reveal()).password,
        )
        forms = {
            form for each in written if each for form in (each, unquote(each), quote(each, ""))
        }
        passwords = tuple(map(Secret, sorted(forms)))
        token = (self.hub_token,) if self.hub_token else ()
        return (*passwords, *self.webhook_secrets, *token)


def declared() -> Mapping[str, Setting]:
    """How each field of Settings is read, by the field's name."""
    hints = get_type_hints(Settings, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items()}


def _read(setting: Setting, environ: Mapping[str, str]) -> object:
    """The parsed value, or None when neither variable nor default is there."""
    name = setting.variable
    if setting.secret:
        try:
            written = look_up(environ, name, _file_text)
        except ValueError as e:
            raise Unusable(
                str(e), f"Set {name}, or let {name}_FILE name a readable file; not both."
            ) from e
    else:
        written = environ.get(name)
    written = written or setting.default
    return setting.parse(written) if written else None


def _file_text(path: str) -> str:
    with Path(path).open("rb") as file:
        return file.read(_LONGEST_FILE).decode()


def _misspelled(environ: Mapping[str, str]) -> list[SettingProblem]:
    """Variables of ours that we do not know but that are a slip away from one that we do."""
    known = {s.variable for s in declared().values()}
    known |= {f"{s.variable}_FILE" for s in declared().values() if s.secret}
    problems = []
    for name in sorted(environ):
        if name.startswith("PROCTOR_") and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.9)
            if near:
                problems.append(
                    SettingProblem(name, "is not a setting", f"Did you mean {near[0]}?")
                )
    return problems


def table() -> str:
    """The settings as a Markdown table, as docs/reference/settings.md shows them."""
    rows = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for setting in declared().values():
        variable = f"`{setting.variable}`"
        if setting.secret:
            variable += f" or `{setting.variable}_FILE`"
        told = setting.default or setting.told
        default = told if " " in told else f"`{told}`"
        rows.append(f"| {variable} | {default} | {setting.meaning} |")
    return "\n".join(rows) + "\n"
