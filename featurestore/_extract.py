"""Extraction: from a source to a finished store, and what can be added to one later."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from featurestore._assemble import Passes, assemble_backbone, assemble_rows
from featurestore._commit import commit, finish_commit, is_committing, next_folder
from featurestore._job import BackboneJob, ExtractSettings, describe_source, describe_store
from featurestore._objects import STAGING
from featurestore._place import LocalPlace, Location, Place, place_of
from featurestore._records import Record, Source, in_store_order
from featurestore._segments import Outcomes, Segments
from featurestore._select import select
from featurestore._split import parse_ratio
from featurestore._staging import Staging, refuse_difference
from featurestore._store import FeatureStore
from featurestore._tasks import Embedding
from featurestore._verify import verify
from featurestore._workers import ThisProcess, Workers, find_workers
from featurestore.errors import (
    RETRYABLE_KINDS,
    SourceError,
    StoreBusyError,
    StoreDamagedError,
    StoreNotFoundError,
    StoreUnfinishedError,
)
from featurestore.fetch import Originals, WebSettings

MAKE = "make a store"  # the task of most staging folders


# Failures that the same command, given once more, may not meet again.
_PASSING_KINDS = ("dns", "connect", "tls", "timeout", "rate_limited", "http_5xx")


@dataclass(frozen=True)
class Progress:
    """How an extraction tells what it does; every part may be left out.

    Attributes
    ----------
    stage : callable
        Gets a line when something that may take seconds begins.
    begin : callable
        Gets (records in all, records done in an earlier run) before the first one.
    step : callable
        Gets the failure kind of each record as it is done, or "".
    """

    stage: Callable[[str], None] = lambda line: None
    begin: Callable[[int, int], None] = lambda total, done: None
    step: Callable[[str], None] = lambda kind: None


def extract(
    source: Source,
    store: Location,
    settings: ExtractSettings | None = None,
    progress: Progress | None = None,
    *,
    web: WebSettings | None = None,
    originals: str | Path | None = None,
    retry: Sequence[str] = (),
    scheduler: str | None = None,
) -> FeatureStore:
    """Make a store from a source, go on with one that was begun, or add to a finished one.

    A finished store made from the same source with the same settings is left alone. One that lacks
    the backbone gets its embeddings. With ``retry``, records that failed are tried again, and those
    that succeed are appended.

    Parameters
    ----------
    source : Source
        From ``featurestore.read_source``.
    store : str or Path
        A folder that is not there yet, or one that an earlier call made or began; or the URL of a
        prefix in an object store, such as "s3://bucket/fi.zarr".
    settings : ExtractSettings, optional
        What to make.
    progress : Progress, optional
    web : WebSettings, optional
        How to download.
    originals : str or Path, optional
        A folder where downloaded bytes are kept, and looked for before a request is made.
    retry : sequence of str, optional
        Kinds of failure.
    scheduler : str, optional
        Of Dask, whose workers do the work: "local:2" for two processes on this machine, or an
        address such as "tcp://host:8786". The store is the same, byte for byte in its arrays.

    Returns
    -------
    FeatureStore

    Raises
    ------
    SourceError
        If not one image can be kept, a setting can't be used, or images of a finished store can't
        be had any more.
    BackboneError
    StoreNotFoundError
        If there is nothing to try again.
    StoreMismatchError
        If the store was made from something else or with other settings.
    StoreBusyError
        If another process is extracting into the store.
    StoreUnreachableError, WorkersError
        If an object store or a scheduler can't be reached.
    """
    path = place_of(store)
    settings, progress = settings or ExtractSettings(), progress or Progress()
    if unknown := set(retry) - set(RETRYABLE_KINDS):
        raise SourceError(
            f"--retry-failed: {', '.join(sorted(unknown))} is no kind of failure that can be tried "
            f"again; there are {', '.join(RETRYABLE_KINDS)}"
        )
    if scheduler and originals:
        raise SourceError(
            "--keep-originals writes on this machine, --scheduler downloads on others; give one of "
            "them"
        )
    job = BackboneJob.prepare(settings)
    described = describe_source(source, settings)
    base = _open_finished(store, path)
    if base is not None and not retry and _has(base, job, described):
        _tidy(path)
        return base
    if base is None:
        _refuse_foreign_folder(path)
        if retry and not is_committing(path):
            raise StoreNotFoundError(
                f"{path}: there is no finished store to try failures of again; leave "
                "--retry-failed out"
            )
    with ExitStack() as stack:
        staging = stack.enter_context(Staging(path))
        finish_commit(path, staging.confirm)
        base = _open_finished(store, path)  # another process may have finished it in the meantime
        if base is not None and not retry and _has(base, job, described):
            staging.remove()
            return base
        kept = stack.enter_context(Originals(Path(originals))) if originals else None
        workers = stack.enter_context(find_workers(scheduler))
        run = _Run(source, path, settings, described, staging, progress, web, kept, workers)
        if retry and base is not None:
            run.retry(base, tuple(retry))
        elif base is not None:
            run.add_backbone(base, job)
        else:
            run.create(job)
        staging.remove()
    return FeatureStore(store)


@dataclass(frozen=True)
class _Run:
    """One call of ``extract``, once it is clear that there is work to do."""

    source: Source
    path: Place
    settings: ExtractSettings
    described: dict[str, Any]
    staging: Staging
    progress: Progress
    web: WebSettings | None
    originals: Originals | None
    workers: Workers

    def create(self, job: BackboneJob) -> None:
        """Make a store."""
        self.staging.begin({"task": MAKE, **self.described, **_named(job)})
        records = in_store_order(self.source.records, self.settings.seed)
        todo = [i for i, record in enumerate(records) if not record.kind]
        larger = self.settings.image_sizes[1:]
        passes = {job.backbone.name: self._embed(records, todo, job, self.originals, larger)}
        backbones = {job.backbone.name: job.about}
        self._append(records, passes, backbones, None)

    def retry(self, base: FeatureStore, kinds: tuple[str, ...]) -> None:
        """Try failed records again, and append those that succeed."""
        refuse_difference(self.path, base.attributes["settings"], self.described)
        self.progress.stage("verifying the store")
        for damage in verify(base.path):  # what is written anew gets new checksums
            raise StoreDamagedError(
                f"{self.path}/{damage.place}: {damage.what}; make the store again, or put that "
                "file back from a copy"
            )
        self.staging.begin(
            {"task": "try failed records again", **self.described, "kinds": sorted(kinds)}
        )
        records = in_store_order(self.source.records, self.settings.seed)
        manifest = base.manifest()
        fates = zip(manifest["status"].tolist(), manifest["kind"].tolist(), strict=True)
        todo = [i for i, (status, why) in enumerate(fates) if status == "failed" and why in kinds]
        backbones = base.attributes["backbones"]
        passes: Passes = {}
        with ExitStack() as stack:
            # Each further backbone needs the same bytes again.
            kept = self.originals or stack.enter_context(Originals(self._scratch(stack)))
            for name, about in backbones.items():
                job = BackboneJob.again(name, about, self.settings.weights)
                larger = () if passes else self.settings.image_sizes[1:]  # the first has all images
                passes[name] = self._embed(records, todo, job, kept, larger)
                _, seen = passes[name]
                todo = [i for i in todo if seen.segment[i] >= 0]
        _forget_changed([seen for _, seen in passes.values()])
        self._append(records, passes, backbones, base)

    def add_backbone(self, base: FeatureStore, job: BackboneJob) -> None:
        """Add another backbone's embeddings of all rows."""
        self.staging.begin({"task": "add a backbone", **self.described, **_named(job)})
        records = in_store_order(self.source.records, self.settings.seed)
        manifest = base.manifest()
        todo = np.flatnonzero(manifest["row"] >= 0)
        segments, outcomes = self._embed(
            records, todo.tolist(), job, self.originals, try_again=_PASSING_KINDS
        )
        self._refuse_changed(records, todo.tolist(), outcomes, manifest["sha256"].tolist())
        rows = todo[np.argsort(manifest["row"][todo])]
        name = job.backbone.name
        attributes = describe_store(
            self.source, self.described, base.attributes["backbones"] | {name: job.about}
        )
        attributes["near_duplicates"] = base.attributes["near_duplicates"]
        self.progress.stage("writing the store")
        folder = next_folder(self.path)
        assemble_backbone(folder, self.workers, base, name, segments, outcomes, rows, attributes)
        self._commit()

    def _refuse_changed(
        self, records: list[Record], wanted: list[int], outcomes: Outcomes, sha256: Sequence[str]
    ) -> None:
        """See to it that a backbone saw the bytes that the store was made from."""
        changed = [i for i in wanted if outcomes.segment[i] < 0 or outcomes.sha256[i] != sha256[i]]
        if not changed:
            return
        lasting = [i for i in changed if outcomes.kind[i] not in _PASSING_KINDS]
        if lasting:
            self.staging.remove()
        first = (lasting or changed)[0]
        raise SourceError(
            f"{self.path}: {len(changed)} of its {len(wanted)} images can't be had as they were, "
            f"the first is {records[first].id} ({outcomes.kind[first] or 'has other bytes'}): "
            + (
                "make a new store, or use --keep-originals from the start"
                if lasting
                else "give the same command again to try these once more"
            )
        )

    def _scratch(self, stack: ExitStack) -> Path:
        """Return a folder for images' bytes; a store's own survives a kill with what is in it."""
        if isinstance(self.path, LocalPlace):
            return self.path.folder / STAGING / "originals"
        return Path(stack.enter_context(TemporaryDirectory(prefix="originals-")))

    def _commit(self) -> None:
        self.staging.check()
        commit(self.path, self.staging.confirm)

    def _append(
        self,
        records: list[Record],
        passes: Passes,
        backbones: dict[str, Any],
        base: FeatureStore | None,
    ) -> None:
        """Write what was embedded as rows of a new store, or of the one that there is."""
        self.progress.stage("writing the store")
        segments, outcomes = next(iter(passes.values()))
        selection = select(
            records,
            outcomes,
            lambda rows: segments.read_rows("images", outcomes.where(rows)),
            self.source.keep,
            parse_ratio(self.settings.split),
            self.settings.seed,
            base,
        )
        if base is None and not len(selection.records):
            self.staging.remove()
            if isinstance(self.path, LocalPlace):
                with suppress(OSError):  # somebody's file is beside it
                    self.path.folder.rmdir()
            raise SourceError(_nothing_left(self.source, selection.kind))
        attributes = describe_store(self.source, self.described, backbones)
        folder = next_folder(self.path)
        assemble_rows(folder, self.workers, records, selection, passes, attributes, base)
        self._commit()

    def _embed(
        self,
        records: list[Record],
        wanted: list[int],
        job: BackboneJob,
        kept: Originals | None,
        larger: Sequence[int] = (),
        try_again: Sequence[str] = (),
    ) -> tuple[Segments, Outcomes]:
        """Fetch, decode and embed what hasn't been yet, or failed with a kind of ``try_again``.

        Images of ``larger`` sizes are kept, too.
        """
        how = Embedding(
            self.staging.place,
            job,
            self.source.fetch,
            self.web or WebSettings(),
            self.settings.min_side,
            tuple(larger),
        )
        segments = how.segments(self.staging.writer)
        outcomes = segments.read_outcomes(len(records))
        todo = [(i, records[i].id) for i in wanted if outcomes.kind[i] in (None, *try_again)]
        if not todo:
            return segments, outcomes
        # What is kept on this machine's disk is for this machine alone.
        workers = ThisProcess(kept) if kept else self.workers
        name = f"{job.backbone.name} at {job.size} px on {job.about['engine']}"
        self.progress.stage(f"starting {name}{workers.describe()}")

        def start() -> None:
            self.progress.begin(len(wanted), len(wanted) - len(todo))

        def step(kind: str) -> None:
            self.staging.check()
            self.progress.step(kind)

        workers.embed(how, todo, segments, start, step)
        outcomes = segments.read_outcomes(len(records))
        if lost := sum(outcomes.kind[i] is None for i in wanted):
            raise StoreUnfinishedError(
                f"{self.path}: results of {lost} records can't be read again from its staging "
                "folder; give the same command again to make them anew"
            )
        return segments, outcomes


def _forget_changed(passes: list[Outcomes]) -> None:
    """Let records stay as they were that not every backbone got, and got as the same bytes."""
    first, *others = passes
    for i in np.flatnonzero(first.segment >= 0).tolist():
        if any(o.segment[i] < 0 or o.sha256[i] != first.sha256[i] for o in others):
            first.kind[i], first.segment[i] = None, -1


def _named(job: BackboneJob) -> dict[str, Any]:
    return {"backbone": job.backbone.name, **job.about}


def _open_finished(store: Location, path: Place) -> FeatureStore | None:
    if is_committing(path):
        return None
    try:
        return FeatureStore(store)
    except (StoreNotFoundError, StoreUnfinishedError):
        return None


def _has(base: FeatureStore, job: BackboneJob, described: dict[str, Any]) -> bool:
    """Return whether a store has the backbone; refuse it if it is another store."""
    refuse_difference(base.place, base.attributes["settings"], described)
    about = base.attributes["backbones"].get(job.backbone.name)
    if about is None:
        return False
    refuse_difference(base.place, about, job.about | {"weights": about["weights"]})
    return True


def _tidy(path: Place) -> None:
    """Remove the staging folder that a process killed in its last moment has left."""
    if STAGING in path.names():
        # A store that is whole can be on a disk that can't be written.
        with suppress(StoreBusyError, OSError), Staging(path) as staging:
            noted = staging.settings()
            if noted is None or noted.get("task") == MAKE:  # all else is somebody's unfinished work
                staging.remove()


def _refuse_foreign_folder(path: Place) -> None:
    """Never write into a folder that holds somebody's files."""
    if isinstance(path, LocalPlace) and path.folder.exists() and not path.folder.is_dir():
        raise SourceError(f"--store {path}: is a file; give a folder that is not there yet")
    names = path.names()
    if names and STAGING not in names:
        raise SourceError(
            f"--store {path}: is a folder with other files in it; give one that is not there yet"
        )


def _nothing_left(source: Source, kinds: list[str]) -> str:
    counts = ", ".join(f"{count} {kind}" for kind, count in Counter(kinds).most_common())
    hint = "; --allow-outside reads files outside of the CSV's folder" if "outside" in kinds else ""
    return (
        f"{source.title}: none of its {len(kinds)} records gave an image to keep ({counts}){hint}"
    )
