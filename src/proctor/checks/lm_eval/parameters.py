"""What a pipeline may write below `with:` for the check `lm-eval`."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

Scalar: TypeAlias = bool | int | float | str
Seed: TypeAlias = Annotated[int, Field(ge=0, lt=2**32)]


class Parameters(BaseModel):
    """Parameters of the check `lm-eval`. Names are the harness's own where it has one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tasks: tuple[str, ...] = Field(
        min_length=1, description="Tasks, groups or tags of the harness to evaluate."
    )
    include_path: str | None = Field(
        default=None,
        description="Folder with task files of your own, relative to the configuration file. "
        "A task folder is code: the harness runs the functions that it names.",
    )
    num_fewshot: int | None = Field(
        default=None, ge=0, description="Examples in the prompt; unset: as the task says."
    )
    batch_size: int = Field(
        default=1,
        ge=1,
        description="Requests in one forward pass. Results of different batch sizes may differ in "
        "the last bits, so they are not compared.",
    )
    limit: int | float | None = Field(
        default=None,
        gt=0,
        description="Only the first so many documents of each task (1 or more), or this share of "
        "them (below 1).",
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="Number format of the weights; auto: as the revision says."
    )
    device: str | None = Field(
        default=None,
        pattern=r"^(cpu|mps|(cuda|xpu|npu|hpu)(:\d+)?)$",
        description="Where the model runs, such as cpu or cuda:0; unset: a GPU if there is one.",
    )
    add_bos_token: bool | None = Field(
        default=None,
        description="Whether a BOS token goes in front of a prompt; unset: as the tokenizer does.",
    )
    apply_chat_template: bool | str = Field(
        default=False,
        description="Wrap prompts in the revision's chat template (true, or a template's name). "
        "Not for multiple choice.",
    )
    fewshot_as_multiturn: bool = Field(
        default=True,
        description="With a chat template: examples are turns of a conversation, not one text.",
    )
    system_instruction: str | None = Field(
        default=None, description="A system message in front of each prompt."
    )
    gen_kwargs: dict[str, Scalar | tuple[Scalar, ...]] | None = Field(
        default=None, description="Settings for generation, on top of the task's own."
    )
    random_seed: Seed = Field(default=0, description="Seed of Python's chance.")
    numpy_random_seed: Seed = Field(default=1234, description="Seed of NumPy's chance.")
    torch_random_seed: Seed = Field(default=1234, description="Seed of torch's chance.")
    fewshot_random_seed: Seed = Field(
        default=1234, description="Seed for the choice of few-shot examples."
    )
    bootstrap_iters: int = Field(
        default=1000,
        ge=0,
        description="Resamplings for standard errors that have no formula; 0: no standard errors.",
    )
    venue: Literal["local"] = Field(
        default="local", description="Where the model runs: in a process on the worker's machine."
    )
    trust_remote_code: bool = Field(
        default=False,
        description="Run Python code shipped in the model repo. It runs with the rights of the "
        "worker's user: only for repos whose every pusher you trust.",
    )
    allow_pickle: bool = Field(
        default=False,
        description="Load weights that are not safetensors (PyTorch .bin files) too.",
    )
    time_limit: float = Field(
        default=3600, gt=0, le=7 * 86400, description="The longest it may take, in seconds."
    )

    @field_validator("limit")
    @classmethod
    def _whole_or_share(cls, value: float | None) -> float | None:
        if value is not None and value >= 1 and value != int(value):
            raise ValueError("should be a whole number of documents, or a share below 1")
        return int(value) if value is not None and value >= 1 else value

    @field_validator("tasks")
    @classmethod
    def _no_doubles(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a task is listed twice")
        if any(not task.strip() for task in value):
            raise ValueError("a task's name is empty")
        return value
