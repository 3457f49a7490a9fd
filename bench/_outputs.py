"""What people look at: written from the results, all at once."""

from pathlib import Path

from bench._chart import draw_accuracy
from bench._comparison import compare_all
from bench._dataset import Dataset
from bench._report import build_report
from bench._results import ResultsFolder
from bench._tables import show_csv, show_latex, show_markdown


def write_outputs(folder: ResultsFolder, data: Dataset) -> list[Path]:
    """Write tables, picture and report into the folder, and return their paths."""
    results = folder.results
    compared = compare_all(folder.path, results)
    return [
        folder.write("report.html", build_report(folder.path, results, compared, data)),
        folder.path / "results.json",
        folder.write("results.csv", show_csv(results)),
        folder.write("results.md", show_markdown(results, compared.pairs)),
        folder.write("results.tex", show_latex(results)),
        folder.write("accuracy.svg", draw_accuracy(results)),
    ]
