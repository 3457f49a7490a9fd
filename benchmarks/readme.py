"""Put results on the embedded sample into the README: its table and its picture.

    bench extract --image-size 96 && bench run --all && python benchmarks/readme.py results

The results are kept as docs/sample_results.json, so that a test can tell when the README says
anything else.
"""

import argparse
from pathlib import Path

from bench._chart import draw_accuracy
from bench._results import read_results
from bench._tables import show_results

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- made by benchmarks/readme.py -->\n", "<!-- end -->\n"


def main(folder: Path) -> None:
    results = read_results(folder)
    if not results.store.synthetic:
        raise SystemExit(f"{folder}: the README shows the embedded sample, not other data")
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    table = show_results(results, "github")
    readme.write_text(f"{before}{BEGIN}{table}\n{END}{after}", encoding="utf-8")
    (ROOT / "docs" / "accuracy.svg").write_text(draw_accuracy(results), encoding="utf-8")
    kept = results.model_dump_json(indent=1) + "\n"
    (ROOT / "docs" / "sample_results.json").write_text(kept, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="folder of results of bench run")
    main(parser.parse_args().results)
