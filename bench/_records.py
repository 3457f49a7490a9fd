"""What ``results.json`` consists of. ``results.schema.json`` is generated from these classes."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

FORMAT_VERSION = 3
EMBEDDING = ("dims", "weights_sha256", "embed_size", "preprocessing")  # what is told of one
SYNTHETIC = "These are synthetic images, drawn by a program: scores say nothing about photographs."
Status = Literal["ok", "failed", "skipped", "unfinished"]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SplitScores(_Record):
    """How well one run tells the images of one split apart."""

    correct: int
    total: int
    accuracy: float = Field(description="top-1, within 0..1")
    low: float = Field(description="lower end of Wilson's 95 % interval of the accuracy")
    high: float = Field(description="its upper end")
    top2: float | None = Field(description="top-2 accuracy; null where there are two labels")
    macro_f1: float = Field(description="F1 averaged over the labels that the split has")
    balanced_accuracy: float = Field(description="recall averaged over the labels it has")
    log_loss: float = Field(description="mean of -ln(probability of the true label), in nats")
    ece: float = Field(description="expected calibration error, 15 bins of equal width, 0..1")
    precision: list[float | None] = Field(
        description="by label, in the order of label_names; null where it was never predicted"
    )
    recall: list[float | None] = Field(description="by label; null where the split has none")
    f1: list[float | None] = Field(description="by label; null where the split has none")
    confusion: list[list[int]] = Field(description="images by true label (rows) and predicted one")


class Machine(_Record):
    """Where a run took the time it took."""

    system: str = Field(description="operating system and processor family")
    python: str
    cpus: int = Field(description="logical processors that the run might use")
    gpu: bool = Field(description="whether the model might use a GPU")


class RunResult(_Record):
    """One model, trained once."""

    model: str
    variant: str = Field(
        description='its preset, with what else was asked for: "default+soft-labels"'
    )
    seed: int
    status: Status
    reason: str = Field(description='why it is not "ok", in one line')
    train_accuracy: float | None = Field(
        default=None,
        description="of the images learned from; for networks of as many as dev and test have",
    )
    dev: SplitScores | None = None
    test: SplitScores | None = None
    fit_seconds: float | None = None
    predict_seconds: float | None = Field(default=None, description="for the dev and test splits")
    peak_memory_mb: float | None = Field(
        default=None, description="the process' resident memory at its highest, sampled"
    )
    settings: dict[str, Any] = Field(
        description="the model's parameters, whether it learned from soft labels, and the groups"
    )
    versions: dict[str, str] = Field(description="of libraries that may change the numbers")
    store_fingerprint: str
    fingerprint: str = Field(
        description="of data, model, seed, settings and versions: the same means the same numbers "
        "on the same machine"
    )
    code: str = Field(default="", description="sha256 of this program's source, for provenance")
    machine: Machine | None = None
    resumed: bool = Field(
        default=False, description="whether it was interrupted; fit_seconds is the last part's then"
    )
    history: dict[str, list[float | None]] = Field(
        default_factory=dict,
        description="curves by epoch or round: loss, accuracy, dev_loss, dev_accuracy, "
        "learning_rate",
    )
    search: list[dict[str, float]] = Field(
        default_factory=list, description="settings that were tried on dev, and what they reached"
    )

    @property
    def key(self) -> tuple[str, str, int]:
        """What tells it from others: a folder keeps one run of each."""
        return self.model, self.variant, self.seed

    @property
    def folder_name(self) -> str:
        """The name of the folder that keeps it."""
        return f"{self.model}-{self.variant}-seed{self.seed}-{self.fingerprint[:16]}"


class Majority(_Record):
    """Always guessing the label that is most frequent in training."""

    label: str | None
    train: float | None
    dev: float | None
    test: float | None
    correct: int = Field(description="of the test split")
    total: int


class StoreAbout(_Record):
    """The data that results are on."""

    title: str
    synthetic: bool = Field(description="drawn by a program: scores say nothing about photographs")
    is_fi: bool = Field(description="whether it is the FI data set of You et al. 2016")
    fingerprint: str
    label_names: list[str]
    groups: dict[str, list[str]] = Field(description="labels by group, where labels were grouped")
    backbone: str
    embedding: dict[str, Any]
    rows: dict[str, int] = Field(description="images by split")
    image_sizes: list[int] = Field(description="sides of the images that the store keeps, pixels")
    labels_trained: int | None = Field(
        None, description="labels, or groups, that have images to train on, where known"
    )
    near_duplicates_across: int | None = Field(
        None, description="groups of near-duplicates that lie in several splits, where known"
    )
    majority: Majority

    @property
    def chance(self) -> float:
        """The accuracy of guessing, if all labels that are learned come equally often."""
        return 1 / (self.labels_trained or len(self.label_names))

    @field_validator("embedding")
    @classmethod
    def _is_whole(cls, embedding: dict[str, Any]) -> dict[str, Any]:
        if lacking := [name for name in EMBEDDING if name not in embedding]:
            raise ValueError(f"lacks {', '.join(lacking)}")
        return embedding


class Results(_Record):
    """All results on one store, with one grouping of its labels."""

    format_version: int = FORMAT_VERSION
    store: StoreAbout
    runs: list[RunResult]


def schema() -> dict[str, Any]:
    """Return the JSON schema of ``results.json``."""
    return Results.model_json_schema(mode="serialization")
