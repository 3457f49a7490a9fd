"""Draw the curves that `bench run` keeps: loss and accuracy by epoch.

python benchmarks/curves.py results/results.json docs/networks.svg resnet fractalnet finetuned
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="results.json of bench run")
    parser.add_argument("target", type=Path, help="the SVG to write")
    parser.add_argument("names", nargs="+", help="models")
    arguments = parser.parse_args()
    source, target, names = arguments.source, arguments.target, arguments.names
    results = json.loads(source.read_text())
    runs = {run["model"]: run["history"] for run in results["runs"] if run["history"]}
    missing = [name for name in names if name not in runs]
    if missing:
        sys.exit(f"{source}: has no curves of {', '.join(missing)}; it has {', '.join(runs)}")
    draw({name: runs[name] for name in names}, results["store"]["title"], target)


def draw(runs: dict[str, dict[str, list[float]]], title: str, path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "curves"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, len(runs), figsize=(3.4 * len(runs), 5), layout="constrained")
    for column, (name, history) in enumerate(runs.items()):
        epochs = range(1, len(history["loss"]) + 1)
        pairs: list[tuple[str, Any]] = [("loss", axes[0, column]), ("accuracy", axes[1, column])]
        for what, place in pairs:
            place.plot(epochs, history[what], label="train, as augmented")
            if f"dev_{what}" in history:
                place.plot(epochs, history[f"dev_{what}"], "--", label="dev")
            place.set(xlabel="epoch")
            place.grid(alpha=0.3)
        axes[0, column].set(title=name)
        axes[1, column].set(ylim=(0, 1))
    axes[0, 0].set(ylabel="loss")
    axes[1, 0].set(ylabel="accuracy")
    axes[1, 0].legend(loc="lower right")
    figure.suptitle(title)
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
