"""Extraction: what a store holds, that nothing but its inputs decides it, and stops at any time."""

import io
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from bench.cli import main
from featurestore import (
    ExtractSettings,
    FeatureStore,
    KeepRule,
    Progress,
    Source,
    SourceOptions,
    extract,
    read_source,
    verify,
)
from featurestore._backbones import find_weights, get_backbone, hash_file
from featurestore._decode import decode
from featurestore._engines import make_engine
from featurestore._place import FileLock, LocalPlace
from featurestore._records import in_store_order
from featurestore._segments import Segments
from featurestore._staging import Staging
from featurestore.errors import (
    FeatureStoreError,
    SourceError,
    StoreBusyError,
    StoreMismatchError,
    StoreUnfinishedError,
    StoreVersionError,
)


def read_tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def stop_after(source: Source, count: int) -> Source:
    """Return the source with a fetcher that presses Ctrl-C, as it were, after ``count`` calls."""
    calls = iter(range(count))
    lock = threading.Lock()

    def fetch(location: str) -> bytes:
        with lock:
            if next(calls, None) is None:
                raise KeyboardInterrupt
        return source.fetch(location)

    return replace(source, fetch=fetch)


def begin(source: Source, store: Path, settings: ExtractSettings) -> None:
    """Leave an extraction behind that was stopped in the middle."""
    with pytest.raises(KeyboardInterrupt):
        extract(stop_after(source, 40), store, settings)


class TestContents:
    def test_arrays_have_the_promised_shapes_and_types(self, finished: Path) -> None:
        store = FeatureStore(finished)
        assert (store.images.shape, store.images.dtype) == ((80, 32, 32, 3), np.uint8)
        assert (store.embeddings().shape, store.embeddings().dtype) == ((80, 1024), np.float32)
        assert (store.labels.shape, store.labels.dtype) == ((80,), np.int64)
        assert (store.splits.shape, store.splits.dtype) == ((80,), np.uint8)
        strength = store.label_strength
        assert (strength.shape, strength.dtype) == ((80, 8), np.float32)
        assert {column.shape[0] for column in store.manifest().values()} == {80}

    def test_every_row_is_its_record(self, finished: Path, small_sample: Source) -> None:
        store = FeatureStore(finished)
        order = in_store_order(small_sample.records, seed=0)
        manifest = store.manifest()
        assert manifest["id"].tolist() == [record.id for record in order]
        assert manifest["row"].tolist() == list(range(80))
        assert store.labels.tolist() == [record.agree.index(1) for record in order]
        backbone = get_backbone("mobilenet")
        engine = make_engine("litert", backbone, 32, find_weights(backbone))
        for row in (0, 41, 79):
            image = decode(small_sample.fetch(order[row].id), 32)
            np.testing.assert_array_equal(store.images[row], image.thumbnail)
            np.testing.assert_array_equal(
                store.embeddings()[row], engine.embed(image.pixels[None])[0]
            )

    def test_splits_hold_every_label_in_proportion(self, finished: Path) -> None:
        store = FeatureStore(finished)
        for label in range(8):
            assert np.bincount(store.splits[store.labels == label]).tolist() == [8, 1, 1]

    def test_attributes_say_what_it_was_made_from(self, finished: Path) -> None:
        store = FeatureStore(finished)
        said = store.attributes
        assert said["source"]["synthetic"] is True
        assert said["source"]["records"] == 80
        assert said["settings"]["split"] == "80/10/10"
        about = said["backbones"]["mobilenet"]
        assert (about["dims"], about["embed_size"], about["engine"]) == (1024, 32, "litert")
        assert about["weights_sha256"] == hash_file(find_weights(get_backbone("mobilenet")))
        assert {"tensorflow", "zarr", "pillow"} <= said["versions"].keys()
        assert len(store.fingerprint) == 64

    def test_a_finished_store_has_no_staging_folder(self, finished: Path) -> None:
        assert not (finished / ".staging").exists()
        assert verify(finished) == []

    def test_thumbnail_embeds_the_tensor_itself(
        self, photo_folder: Path, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        settings = replace(settings, embed_from="thumbnail", embed_size=None)
        store = extract(read_source(str(photo_folder)), tmp_path / "s", settings)
        backbone = get_backbone("mobilenet")
        engine = make_engine("litert", backbone, 32, find_weights(backbone))
        images = store.images[:]
        expected = np.concatenate([engine.embed(images[i : i + 1]) for i in range(30)])
        np.testing.assert_array_equal(store.embeddings()[:], expected)
        assert store.attributes["backbones"]["mobilenet"]["embed_from"] == "thumbnail"

    def test_mirrored_embeddings_are_means_and_are_noted(
        self, photo_folder: Path, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        source = read_source(str(photo_folder))
        plain = extract(source, tmp_path / "plain", settings)
        store = extract(source, tmp_path / "mirrored", replace(settings, mirror=True))
        about = store.attributes["backbones"]["mobilenet"]
        assert about["mirror"] is True
        assert "mirrored" in about["preprocessing"]
        assert "mirror" not in plain.attributes["backbones"]["mobilenet"]
        cosines = [
            float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
            for a, b in zip(store.embeddings()[:], plain.embeddings()[:], strict=True)
        ]
        assert 0.5 < min(cosines) < max(cosines) < 0.99999
        with pytest.raises(StoreMismatchError, match="made with preprocessing"):
            extract(source, tmp_path / "mirrored", settings)

    def test_embed_size_is_what_the_backbone_sees(
        self, tmp_path: Path, settings: ExtractSettings, jpeg: Callable[..., bytes]
    ) -> None:
        folder = tmp_path / "photos" / "joy"
        folder.mkdir(parents=True)
        for seed in range(3):
            (folder / f"{seed}.jpg").write_bytes(jpeg(seed, size=(200, 100)))
        source = read_source(str(folder.parent))
        sizes = [
            extract(source, tmp_path / str(size), replace(settings, embed_size=size))
            for size in (32, 64)
        ]
        assert sizes[0].images.shape == sizes[1].images.shape
        assert np.abs(sizes[0].embeddings()[:] - sizes[1].embeddings()[:]).max() > 0.1

    def test_splits_of_the_source_are_kept(
        self, photo_folder: Path, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        root = tmp_path / "split"
        for split, name in (("train", "calm"), ("train", "joy"), ("val", "calm"), ("test", "joy")):
            shutil.copytree(photo_folder / name, root / split / name)
            for file in (root / split / name).iterdir():
                if (split == "train") != (int(file.stem) < 6):
                    file.unlink()
        store = extract(read_source(str(root)), tmp_path / "s", settings)
        assert {name: len(store.rows(name)) for name in ("train", "dev", "test")} == {
            "train": 12,
            "dev": 4,
            "test": 4,
        }
        manifest = store.manifest()
        kept = {manifest["row"][i]: manifest["id"][i] for i in range(20)}
        assert all(kept[row].startswith("val/") for row in store.rows("dev"))
        assert all(kept[row].startswith("test/") for row in store.rows("test"))


class TestFailures:
    @pytest.fixture
    def broken_folder(self, photo_folder: Path, jpeg: Callable[..., bytes]) -> Path:
        """Thirty sound photos, one of them twice more, and four files that are no photo."""
        calm = photo_folder / "calm"
        shutil.copy(calm / "0.jpg", calm / "copy.jpg")
        shutil.copy(calm / "0.jpg", calm / "copy again.jpg")
        (calm / "empty.jpg").touch()
        (calm / "notes.txt").write_text("not a picture")
        (calm / "cut.jpg").write_bytes(jpeg(900)[:300])
        (calm / "gone.jpg").symlink_to(photo_folder / "nowhere.jpg")
        return photo_folder

    def test_failures_are_rows_with_kinds_and_stop_nothing(
        self, broken_folder: Path, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        store = extract(read_source(str(broken_folder)), tmp_path / "s", settings)
        manifest = store.manifest()
        kinds = dict(zip(manifest["id"].tolist(), manifest["kind"].tolist(), strict=True))
        assert {i: kind for i, kind in kinds.items() if kind not in ("", "duplicate")} == {
            "calm/empty.jpg": "not_image",
            "calm/notes.txt": "not_image",
            "calm/cut.jpg": "undecodable",
            "calm/gone.jpg": "not_found",
        }
        assert Counter(manifest["status"].tolist()) == {"kept": 30, "failed": 4, "left_out": 2}
        assert len(store) == 30
        assert (manifest["row"] >= 0).tolist() == (manifest["status"] == "kept").tolist()
        assert all(manifest["detail"][manifest["status"] == "failed"])

    def test_exact_copies_are_kept_once_and_name_the_one_that_is(
        self, broken_folder: Path, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        manifest = extract(read_source(str(broken_folder)), tmp_path / "s", settings).manifest()
        copies = np.flatnonzero(manifest["sha256"] == manifest["sha256"][_at(manifest, "0.jpg")])
        assert Counter(manifest["kind"][copies].tolist()) == {"": 1, "duplicate": 2}
        (kept,) = manifest["id"][copies][manifest["kind"][copies] == ""]
        details = set(manifest["detail"][copies][manifest["kind"][copies] == "duplicate"])
        assert details == {f"same bytes as {kept}"}

    def test_a_source_without_one_image_is_one_line_and_leaves_no_folder(
        self, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        (tmp_path / "photos" / "joy").mkdir(parents=True)
        for number in range(3):
            (tmp_path / "photos" / "joy" / f"{number}.jpg").write_text(f"text {number}")
        with pytest.raises(SourceError, match=r"none of its 3 records .*\(3 not_image\)") as error:
            extract(read_source(str(tmp_path / "photos")), tmp_path / "s.zarr", settings)
        assert "\n" not in str(error.value)
        assert [path.name for path in tmp_path.iterdir()] == ["photos"]

    def test_a_source_without_one_image_says_so_beside_a_file_of_somebody(
        self, tmp_path: Path, settings: ExtractSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "photos" / "joy").mkdir(parents=True)
        (tmp_path / "photos" / "joy" / "0.jpg").write_text("text")
        remove = Staging.remove

        def remove_late(self: Staging) -> None:
            remove(self)
            (tmp_path / "s.zarr" / "mine").touch()

        monkeypatch.setattr(Staging, "remove", remove_late)
        with pytest.raises(SourceError, match="none of its 1 records"):
            extract(read_source(str(tmp_path / "photos")), tmp_path / "s.zarr", settings)
        assert (tmp_path / "s.zarr" / "mine").exists()

    def test_a_broken_machine_is_raised_and_leaves_the_store_resumable(
        self, small_sample: Source, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        def fetch(location: str) -> bytes:
            if location == small_sample.records[40].id:
                raise MemoryError
            return small_sample.fetch(location)

        with pytest.raises(MemoryError):
            extract(replace(small_sample, fetch=fetch), tmp_path / "s", settings)
        assert len(extract(small_sample, tmp_path / "s", settings)) == 80


class TestLargerImages:
    def test_each_is_its_record_resampled_by_hand(
        self, finished_large: Path, small_sample: Source
    ) -> None:
        images = FeatureStore(finished_large).images_at(160)
        order = in_store_order(small_sample.records, seed=0)
        for row in (0, 41, 79):
            photo = Image.open(io.BytesIO(small_sample.fetch(order[row].id)))
            assert min(photo.size) > 160
            by_hand = photo.convert("RGB").resize((160, 160), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(images[row], np.asarray(by_hand))

    def test_smaller_photos_are_enlarged(
        self, photo_folder: Path, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        source = read_source(str(photo_folder))
        sizes = replace(settings, image_sizes=(32, 96, 48))
        store = extract(source, tmp_path / "s", sizes)
        assert store.image_sizes == (32, 48, 96)
        photo = Image.open(photo_folder / store.manifest()["id"][7])
        row = int(store.manifest()["row"][7])
        for size in (48, 96):
            by_hand = photo.resize((size, size), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(store.images_at(size)[row], np.asarray(by_hand))

    def test_all_else_is_byte_for_byte_what_it_is_without(
        self, finished: Path, finished_large: Path
    ) -> None:
        plain, large = read_tree(finished), read_tree(finished_large)
        more = {key for key in large if key.startswith("images_160/")}
        assert more
        assert large.keys() - more == plain.keys()
        assert {key for key in plain if plain[key] != large[key]} == {"zarr.json"}
        before, after = (FeatureStore(path).attributes for path in (finished, finished_large))
        assert before["fingerprint"] != after["fingerprint"]
        assert after["settings"] == before["settings"] | {"image_sizes": [32, 160]}
        added = {"images_160": after["digests"]["images_160"]}
        assert after["digests"] == before["digests"] | added

    @pytest.mark.slow
    def test_naming_32_alone_changes_nothing(
        self, finished: Path, small_sample: Source, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        store = extract(small_sample, tmp_path / "s", replace(settings, image_sizes=(32, 32)))
        assert read_tree(store.path) == read_tree(finished)
        assert set(store.attributes["settings"]) == {
            *("source", "label_names", "keep", "min_agree", "min_side", "split", "seed"),
            "source_fingerprint",
        }

    @pytest.mark.slow
    def test_what_was_stopped_ends_with_the_same_bytes(
        self,
        finished_large: Path,
        small_sample: Source,
        tmp_path: Path,
        large_settings: ExtractSettings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("featurestore._segments.SEGMENT_BYTES", 2 * 160 * 160 * 3)
        begin(small_sample, tmp_path / "s", large_settings)
        segments = tmp_path / "s" / ".staging" / "segments" / "mobilenet"
        assert len(list(segments.iterdir())) > 1
        extract(small_sample, tmp_path / "s", large_settings)
        assert read_tree(tmp_path / "s") == read_tree(finished_large)
        assert verify(tmp_path / "s") == []

    @pytest.mark.slow
    def test_retried_photos_are_appended(
        self, photo_folder: Path, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        photo = photo_folder / "joy" / "3.jpg"
        healed = photo.read_bytes()
        photo.write_bytes(b"damaged")
        source, sizes = read_source(str(photo_folder)), replace(settings, image_sizes=(512,))
        before = extract(source, tmp_path / "s", sizes)
        rows = before.images_at(512)[:]
        full_shard = tmp_path / "s" / "images_512" / "c" / "0" / "0" / "0" / "0"  # of 16 rows
        written = full_shard.stat().st_mtime_ns
        photo.write_bytes(healed)
        after = extract(source, tmp_path / "s", sizes, retry=["not_image"])
        assert (len(rows), len(after)) == (29, 30)
        np.testing.assert_array_equal(after.images_at(512)[:29], rows)
        by_hand = Image.open(photo).resize((512, 512), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(after.images_at(512)[29], np.asarray(by_hand))
        assert full_shard.stat().st_mtime_ns == written
        assert verify(after.path) == []

    def test_leaving_the_size_out_is_refused(
        self, finished_large: Path, small_sample: Source, settings: ExtractSettings
    ) -> None:
        said = (
            r"large.zarr: was made with image_sizes = \[32, 160\], now it is \[32\]; give the same"
        )
        with pytest.raises(StoreMismatchError, match=said):
            extract(small_sample, finished_large, settings)

    def test_sizes_are_noted_in_one_form(self) -> None:
        assert ExtractSettings().image_sizes == (32,)
        assert ExtractSettings(image_sizes=()).image_sizes == (32,)
        assert ExtractSettings(image_sizes=(224, 160, 224)).image_sizes == (32, 160, 224)

    @pytest.mark.parametrize("size", [0, 31, 513, -160])
    def test_sizes_out_of_range_are_named(self, size: int) -> None:
        with pytest.raises(SourceError, match=f"--image-size is {size}; give 32 to 512 px"):
            ExtractSettings(image_sizes=(160, size))


def _at(manifest: dict[str, np.ndarray], name: str) -> int:
    (at,) = np.flatnonzero(manifest["id"] == f"calm/{name}")
    return int(at)


class TestDeterminism:
    def test_two_extractions_give_the_same_bytes(
        self, finished: Path, small_sample: Source, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        extract(small_sample, tmp_path / "s", settings)
        assert read_tree(tmp_path / "s") == read_tree(finished)

    @pytest.mark.parametrize(("fetchers", "cores"), [(1, 1), (3, 5)])
    def test_the_number_of_workers_changes_nothing(
        self,
        finished: Path,
        small_sample: Source,
        tmp_path: Path,
        settings: ExtractSettings,
        monkeypatch: pytest.MonkeyPatch,
        fetchers: int,
        cores: int,
    ) -> None:
        monkeypatch.setattr("featurestore.fetch._stage.LOCAL_THREADS", fetchers)
        for module in ("_pipeline", "_engines"):
            monkeypatch.setattr(f"featurestore.{module}.usable_cores", lambda: cores)
        extract(small_sample, tmp_path / "s", settings)
        assert read_tree(tmp_path / "s") == read_tree(finished)

    def test_the_order_in_which_files_arrive_changes_nothing(
        self, finished: Path, small_sample: Source, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        rng = np.random.default_rng(0)

        def fetch(location: str) -> bytes:
            data = small_sample.fetch(location)
            time.sleep(rng.uniform(0, 0.05))
            return data

        extract(replace(small_sample, fetch=fetch), tmp_path / "s", settings)
        assert read_tree(tmp_path / "s") == read_tree(finished)

    @pytest.mark.slow
    def test_the_order_in_which_the_source_lists_changes_no_row(
        self, finished: Path, small_sample: Source, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        backwards = replace(small_sample, records=small_sample.records[::-1])
        store = extract(backwards, tmp_path / "s", settings)
        assert store.fingerprint == FeatureStore(finished).fingerprint

    @pytest.mark.slow
    def test_another_seed_gives_other_splits_and_the_same_images(
        self, finished: Path, small_sample: Source, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        first = FeatureStore(finished)
        other = extract(small_sample, tmp_path / "s", replace(settings, seed=1))

        def tests(store: FeatureStore) -> set[str]:
            manifest = store.manifest()
            rows = manifest["row"].tolist()
            return {manifest["id"][rows.index(row)] for row in store.rows("test").tolist()}

        assert tests(first) != tests(other)
        assert sorted(first.manifest()["sha256"]) == sorted(other.manifest()["sha256"])
        assert first.fingerprint != other.fingerprint


class TestRefusals:
    CHANGES: tuple[tuple[str, str], ...] = (
        ("embed_size", "embed_size = 32, now it is 64"),
        ("seed", "seed = 0, now it is 1"),
        ("split", 'split = "80/10/10", now it is "70/20/10"'),
        ("engine", 'engine = "litert", now it is "tensorflow"'),
        ("image_sizes", r"image_sizes = \[32\], now it is \[32, 64\]"),
    )
    OTHER = ExtractSettings(
        embed_size=64, seed=1, split="70/20/10", engine="tensorflow", image_sizes=(64,)
    )

    @pytest.mark.parametrize(("name", "said"), CHANGES)
    @pytest.mark.parametrize("state", ["finished", "unfinished"])
    def test_other_settings_are_refused_by_name(
        self,
        finished: Path,
        small_sample: Source,
        tmp_path: Path,
        settings: ExtractSettings,
        name: str,
        said: str,
        state: str,
    ) -> None:
        store = finished
        if state == "unfinished":
            begin(small_sample, store := tmp_path / "s", settings)
        before = read_tree(store)
        with pytest.raises(StoreMismatchError, match=said) as error:
            extract(small_sample, store, replace(settings, **{name: getattr(self.OTHER, name)}))
        assert "\n" not in str(error.value)
        assert read_tree(store) == before

    @pytest.mark.parametrize(
        ("keep", "said"),
        [
            (KeepRule("all"), 'keep = "majority", now it is "all"'),
            (KeepRule(min_agree=2), "min_agree = 0, now it is 2"),
        ],
    )
    def test_another_keep_rule_is_refused_by_name(
        self,
        photo_folder: Path,
        tmp_path: Path,
        settings: ExtractSettings,
        keep: KeepRule,
        said: str,
    ) -> None:
        table = photo_folder / "list.csv"
        lines = [f"{p.relative_to(photo_folder)},joy,5,1" for p in photo_folder.glob("*/?.jpg")]
        table.write_text("\n".join(["path,label,agree,disagree", *lines]))
        options = SourceOptions(labels=("calm", "dread", "joy"))
        extract(read_source(str(table), options), tmp_path / "s", settings)
        with pytest.raises(StoreMismatchError, match=said):
            extract(read_source(str(table), replace(options, keep=keep)), tmp_path / "s", settings)

    def test_a_changed_source_is_refused(
        self, photo_folder: Path, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        extract(read_source(str(photo_folder)), tmp_path / "s", settings)
        (photo_folder / "joy" / "9.jpg").unlink()
        with pytest.raises(StoreMismatchError, match="made from other records"):
            extract(read_source(str(photo_folder)), tmp_path / "s", settings)

    @pytest.mark.parametrize("name", ["notes.txt", "zarr.json"])
    def test_a_folder_with_other_files_is_refused_and_untouched(
        self, small_sample: Source, tmp_path: Path, settings: ExtractSettings, name: str
    ) -> None:
        (tmp_path / "mine").mkdir()
        content = '{"zarr_format": 3, "node_type": "group", "attributes": {}}'
        (tmp_path / "mine" / name).write_text(content)
        with pytest.raises(FeatureStoreError, match="other files") as error:
            extract(small_sample, tmp_path / "mine", settings)
        assert "\n" not in str(error.value)
        assert read_tree(tmp_path) == {f"mine/{name}": content.encode()}

    def test_a_file_is_refused_and_untouched(
        self, small_sample: Source, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        (tmp_path / "mine").write_text("text")
        with pytest.raises(SourceError, match="is a file"):
            extract(small_sample, tmp_path / "mine", settings)
        assert (tmp_path / "mine").read_text() == "text"

    def test_a_store_of_a_newer_version_is_refused_and_untouched(
        self, store: Path, small_sample: Source, settings: ExtractSettings
    ) -> None:
        root = store / "zarr.json"
        root.write_text(root.read_text().replace('"format_version": 1', '"format_version": 2'))
        before = read_tree(store)
        with pytest.raises(StoreVersionError):
            extract(small_sample, store, settings)
        assert read_tree(store) == before

    @pytest.mark.parametrize(
        ("changed", "said"),
        [
            ({"embed_size": 16}, "--embed-size is 16; give 32 to 1024 px"),
            ({"embed_from": "thumbnail", "embed_size": 64}, "leave --embed-size out"),
            ({"split": "80/20"}, "--split is '80/20'"),
        ],
    )
    def test_settings_that_make_no_sense_leave_no_folder(
        self,
        small_sample: Source,
        tmp_path: Path,
        settings: ExtractSettings,
        changed: dict[str, object],
        said: str,
    ) -> None:
        with pytest.raises(SourceError, match=said):
            extract(small_sample, tmp_path / "s", replace(settings, **changed))  # type: ignore[arg-type]
        assert not (tmp_path / "s").exists()

    def test_a_second_extraction_at_the_same_time_is_refused_at_once(
        self, small_sample: Source, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        begin(small_sample, tmp_path / "s", settings)
        code = (
            "import filelock, sys\n"
            "with filelock.FileLock(sys.argv[1]): print('held', flush=True); sys.stdin.read()"
        )
        command = [sys.executable, "-c", code, str(tmp_path / "s" / ".staging" / "lock")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            assert other.stdout.readline().strip() == b"held"
            before = read_tree(tmp_path / "s" / ".staging" / "segments")
            start = time.monotonic()
            with pytest.raises(StoreBusyError):
                extract(small_sample, tmp_path / "s", settings)
            assert time.monotonic() - start < 2
            assert read_tree(tmp_path / "s" / ".staging" / "segments") == before
            other.kill()
        assert len(extract(small_sample, tmp_path / "s", settings)) == 80


class TestResume:
    def test_a_finished_store_is_left_alone(
        self, store: Path, small_sample: Source, settings: ExtractSettings
    ) -> None:
        def times() -> dict[Path, int]:
            return {path: path.stat().st_mtime_ns for path in [store, *store.rglob("*")]}

        before = times()
        extract(stop_after(small_sample, 0), store, settings)
        assert times() == before

    def test_only_what_was_not_committed_is_fetched_again(
        self, finished: Path, small_sample: Source, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        begin(small_sample, tmp_path / "s", settings)
        with Staging(LocalPlace(tmp_path / "s")) as staging:
            seen = Segments(staging.place.within("segments/mobilenet")).read_outcomes(80)
            done = 80 - seen.kind.count(None)
        assert done > 0
        fetched: list[str] = []

        def fetch(location: str) -> bytes:
            fetched.append(location)
            return small_sample.fetch(location)

        told: list[tuple[int, int]] = []
        progress = Progress(begin=lambda total, before: told.append((total, before)))
        extract(replace(small_sample, fetch=fetch), tmp_path / "s", settings, progress)
        assert len(fetched) == len(set(fetched)) == 80 - done
        assert told == [(80, done)]
        assert read_tree(tmp_path / "s") == read_tree(finished)

    def test_progress_counts_every_record_with_its_kind(
        self, photo_folder: Path, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        (photo_folder / "joy" / "empty.jpg").touch()
        stages: list[str] = []
        kinds: list[str] = []
        progress = Progress(stage=stages.append, step=kinds.append)
        extract(read_source(str(photo_folder)), tmp_path / "s", settings, progress)
        assert Counter(kinds) == {"": 30, "not_image": 1}
        assert stages == ["starting mobilenet at 32 px on litert", "writing the store"]

    def test_a_damaged_segment_costs_only_its_own_work(
        self, finished: Path, small_sample: Source, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        begin(small_sample, tmp_path / "s", settings)
        begin(small_sample, tmp_path / "s", settings)
        first = tmp_path / "s" / ".staging" / "segments" / "mobilenet" / "00000000.npz"
        first.write_bytes(first.read_bytes()[:1000])
        extract(small_sample, tmp_path / "s", settings)
        assert read_tree(tmp_path / "s") == read_tree(finished)

    def test_results_that_can_not_be_read_again_are_told_and_made_anew(
        self,
        finished: Path,
        small_sample: Source,
        tmp_path: Path,
        settings: ExtractSettings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        flush = Segments.flush

        def cut(self: Segments) -> None:
            flush(self)
            for file in (tmp_path / "s" / ".staging" / "segments" / "mobilenet").iterdir():
                file.write_bytes(file.read_bytes()[:-9])

        with monkeypatch.context() as patch:
            patch.setattr(Segments, "flush", cut)
            with pytest.raises(StoreUnfinishedError, match="results of 80 records can't be read"):
                extract(small_sample, tmp_path / "s", settings)
        extract(small_sample, tmp_path / "s", settings)
        assert read_tree(tmp_path / "s") == read_tree(finished)

    def test_what_an_interrupted_writing_left_is_written_anew(
        self, finished: Path, small_sample: Source, tmp_path: Path, settings: ExtractSettings
    ) -> None:
        begin(small_sample, tmp_path / "s", settings)
        half = tmp_path / "s" / ".staging" / "next"
        shutil.copytree(finished / "images", half / "images")
        (half / "images" / "c" / "9").mkdir()
        (half / "images" / "c" / "9" / "0").write_text("half a shard")
        (half / "labels").mkdir()
        with pytest.raises(StoreUnfinishedError):
            FeatureStore(tmp_path / "s")
        extract(small_sample, tmp_path / "s", settings)
        assert read_tree(tmp_path / "s") == read_tree(finished)

    def test_a_staging_folder_beside_a_finished_store_is_tidied_away(
        self, finished: Path, store: Path, small_sample: Source, settings: ExtractSettings
    ) -> None:
        (store / ".staging" / "segments").mkdir(parents=True)
        (store / ".staging" / "segments" / "00000000.npz").write_bytes(b"left over")
        (store / ".staging" / "lock").touch()
        assert len(FeatureStore(store)) == 80
        extract(small_sample, store, settings)
        assert read_tree(store) == read_tree(finished)
        assert not (store / ".staging").exists()

    def test_a_staging_folder_that_can_not_be_removed_is_left_alone(
        self,
        store: Path,
        small_sample: Source,
        settings: ExtractSettings,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        (store / ".staging").mkdir()

        def refuse(self: FileLock) -> None:
            raise PermissionError(30, "Read-only file system")

        monkeypatch.setattr(FileLock, "acquire", refuse)
        assert len(extract(small_sample, store, settings)) == 80


@dataclass
class Undisturbed:
    """A command, and the store that it makes if nobody disturbs it."""

    source: Path
    tree: dict[str, bytes]

    def arguments(self, store: Path) -> list[str]:
        sizes = ["--embed-size=32", "--image-size=96"]
        return ["extract", str(self.source), "--store", str(store), *sizes]

    def start(self, store: Path) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "bench", *self.arguments(store)],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Tests that a shell started in the background ignore it, and so would the command.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def finish(self, store: Path) -> str:
        """Give the same command again, in this process, which has imported everything."""
        handler = signal.getsignal(signal.SIGTERM)
        try:
            result = CliRunner().invoke(main, self.arguments(store), catch_exceptions=False)
        finally:
            signal.signal(signal.SIGTERM, handler)
        assert result.exit_code == 0
        return result.stderr


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A folder of 500 photos: enough for several segments and time to stop in between."""
    root = tmp_path_factory.mktemp("undisturbed")
    rng = np.random.default_rng(0)
    for number in range(500):
        path = root / "photos" / ("calm", "joy", "dread")[number % 3] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)).save(path)
    made = Undisturbed(root / "photos", {})
    made.finish(root / "s.zarr")
    return replace(made, tree=read_tree(root / "s.zarr"))


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, "ended before it could be stopped"
        assert time.monotonic() < deadline
        time.sleep(0.001)


class TestStoppedProcess:
    @pytest.mark.parametrize(
        "moment",
        [
            pytest.param(".staging/settings.json", id="early", marks=pytest.mark.slow),
            pytest.param(".staging/segments/mobilenet/00000001.npz", id="midway"),
            pytest.param(
                ".staging/next/images/zarr.json", id="writing the images", marks=pytest.mark.slow
            ),
            pytest.param(
                ".staging/next/images_96/zarr.json",
                id="writing the larger images",
                marks=pytest.mark.slow,
            ),
            pytest.param(
                ".staging/next/manifest/kind/zarr.json",
                id="writing the manifest",
                marks=pytest.mark.slow,
            ),
        ],
    )
    def test_after_a_kill_the_same_command_gives_the_same_bytes(
        self, undisturbed: Undisturbed, tmp_path: Path, moment: str
    ) -> None:
        store = tmp_path / "s.zarr"
        with undisturbed.start(store) as process:
            wait_for(store / moment, process)
            process.kill()
        assert process.returncode == -signal.SIGKILL
        with pytest.raises(StoreUnfinishedError, match="has not finished"):
            FeatureStore(store)
        undisturbed.finish(store)
        assert read_tree(store) == undisturbed.tree

    @pytest.mark.slow
    @pytest.mark.parametrize("delay", [0.6, 0.9, 1.2, 1.5, 1.8, 2.1])
    def test_after_kills_at_any_time_the_same_command_gives_the_same_bytes(
        self, undisturbed: Undisturbed, tmp_path: Path, delay: float
    ) -> None:
        store = tmp_path / "s.zarr"
        for _ in range(2):
            with undisturbed.start(store) as process:
                time.sleep(delay)
                process.kill()
        undisturbed.finish(store)
        assert read_tree(store) == undisturbed.tree

    @pytest.mark.parametrize(
        ("number", "moment"),
        [
            (signal.SIGINT, ".staging/segments/mobilenet/00000000.npz"),
            pytest.param(
                signal.SIGTERM, ".staging/segments/mobilenet/00000000.npz", marks=pytest.mark.slow
            ),
            pytest.param(signal.SIGINT, ".staging/next/images/zarr.json", marks=pytest.mark.slow),
        ],
    )
    def test_an_interrupt_ends_with_130_and_a_hint_and_is_resumed(
        self, undisturbed: Undisturbed, tmp_path: Path, number: signal.Signals, moment: str
    ) -> None:
        store = tmp_path / "s.zarr"
        with undisturbed.start(store) as process:
            wait_for(store / moment, process)
            process.send_signal(number)
            _, said = process.communicate()
        assert process.returncode == 130
        assert said.endswith("Stopped. Give the same command again to go on.\n")
        assert "Traceback" not in said
        told = undisturbed.finish(store)
        assert ("of 500 records were done before" in told) == ("segments" in moment)
        assert read_tree(store) == undisturbed.tree
