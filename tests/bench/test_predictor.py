"""Predicting: any image is treated just as those that the model learned from."""

from pathlib import Path

import numpy as np
import pytest
from http_server import Server
from results_examples import train

import bench
from bench._errors import BenchError
from bench._predictor import Answer, Predictor, choose_run, find_images
from bench._results import predictions_of, read_results
from featurestore import FeatureStore, WebSettings


def files_of(album: Path, album_store: FeatureStore) -> dict[int, Path]:
    """Return the file of each of the store's rows."""
    manifest = album_store.manifest()
    return {
        int(row): album / name
        for row, name in zip(manifest["row"], manifest["id"], strict=True)
        if row >= 0
    }


@pytest.mark.parametrize("model", ["pca-svm", "mlp", "linear-probe"])
def test_an_image_of_the_store_has_the_embedding_and_the_answer_that_it_has_there(
    album: Path,
    album_store: FeatureStore,
    album_results: Path,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predictor = bench.load_model(album_results, model)
    seen: list[np.ndarray] = []
    original = predictor._inputs
    monkeypatch.setattr(
        predictor, "_inputs", lambda batch: seen.append(original(batch)) or seen[-1]
    )
    kept = predictions_of(album_results, predictor.run)
    assert kept is not None
    files = files_of(album, album_store)
    answers = list(predictor.predict([files[row] for row in kept.row.tolist()]))
    rows = sorted(map(bytes, np.concatenate(seen)))  # as they became ready
    assert rows == sorted(map(bytes, album_store.embeddings()[:][kept.row]))
    for answer, row, probabilities in zip(answers, kept.row, kept.probabilities, strict=True):
        assert answer.image == str(files[int(row)])
        found = [answer.probabilities[name] for name in album_store.label_names]
        np.testing.assert_allclose(found, probabilities, atol=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["resnet", "finetuned"])
def test_a_network_sees_the_pixels_that_the_store_has(
    album: Path,
    album_store: FeatureStore,
    tmp_path: Path,
    model: str,
) -> None:
    folder = train(tmp_path, album_store, model, preset="quick")
    predictor = bench.load_model(folder)
    kept = predictions_of(folder, predictor.run)
    assert kept is not None
    files = files_of(album, album_store)
    answers = predictor.predict([files[row] for row in kept.row.tolist()])
    for answer, probabilities in zip(answers, kept.probabilities, strict=True):
        found = [answer.probabilities[name] for name in album_store.label_names]
        np.testing.assert_allclose(found, probabilities, atol=1e-4)


def test_answers_come_in_order_and_name_the_likeliest_first(
    album: Path, album_results: Path
) -> None:
    predictor = bench.load_model(album_results)
    files = sorted(album.glob("*/*.jpg"))
    answers = list(predictor.predict(files))
    assert [answer.image for answer in answers] == [str(file) for file in files]
    for answer in answers:
        values = list(answer.probabilities.values())
        assert values == sorted(values, reverse=True)
        assert sum(values) == pytest.approx(1, abs=1e-5)
        assert answer.label == next(iter(answer.probabilities))


def test_bad_images_are_told_in_their_place(
    album: Path, album_results: Path, tmp_path: Path
) -> None:
    good = album / "joy" / "00.jpg"
    (tmp_path / "page.jpg").write_text("<html>")
    (tmp_path / "cut.jpg").write_bytes(good.read_bytes()[:400])
    names = [tmp_path / "page.jpg", good, tmp_path / "cut.jpg", tmp_path / "none.jpg", good]
    answers = list(bench.load_model(album_results).predict(names))
    assert [a.kind for a in answers] == ["not_image", "", "undecodable", "not_found", ""]
    assert answers[1] == answers[4]
    assert answers[0] == Answer(str(names[0]), {}, "not_image", answers[0].error)
    assert answers[0].label == ""
    assert list(bench.load_model(album_results).predict([])) == []


def test_one_image_can_be_given_alone(album: Path, album_results: Path) -> None:
    predictor = bench.load_model(album_results, "mlp")
    image = album / "joy" / "00.jpg"
    for given in (image, str(image)):
        (answer,) = predictor.predict(given)
        assert (answer.image, answer.kind) == (str(image), "")


def test_an_image_is_fetched_from_the_network(album_results: Path, server: Server) -> None:
    url = server.url("/image/1")
    web = WebSettings(allow_private_hosts=True)
    (answer,) = bench.load_model(album_results).predict([url], web)
    assert (answer.image, answer.kind) == (url, "")
    (refused,) = bench.load_model(album_results).predict([url])
    assert refused.kind == "blocked_host"


def test_the_best_run_on_dev_is_chosen_unless_told(album_results: Path) -> None:
    found = read_results(album_results)
    best = max(found.runs, key=lambda run: run.dev.accuracy if run.dev else 0)
    assert choose_run(album_results, found, None) == best
    for run in found.runs:
        for name in (run.model, f"{run.model}-default-seed0", run.folder_name):
            assert choose_run(album_results, found, name) == run
        path = album_results / "runs" / run.folder_name
        assert bench.load_model("elsewhere", str(path)).run == run
    with pytest.raises(BenchError, match="holds no such run; it has models of mlp, pca-svm, lin"):
        choose_run(album_results, found, "vgg")


def test_runs_without_their_model_are_not_chosen(album_results: Path, tmp_path: Path) -> None:
    found = read_results(album_results)
    with pytest.raises(BenchError, match="holds no trained models"):
        choose_run(tmp_path, found, None)
    with pytest.raises(BenchError, match="holds no results"):
        bench.load_model(tmp_path)


def test_a_folder_stands_for_its_files(album: Path) -> None:
    (album / ".hidden.jpg").touch()
    found = list(find_images([str(album / "joy"), "http://x/a.jpg", "b.jpg", str(album)]))
    (album / ".hidden.jpg").unlink()
    files = sorted(str(path) for path in album.glob("*/*.jpg"))
    assert found == [*(f for f in files if "/joy/" in f), "http://x/a.jpg", "b.jpg", *files]


def test_a_predictor_is_what_is_promised() -> None:
    assert bench.Predictor is Predictor
    assert bench.__all__ == ["Answer", "BenchError", "Predictor", "load_model"]
