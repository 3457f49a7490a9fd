"""A paragraph for a paper's methods section, made from what results say of themselves."""

import textwrap
from dataclasses import dataclass

from bench._records import Results, RunResult, StoreAbout
from bench._statistics import Summary, summarise
from bench._tables import limits_text, seeds_text, spread_percent, title_of_runs
from featurestore import SPLITS

WIDTH = 100


@dataclass(frozen=True)
class Reference:
    """Something to cite, in one line."""

    key: str
    text: str


FI = Reference(
    "You et al. 2016",
    "Q. You, J. Luo, H. Jin, J. Yang. Building a Large Scale Dataset for Image Emotion "
    "Recognition: The Fine Print and The Benchmark. AAAI 2016, arXiv:1605.02677.",
)
WILSON = Reference(
    "Wilson 1927",
    "E. B. Wilson. Probable Inference, the Law of Succession, and Statistical Inference. Journal "
    "of the American Statistical Association 22, 1927.",
)
BACKBONES = {
    "mobilenet": Reference(
        "Howard et al. 2017",
        "A. G. Howard et al. MobileNets: Efficient Convolutional Neural Networks for Mobile Vision "
        "Applications. arXiv:1704.04861.",
    ),
    "densenet121": Reference(
        "Huang et al. 2017",
        "G. Huang, Z. Liu, L. van der Maaten, K. Weinberger. Densely Connected Convolutional "
        "Networks. CVPR 2017, arXiv:1608.06993.",
    ),
    "convnext_base": Reference(
        "Liu et al. 2022",
        "Z. Liu et al. A ConvNet for the 2020s. CVPR 2022, arXiv:2201.03545.",
    ),
    "resnet50": Reference(
        "He et al. 2016a",
        "K. He, X. Zhang, S. Ren, J. Sun. Deep Residual Learning for Image Recognition. CVPR 2016, "
        "arXiv:1512.03385.",
    ),
    "efficientnetv2_b0": Reference(
        "Tan and Le 2021",
        "M. Tan, Q. V. Le. EfficientNetV2: Smaller Models and Faster Training. ICML 2021, "
        "arXiv:2104.00298.",
    ),
}
# What each model is, and where it comes from; "{backbone}": a network's own, not the store's.
MODELS: dict[str, tuple[str, Reference | None]] = {
    "mlp": ("a multilayer perceptron on the embeddings", None),
    "pca-svm": ("principal components of the embeddings and a support vector machine", None),
    "lightgbm": (
        "gradient-boosted trees on the embeddings",
        Reference(
            "Ke et al. 2017",
            "G. Ke et al. LightGBM: A Highly Efficient Gradient Boosting Decision Tree. NIPS 2017.",
        ),
    ),
    "linear-probe": ("multinomial logistic regression on the embeddings", None),
    "resnet": (
        "a pre-activation residual network trained from scratch on 32 x 32 px",
        Reference(
            "He et al. 2016b",
            "K. He, X. Zhang, S. Ren, J. Sun. Identity Mappings in Deep Residual Networks. "
            "ECCV 2016, arXiv:1603.05027.",
        ),
    ),
    "fractalnet": (
        "a FractalNet trained from scratch on 32 x 32 px",
        Reference(
            "Larsson et al. 2017",
            "G. Larsson, M. Maire, G. Shakhnarovich. FractalNet: Ultra-Deep Neural Networks "
            "without Residuals. ICLR 2017, arXiv:1605.07648.",
        ),
    ),
    "finetuned": ("{backbone}, fine-tuned on larger images", None),
    "noisy-finetuned": ("{backbone}, fine-tuned on weakly labelled images", FI),
}


def cite(results: Results) -> str:
    """Return the paragraph, the references that it needs, and the fingerprints that it rests on."""
    store = results.store
    summaries = [s for s in summarise(results.runs) if s.interval is not None]
    references = [r for r in _references(store, summaries) if r]
    parts = [textwrap.fill(_paragraph(store, summaries), WIDTH), "References"]
    parts += [
        textwrap.fill(f"{r.key}: {r.text}", WIDTH, subsequent_indent="  ") for r in references
    ]
    parts += ["Fingerprints", _fingerprints(store, summaries)]
    return "\n\n".join(parts)


def _paragraph(store: StoreAbout, summaries: list[Summary]) -> str:
    count = sum(store.rows.values())
    splits = ", ".join(f"{store.rows[split]:,} for {name}" for split, name in _SPLIT_NAMES.items())
    what = "synthetic images drawn by a program" if store.synthetic else "images"
    data = f"the FI data set ({FI.key})" if store.is_fi else f'the data set "{store.title}"'
    sentences = [
        f"We used {count:,} {what} of {data} with {len(store.label_names)} labels "
        f"({', '.join(store.label_names)}): {splits}; copies were kept once"
        f"{_near_duplicates(store.near_duplicates_across)}."
    ]
    if store.groups:
        groups = "; ".join(f"{name}: {', '.join(g)}" for name, g in store.groups.items())
        sentences.append(f"Labels were grouped ({groups}).")
    sentences.append(
        f"Embeddings of {store.embedding['dims']} numbers are by {_with_source(store.backbone)}, "
        f"pretrained on ImageNet and not trained further; its input was the "
        f"{store.embedding['preprocessing']}."
    )
    for summary in summaries:
        sentences.append(_model_sentence(summary))
    if summaries:
        sentences.append(
            "Intervals are Wilson's at 95 % for the test images drawn (Wilson 1927)"
            + ("; ± is the standard deviation over seeds." if _several(summaries) else ".")
        )
    programs = _versions(summaries)
    sentences.append(
        f"Everything was computed with {programs}; the data's fingerprint is "
        f"{store.fingerprint[:12]}."
    )
    return " ".join(sentences)


_SPLIT_NAMES = {"train": "training", "dev": "development", "test": "testing"}
assert tuple(_SPLIT_NAMES) == SPLITS


def _near_duplicates(across: int | None) -> str:
    if across is None:
        return ""
    if across == 0:
        return ", and the near-duplicates that were found are within one split"
    groups = "group of near-duplicates lies" if across == 1 else "groups of near-duplicates lie"
    return f", and {across} {groups} in more than one split"


def _model_sentence(summary: Summary) -> str:
    what, reference = MODELS.get(summary.model, (summary.model, None))
    backbones = " and ".join(map(_with_source, _backbones(summary))) or "a pretrained network"
    what = what.replace("{backbone}", backbones)
    source = f" ({reference.key})" if reference else ""
    seeds = seeds_text(summary.ok)
    word = "seed" if len(summary.ok) == 1 else "seeds"
    assert summary.interval is not None
    title = title_of_runs(summary)
    return (
        f"{title[0].upper()}{title[1:]}, {what}{source} "
        f"(preset {summary.variant}, {word} {seeds}), tells "
        f"{spread_percent(summary.accuracy('test'))} % of the test images right (95 % interval "
        f"{limits_text(*summary.interval)} %)."
    )


def _backbones(summary: Summary) -> list[str]:
    """Return the backbones that a network was made from; none where it has none."""
    settings = (run.settings for run in summary.ok)
    return list(dict.fromkeys(one["backbone"] for one in settings if "backbone" in one))


def _with_source(backbone: str) -> str:
    reference = BACKBONES.get(backbone)
    return f"{backbone} ({reference.key})" if reference else backbone


def _several(summaries: list[Summary]) -> bool:
    return any(len(summary.ok) > 1 for summary in summaries)


def _runs(summaries: list[Summary]) -> list[RunResult]:
    return [run for summary in summaries for run in summary.ok]


def _versions(summaries: list[Summary]) -> str:
    versions: dict[str, set[str]] = {}
    for run in _runs(summaries):
        for name, version in run.versions.items():
            versions.setdefault(name, set()).add(version)
    from importlib.metadata import version as installed

    versions.setdefault("emotion-bench", {installed("emotion-bench")})
    return ", ".join(f"{name} {' and '.join(sorted(found))}" for name, found in versions.items())


def _references(store: StoreAbout, summaries: list[Summary]) -> list[Reference | None]:
    found = [FI if store.is_fi else None, BACKBONES.get(store.backbone)]
    for summary in summaries:
        found += [BACKBONES.get(name) for name in _backbones(summary)]
        found.append(MODELS.get(summary.model, ("", None))[1])
    return list(dict.fromkeys([*found, WILSON if summaries else None]))


def _fingerprints(store: StoreAbout, summaries: list[Summary]) -> str:
    lines = [f"store: {store.fingerprint}", f"weights: {store.embedding['weights_sha256']}"]
    lines += [
        f"{run.model}, {run.variant}, seed {run.seed}: {run.fingerprint}"
        for run in _runs(summaries)
    ]
    return "\n".join(lines)
