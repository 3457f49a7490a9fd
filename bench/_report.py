"""One page, in one file, that shows everything of a results folder."""

from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench._baselines import REPORT
from bench._comparison import Compared
from bench._dataset import Dataset
from bench._gallery import hang
from bench._records import SYNTHETIC, Results
from bench._report_data import data_sheet, run_parts
from bench._report_models import calibration_part, gallery_parts, model_parts
from bench._report_scores import (
    MEASURES,
    agreement,
    by_class,
    differences,
    in_short,
    published_differences,
    result_lines,
)
from bench._statistics import summarise
from bench._tuning_plots import tuning_figures
from featurestore import SPLITS


def build_report(folder: Path, results: Results, compared: Compared, data: Dataset) -> str:
    """Return the page, as HTML.

    It needs nothing but itself, and the same results give the same bytes.

    Parameters
    ----------
    folder : Path
        Where the results are, and what was tuned; only its name is shown.
    results : Results
    compared : Compared
        The models of these results that still have predictions.
    data : Dataset
        What the results are on.
    """
    store = results.store
    environment = Environment(
        loader=PackageLoader("bench"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.jinja").render(
        style=Markup((files("bench") / "templates" / "report.css").read_text("utf-8")),
        splits=SPLITS,
        measures=MEASURES,
        store=store,
        synthetic=SYNTHETIC,
        published_report=REPORT,
        short=in_short(results, compared.pairs),
        lines=result_lines(results),
        published=published_differences(results),
        chance=100 * store.chance,
        agreement=agreement(compared),
        differences=differences(compared.pairs),
        models=model_parts(summarise(results.runs), store.label_names),
        recall=by_class(
            results,
            "recall",
            "Accuracy by class (recall): of a label's test images, the percentage told right; "
            "means over seeds",
            support=True,
        ),
        precision=by_class(
            results,
            "precision",
            "Precision by class: of the test images told to be of a label, the percentage that "
            "are; means over seeds, – where a label was never told",
            support=False,
        ),
        calibration=calibration_part(compared),
        galleries=gallery_parts(compared, hang(compared.tested, data.store, store.label_names)),
        tuning=[(title, Markup(picture)) for title, picture in tuning_figures(folder)],
        sheet=data_sheet(data.store),
        runs=run_parts(results.runs),
        places={"store": data.store.name, "results": folder.name},
    )
    return page.strip() + "\n"
