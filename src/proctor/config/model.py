"""The shape of proctor.yaml. What it means is checked in `sense`; both feed the JSON Schema."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"
"""Names of stages, pipelines, checks and channels."""

Name = Annotated[str, WithJsonSchema({"type": "string", "pattern": NAME})]
Bound = Annotated[float | None, WithJsonSchema({"type": "number"})]


class Written(BaseModel):
    """As written: unknown keys are refused, and nothing is converted in silence."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True, frozen=True
    )


class StageWritten(Written):
    """A promotion target, and its moving tag."""

    name: Annotated[Name, Field(description="The stage, and the tag that marks it on the Hub.")]
    after: Annotated[
        Annotated[str | None, WithJsonSchema({"type": "string", "pattern": NAME})],
        Field(description="The stage that a revision has to be in first."),
    ] = None


class MatchWritten(Written):
    """Which pushes the pipeline answers to."""

    repo: Annotated[str, Field(description="A glob over org/name, such as acme/chat-*.")]
    type: Annotated[
        Literal["model", "dataset", "space"], Field(description="The kind of repo.")
    ] = "model"
    ref: Annotated[
        str,
        Field(
            description="The branch whose head is judged.",
            json_schema_extra={"pattern": "^refs/heads/."},
        ),
    ] = "refs/heads/main"


class CheckWritten(Written):
    """Something that measures the revision."""

    use: Annotated[str, Field(description="The plugin: card, files, lm-eval or an installed one.")]
    name: Annotated[
        Annotated[str | None, WithJsonSchema({"type": "string", "pattern": NAME})],
        Field(description="What metrics of this check begin with; the plugin's name by default."),
    ] = None
    with_: Annotated[
        dict[str, Any], Field(alias="with", description="The plugin's parameters.")
    ] = Field(default_factory=dict)
    needs: Annotated[
        list[Name], Field(description="Checks of this pipeline that have to have measured first.")
    ] = Field(default_factory=list)


class CriterionWritten(Written):
    """One comparison; all of them have to hold."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["at_least"]}, {"required": ["at_most"]}]}
    )

    metric: Annotated[
        str,
        Field(
            description="check/metric, such as full/arith/acc.",
            json_schema_extra={"pattern": "^[^/]+/.+"},
        ),
    ]
    at_least: Annotated[Bound, Field(description="The metric must be this or more.")] = None
    at_most: Annotated[Bound, Field(description="The metric must be this or less.")] = None


class PipelineWritten(Written):
    """Checks, gate and stages for a set of repos."""

    name: Name
    match: MatchWritten
    checks: Annotated[list[CheckWritten], Field(min_length=1)]
    gate: Annotated[list[CriterionWritten], Field(min_length=1)]
    promote: Annotated[
        list[Name],
        Field(description="Stages that a passing revision moves to, in order; none only judges."),
    ] = Field(default_factory=list)
    notify: Annotated[list[Name], Field(description="Channels that are told.")] = Field(
        default_factory=list
    )


class ChannelWritten(BaseModel):
    """Whom to tell, and how. Beside `use` come the notifier's own parameters."""

    model_config = ConfigDict(extra="allow", strict=True, hide_input_in_errors=True)

    use: Annotated[str, Field(description="The notifier: log, apprise, webhook, slack, email, …")]


class FileWritten(Written):
    """All of proctor.yaml."""

    stages: Annotated[
        list[StageWritten], Field(description="Promotion targets, first to last.")
    ] = Field(default_factory=list)
    pipelines: Annotated[list[PipelineWritten], Field(min_length=1)]
    channels: Annotated[dict[Name, ChannelWritten], Field(description="Channels by name.")] = Field(
        default_factory=dict
    )


NOT_YET: Final = {
    "soak": "A revision moves on as soon as it passes; leave the key out.",
    "approvals": "Promotion needs no approval yet; leave the key out. To move by hand, leave the "
    "stage out of `promote` and use `proctor promote`.",
    "no_worse_than": "Compare with a fixed bound: at_least or at_most.",
    "margin": "Compare with a fixed bound: at_least or at_most.",
}
"""Keys of the design that are not built yet, each with what to do instead."""
