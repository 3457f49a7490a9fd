"""The real server: every address, and what it refuses."""

import io
import json
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from results_examples import train

import bench
from bench._dataset import Dataset
from bench._errors import BenchError
from bench._models import MODELS
from bench._results import ResultsFolder, predictions_of, read_results
from bench._runner import RunOptions, run_models
from bench.explore._catalogue import Catalogue
from bench.explore._guard import CONTENT_SECURITY
from bench.explore._routes import MOST_BYTES
from bench.explore._server import listen
from featurestore import SPLITS, ExtractSettings, FeatureStore, extract, read_source

Explorer = Any
Explore = Callable[..., AbstractContextManager[Explorer]]


def test_the_page_is_made_of_files_of_its_own(explorer: Explorer) -> None:
    page = explorer.ask("/")
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert b"//" not in page.body.replace(b"<!doctype", b"")
    for name, kind in (("explore.js", "text/javascript"), ("explore.css", "text/css")):
        reply = explorer.ask(f"/static/{name}")
        assert reply.status == 200
        assert reply.headers["content-type"].startswith(kind)
        assert b"http:" not in reply.body
        assert b"https:" not in reply.body
        assert b"innerHTML" not in reply.body
    assert explorer.ask("/", "HEAD").body == b""


def test_about_says_what_there_is(explorer: Explorer, album_store: FeatureStore) -> None:
    about = explorer.ask("/api/about").json
    assert about["images"] == len(album_store) == 36
    assert [label["name"] for label in about["labels"]] == ["calm", "dread", "joy"]
    assert sum(split["count"] for split in about["splits"]) == 36
    assert {model["key"] for model in about["models"]} == {
        *("mlp-default", "pca-svm-default", "linear-probe-default")
    }
    on_dev = [model["dev"] for model in about["models"]]
    assert on_dev == sorted(on_dev, reverse=True)
    assert about["sizes"] == [32, 64]
    assert about["limits"]["most_bytes"] == MOST_BYTES


def test_images_are_filtered(
    explorer: Explorer, album_store: FeatureStore, album_results: Path
) -> None:
    everything = explorer.ask("/api/images").json
    assert (everything["total"], everything["of"], everything["pages"]) == (36, 36, 1)
    assert [item["row"] for item in everything["items"]] == list(range(36))
    run = next(r for r in read_results(album_results).runs if r.model == "mlp")
    kept = predictions_of(album_results, run)
    assert kept is not None
    wrong = explorer.ask("/api/images?model=mlp-default&answer=wrong&sort=surest").json
    assert {item["row"] for item in wrong["items"]} == set(kept.row[~kept.hits].tolist())
    for item in wrong["items"]:
        assert item["right"] is False
        place = kept.row.tolist().index(item["row"])
        assert item["predicted"] == album_store.label_names[kept.predicted[place]]
        assert item["sureness"] == pytest.approx(kept.probabilities[place].max())
    sure = [item["sureness"] for item in wrong["items"]]
    assert sure == sorted(sure, reverse=True)
    calm = explorer.ask("/api/images?label=calm&split=train&model=&answer=").json
    assert all(i["label"] == "calm" and i["split"] == "train" for i in calm["items"])
    assert calm["total"] == int(((album_store.labels == 0) & (album_store.splits == 0)).sum())
    assert "predicted" not in calm["items"][0]  # nobody kept predictions for train
    assert explorer.ask("/api/images?page=2").json["items"] == []


def test_an_image_with_all_that_is_known_of_it(
    explorer: Explorer, album_store: FeatureStore, album_results: Path
) -> None:
    row = int(album_store.rows("test")[0])
    found = explorer.ask(f"/api/images/{row}").json
    manifest = album_store.manifest()
    record = manifest["row"].tolist().index(row)
    assert found["id"] == manifest["id"][record]
    assert (found["width"], found["height"]) == (
        manifest["width"][record],
        manifest["height"][record],
    )
    assert found["label"] == album_store.label_names[album_store.labels[row]]
    assert found["split"] == SPLITS[album_store.splits[row]] == "test"
    assert [(v["label"], v["share"]) for v in found["votes"]] == [(found["label"], 1.0)]
    assert found["group"]["total"] == len(found["group"]["images"])
    assert len(found["models"]) == 3
    for model in found["models"]:
        kept = predictions_of(
            album_results,
            next(r for r in read_results(album_results).runs if r.model == model["model"]),
        )
        assert kept is not None
        shares = kept.probabilities[kept.row.tolist().index(row)]
        told = dict(model["probabilities"])
        assert [told[name] for name in album_store.label_names] == pytest.approx(shares.tolist())
        assert model["right"] == (model["probabilities"][0][0] == found["label"])
    json.dumps(found, allow_nan=False)
    near = explorer.ask(f"/api/images/{row}/neighbours").json["neighbours"]
    assert len(near) == 12
    assert row not in [image["row"] for image in near]
    units = album_store.embeddings()[:]
    units = units / np.linalg.norm(units, axis=1, keepdims=True)
    for image in near:
        assert image["similarity"] == pytest.approx(
            float(units[row] @ units[image["row"]]), abs=1e-5
        )


@pytest.mark.parametrize(("size", "kind"), [(32, "PNG"), (64, "PNG")])
def test_pixels_are_the_stores_and_kept_by_browsers(
    explorer: Explorer, album_store: FeatureStore, size: int, kind: str
) -> None:
    path = f"/images/{album_store.fingerprint[:16]}/{size}/35"
    reply = explorer.ask(path)
    image = Image.open(io.BytesIO(reply.body))
    assert image.format == kind
    np.testing.assert_array_equal(np.asarray(image), album_store.images_at(size)[35])
    assert "immutable" in reply.headers["cache-control"]
    again = explorer.ask(path, If_None_Match=reply.headers["etag"])
    assert (again.status, again.body) == (304, b"")
    assert explorer.ask(path, If_None_Match='"other"').status == 200


@pytest.mark.slow
def test_larger_images_are_jpeg(explore: Explore, photo_folder: Path, tmp_path: Path) -> None:
    settings = ExtractSettings(embed_size=32, image_sizes=(96,))
    store = extract(read_source(str(photo_folder)), tmp_path / "p.zarr", settings)
    with explore(store) as explorer:
        reply = explorer.ask(f"/images/{store.fingerprint[:16]}/96/0")
        assert reply.headers["content-type"] == "image/jpeg"
        found = np.asarray(Image.open(io.BytesIO(reply.body))).astype(int)
        assert np.abs(found - store.images_at(96)[0]).mean() < 3


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/static/nothing.js",
        "/static/..%2f_server.py",
        "/static/",
        "/api/images/36",
        "/api/images/36/neighbours",
        "/images/0000000000000000/32/0",
        "/images/FP/33/0",
        "/images/FP/32/36",
    ],
)
def test_what_is_not_there_is_404(explorer: Explorer, path: str) -> None:
    reply = explorer.ask(path.replace("FP", explorer.catalogue.store.fingerprint[:16]))
    assert reply.status == 404
    assert list(reply.json) == ["error"]


@pytest.mark.parametrize(
    "path",
    [
        "/api/images?label=happy",
        "/api/images?split=all",
        "/api/images?model=vgg",
        "/api/images?predicted=3",
        "/api/images?answer=maybe",
        "/api/images?models=1",
        "/api/images?sort=label",
        "/api/images?page=0",
        "/api/images?page=-1",
        "/api/images?page=1e3",
        "/api/images?page=%C2%B2",
        "/api/images?page=" + "9" * 5000,
        "/api/images?colour=red",
        "/api/images/x",
        "/api/images/-1",
        "/api/images/1.5/neighbours",
        "/api/failed?kind=%3Cscript%3E",
        "/api/failed?page=x",
        "/api/failed?label=joy",
        "/api/about?x=1",
        "/images/FP/x/0",
    ],
)
def test_what_makes_no_sense_is_400_with_one_line(explorer: Explorer, path: str) -> None:
    reply = explorer.ask(path.replace("FP", explorer.catalogue.store.fingerprint[:16]))
    assert reply.status == 400
    assert list(reply.json) == ["error"]
    assert "\n" not in reply.json["error"]
    assert reply.json["error"]


@pytest.mark.parametrize("path", ["/", "/api/about", "/nothing", "/api/images?page=0"])
def test_every_answer_has_the_security_headers(explorer: Explorer, path: str) -> None:
    for headers in ({}, {"Host": "evil.example"}, {"Origin": "https://evil.example"}):
        reply = explorer.ask(path, **headers)
        assert reply.headers["content-security-policy"] == CONTENT_SECURITY
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"
        assert reply.headers["cache-control"] in ("no-store", "no-cache")
        assert "access-control-allow-origin" not in reply.headers
    assert "default-src 'none'" in CONTENT_SECURITY
    assert "unsafe" not in CONTENT_SECURITY


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:PORT",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost",
        "",
        "[::1]:PORT",
    ],
)
def test_another_name_is_refused(explorer: Explorer, host: str) -> None:
    for path in ("/", "/api/images", "/static/explore.js"):
        reply = explorer.ask(path, Host=host.replace("PORT", str(explorer.port)))
        assert reply.status == 400
        assert list(reply.json) == ["error"]


def test_its_own_names_are_answered(explorer: Explorer) -> None:
    for name in ("127.0.0.1", "localhost", "LOCALHOST"):
        assert explorer.ask("/", Host=f"{name}:{explorer.port}").status == 200
    two = f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{explorer.port}\r\nHost: evil.example\r\n\r\n"
    assert b" 400 " in explorer.begin(two.encode()).splitlines()[0]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},  # another port of this computer
    ],
)
def test_requests_of_other_sites_are_refused(
    explorer: Explorer, headers: dict[str, str], jpeg: Callable[..., bytes]
) -> None:
    assert explorer.ask("/api/predict", "POST", jpeg(), **headers).status == 403
    assert explorer.ask("/api/images", **headers).status == 403
    visit = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert explorer.ask("/api/images", **headers, **visit).status == 403
    frame = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "iframe"}
    assert explorer.ask("/", **headers, **frame).status == 403


def test_a_link_from_elsewhere_may_be_followed(explorer: Explorer) -> None:
    visit = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
    assert explorer.ask("/?label=joy", Sec_Fetch_Site="cross-site", **visit).status == 200
    own = {"Origin": explorer.address, "Sec_Fetch_Site": "same-origin"}
    assert explorer.ask("/api/predict", "POST", b"<html>", **own).status == 422


def test_other_methods_are_refused(explorer: Explorer) -> None:
    for method, path in (("POST", "/"), ("DELETE", "/api/images/1"), ("GET", "/api/predict")):
        reply = explorer.ask(path, method)
        assert reply.status == 405
        assert list(reply.json) == ["error"]


def test_an_image_is_shown_to_each_models_best_run(
    explorer: Explorer, album: Path, album_store: FeatureStore, album_results: Path
) -> None:
    path = album / "joy" / "00.jpg"
    heard = explorer.ask("/api/predict", "POST", path.read_bytes()).json
    assert heard["format"] == "JPEG"
    manifest = album_store.manifest()
    row = int(manifest["row"][manifest["id"].tolist().index("joy/00.jpg")])
    assert heard["row"] == row
    assert heard["neighbours"][0]["row"] == row
    assert heard["neighbours"][0]["similarity"] == pytest.approx(1)
    assert heard["networks"] == []
    assert {model["model"] for model in heard["models"]} == {"mlp", "pca-svm", "linear-probe"}
    for model in heard["models"]:
        (answer,) = bench.load_model(album_results, model["model"]).predict([path])
        told = [(name, pytest.approx(share, abs=1e-6)) for name, share in model["probabilities"]]
        assert list(answer.probabilities.items()) == told


@pytest.mark.parametrize("body", [b"<html>", b"\xff\xd8\xff\xe0 cut", b"GIF89a"])
def test_what_is_no_image_is_a_line(explorer: Explorer, body: bytes) -> None:
    reply = explorer.ask("/api/predict", "POST", body)
    assert reply.status == 422
    assert reply.json["error"].partition(":")[0] in ("not_image", "undecodable")
    assert "Traceback" not in reply.json["error"]


def test_too_large_and_empty_bodies_and_bad_questions(explorer: Explorer) -> None:
    head = f"POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1:{explorer.port}\r\n"
    told = explorer.begin(f"{head}Content-Length: {MOST_BYTES + 1}\r\n\r\n".encode())
    assert b" 413 " in told.splitlines()[0]
    assert b"larger than 20 MB" in told
    sent = explorer.ask("/api/predict", "POST", bytes(MOST_BYTES))
    assert sent.status == 422
    chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n{MOST_BYTES + 1:x}\r\n".encode()
    assert b" 413 " in explorer.begin(chunked + bytes(MOST_BYTES + 1)).splitlines()[0]
    assert explorer.ask("/api/predict", "POST", b"").status == 400
    assert explorer.ask("/api/predict?networks=yes", "POST", b"x").status == 400


def test_failed_records(explore: Explore, photo_folder: Path, tmp_path: Path) -> None:
    (photo_folder / "joy" / "empty.jpg").touch()
    (photo_folder / "joy" / "page.jpg").write_text("<html>")
    good = (photo_folder / "joy" / "1.jpg").read_bytes()
    (photo_folder / "joy" / "cut.jpg").write_bytes(good[: len(good) // 2])
    (photo_folder / "joy" / "twice.jpg").write_bytes(good)
    settings = ExtractSettings(embed_size=32)
    store = extract(read_source(str(photo_folder)), tmp_path / "f.zarr", settings)
    with explore(store) as explorer:
        kinds = explorer.ask("/api/about").json["kinds"]
        assert [(k["status"], k["kind"], k["count"]) for k in kinds] == [
            *(("failed", "not_image", 2), ("failed", "undecodable", 1)),
            ("left_out", "duplicate", 1),
        ]
        found = explorer.ask("/api/failed").json
        assert (found["total"], found["of"]) == (3, 34)
        ids = [record["id"] for record in found["records"]]
        assert sorted(ids) == ["joy/cut.jpg", "joy/empty.jpg", "joy/page.jpg"]
        assert all(r["detail"] and r["advice"] for r in found["records"])
        (cut,) = explorer.ask("/api/failed?kind=undecodable").json["records"]
        assert "--retry-failed undecodable" in cut["advice"]
        assert explorer.ask("/api/failed?kind=duplicate").json["total"] == 1
        assert explorer.ask("/api/failed?page=9").json["records"] == []
        assert explorer.ask("/api/failed?kind=timeout").status == 400


def test_a_store_without_results(explore: Explore, album: Path, album_store: FeatureStore) -> None:
    with explore(album_store) as explorer:
        about = explorer.ask("/api/about").json
        assert (about["models"], about["results"]) == ([], None)
        assert explorer.ask("/api/images").json["total"] == 36
        assert explorer.ask("/api/images?answer=right").json["total"] == 0
        assert explorer.ask("/api/images?model=mlp-default").status == 400
        assert explorer.ask("/api/images/0").json["models"] == []
        heard = explorer.ask("/api/predict", "POST", (album / "joy" / "01.jpg").read_bytes()).json
        assert heard["models"] == []
        assert len(heard["neighbours"]) == 12


def test_a_model_that_is_gone_is_told_and_the_others_answer(
    explore: Explore, album: Path, album_store: FeatureStore, album_results: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(album_results, tmp_path / "results"))
    (model,) = folder.glob("runs/mlp-*/model.npz")
    model.write_bytes(b"PK damaged")
    (gone,) = folder.glob("runs/pca-svm-*/model.npz")
    gone.unlink()
    with explore(album_store, folder) as explorer:
        data = (album / "joy" / "01.jpg").read_bytes()
        heard = explorer.ask("/api/predict", "POST", data).json["models"]
        assert ["error" in m for m in sorted(heard, key=lambda m: m["title"])] == [
            *(True, True, False)
        ]


def test_models_of_groups_of_labels_answer_groups(
    explore: Explore, album_store: FeatureStore, tmp_path: Path
) -> None:
    data = Dataset(album_store, {"good": ("joy",), "bad": ("dread",)})
    with ResultsFolder(tmp_path, data.describe()) as results:
        run_models(data, [MODELS["linear-probe"]], RunOptions(), results, lambda _: None)
    with explore(album_store, tmp_path) as explorer:
        about = explorer.ask("/api/about").json
        assert about["answers"] == ["good", "bad"]
        assert [label["name"] for label in about["labels"]] == ["calm", "dread", "joy"]
        right = explorer.ask("/api/images?answer=right").json["items"]
        assert right
        for item in right:
            assert item["predicted"] == {"joy": "good", "dread": "bad"}[item["label"]]
        told = {i["row"] for i in explorer.ask("/api/images").json["items"] if "predicted" in i}
        expected = (album_store.labels > 0) & (album_store.splits > 0)
        assert told == set(np.flatnonzero(expected).tolist())
        row = right[0]["row"]
        (model,) = explorer.ask(f"/api/images/{row}").json["models"]
        assert model["true"] == right[0]["predicted"]


@pytest.mark.slow
def test_networks_are_asked_when_told_to(
    explore: Explore, photo_folder: Path, tmp_path: Path
) -> None:
    settings = ExtractSettings(embed_size=32, image_sizes=(64,))
    store = extract(read_source(str(photo_folder)), tmp_path / "n.zarr", settings)
    folder = train(tmp_path / "results", store, "resnet", "finetuned", preset="quick")
    path = photo_folder / "joy" / "1.jpg"
    with explore(store, folder) as explorer:
        heard = explorer.ask("/api/predict", "POST", path.read_bytes()).json
        assert (heard["models"], heard["networks"]) == ([], ["ResNet-18", "fine-tuned CNN"])
        heard = explorer.ask("/api/predict?networks=1", "POST", path.read_bytes()).json
        assert {m["model"] for m in heard["models"]} == {"resnet", "finetuned"}
        for model in heard["models"]:
            (answer,) = bench.load_model(folder, model["model"]).predict([path])
            assert dict(model["probabilities"]) == pytest.approx(answer.probabilities, abs=1e-4)


def test_results_on_another_store_are_refused(
    sample_store: FeatureStore, album_results: Path, tmp_path: Path
) -> None:
    with pytest.raises(BenchError, match="holds results on another store"):
        Catalogue(sample_store, album_results)
    with pytest.raises(BenchError, match="holds no results"):
        Catalogue(sample_store, tmp_path)


def test_a_store_that_vanishes_is_a_line(
    explore: Explore,
    photo_folder: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    settings = ExtractSettings(embed_size=32)
    store = extract(read_source(str(photo_folder)), tmp_path / "v.zarr", settings)
    with explore(store) as explorer:
        for file in (store.path / "images").rglob("*"):
            if file.is_file() and file.name != "zarr.json":
                file.write_bytes(b"damaged")
        reply = explorer.ask(f"/images/{store.fingerprint[:16]}/32/0")
        assert reply.status == 500
        assert "bench verify" in reply.json["error"]

        explorer.catalogue.browse = None
        reply = explorer.ask("/api/images")
        assert reply.status == 500
        assert reply.json["error"].startswith("TypeError: ")
    told = capfd.readouterr()
    assert "Traceback" not in told.out + told.err
    assert told.err.count("\n") == 1


def test_a_port_that_is_taken_is_a_line() -> None:
    with listen(0) as first:
        port = first.getsockname()[1]
        with pytest.raises(BenchError, match=f"--port {port}: is taken"):
            listen(port)
