"""Images, lists and archives that were made to do harm."""

import contextlib
import io
import os
import shutil
import socket
import tarfile
import zlib
from pathlib import Path

import numpy as np
from _faults_world import Row, World
from PIL import Image


def hostile(world: World) -> list[Row]:
    """Give extractions what was made to do harm."""
    return [_hostile_images(world), _hostile_lists(world), *_hostile_archives(world)]


def _hostile_images(world: World) -> Row:
    row = Row("images made to do harm, among sound ones")
    photos = world.new("photos")
    shutil.copytree(world.photos, photos)
    made = _images()
    for name, data in made.items():
        (photos / "awe" / name).write_bytes(data)
    os.mkfifo(photos / "awe" / "pipe.jpg")
    (photos / "awe" / "loop.jpg").symlink_to("loop.jpg")
    _extract_all(world, row, photos, len(made) + 2)
    return row


def _images() -> dict[str, bytes]:
    """Return bombs, and files that aren't what they are called."""
    huge = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", b"\0\0\xff\xff\0\0\xff\xff\x08\x02\0\0\0")
    pixels = zlib.compress(bytes(10_000_000), 9)
    sound = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(sound, "JPEG")
    return {
        "bomb.png": huge + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b""),
        "bomb.gif": b"GIF89a\xff\xff\xff\xff\x80\0\0" + bytes(200),
        "bomb.ppm": b"P6 60000 60000 255\n" + bytes(100),
        "program.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) (w) file\n",
        "page.jpg": b"<html>Log in</html>",
        "empty.jpg": b"",
        "half.jpg": sound.getvalue()[: len(sound.getvalue()) // 2],
        "vector.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    }


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


def _hostile_lists(world: World) -> Row:
    row = Row("a CSV that names files outside of its folder, and this computer's own ports")
    place = world.new("list")
    shutil.copytree(world.photos, place)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        (place / "away.jpg").symlink_to("/etc/hostname")
        bad = [
            *("/etc/hostname", "../../etc/hostname", "file:///etc/hostname", "away.jpg"),
            *(f"http://127.0.0.1:{port}/a.jpg", f"http://localhost:{port}/b.jpg"),
            *("http://169.254.169.254/latest/meta-data", "http://[::1]/a.jpg", "ftp://x.org/a.jpg"),
        ]
        good = [p.relative_to(place).as_posix() for p in sorted(place.rglob("*.jpg"))]
        lines = [f"{name},{name.split('/')[0]}" for name in good if "/" in name]
        lines += [f"{name},awe" for name in bad]
        (place / "list.csv").write_text("\n".join(["path,label", *lines]) + "\n")
        _extract_all(world, row, place / "list.csv", len(bad))
        listening.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            listening.accept()
            row.check(False, "a port of this computer was connected to")
    return row


def _extract_all(world: World, row: Row, source: Path, bad: int) -> None:
    """Extract and see that all bad records, and no others, have become failures."""
    from featurestore import FeatureStore

    store = world.new("store")
    command = world.extract(store)
    command[1] = str(source)
    ended = world.run(command)
    row.times = bad
    row.check(ended.status == 0, f"status {ended.status}: {ended.line}")
    if ended.status == 0:
        manifest = FeatureStore(store).manifest()
        failed = manifest["status"] == "failed"
        row.check(failed.sum() == bad, f"{failed.sum()} failed, not {bad}")
        kinds = ", ".join(f"`{kind}`" for kind in np.unique(manifest["kind"][failed]).tolist())
        row.ended = f"a row of the manifest each, of the kinds {kinds}; the sound images are kept"


def _hostile_archives(world: World) -> list[Row]:
    tars = Row("tars with links, devices, and paths that lead out")
    for name, kind, link in (
        *(("a.jpg", tarfile.SYMTYPE, "/etc/passwd"), ("a.jpg", tarfile.LNKTYPE, "/etc/passwd")),
        *(("a.jpg", tarfile.CHRTYPE, ""), ("a.jpg", tarfile.FIFOTYPE, "")),
        *(("../a.jpg", tarfile.REGTYPE, ""), ("/a.jpg", tarfile.REGTYPE, "")),
    ):
        folder = world.new("shards")
        folder.mkdir()
        with tarfile.open(folder / "00000.tar", "w") as archive:
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, link
            archive.addfile(member)
        _refuse(world, tars, folder)
    files = Row("HDF5 files that lead to other files, or were never written")
    for how in ("external link", "soft link", "virtual", "external", "never written"):
        _refuse(world, files, _h5(world.new("h5"), how))
    return [tars, files]


def _refuse(world: World, row: Row, source: Path) -> None:
    ended = world.run(["import", str(source), "--store", str(world.new("store"))])
    row.times += 1
    row.check(ended.is_one_line, f"status {ended.status}: {ended.line}")
    row.ended = "refused in one line"


def _h5(path: Path, how: str) -> Path:
    import h5py

    path = path.with_suffix(".h5")
    other = path.with_name(f"other_{path.name}")
    shape = (4, 16, 16, 3)
    with h5py.File(other, "w") as file:
        file["image"] = np.zeros(shape, np.uint8)
    with h5py.File(path, "w") as file:
        file["emo"] = np.eye(4, 8)
        if how == "external link":
            file["image"] = h5py.ExternalLink(str(other), "/image")
        elif how == "soft link":
            file["image"] = h5py.SoftLink("/emo")
        elif how == "virtual":
            layout = h5py.VirtualLayout(shape, np.uint8)
            layout[:] = h5py.VirtualSource(str(other), "image", shape)
            file.create_virtual_dataset("image", layout)
        elif how == "external":
            file.create_dataset("image", shape, np.uint8, external=[("/etc/passwd", 0, 3072)])
        else:
            file.create_dataset(
                "image", (2_000_000, 500, 500, 3), np.uint8, chunks=(1, 500, 500, 3)
            )
    return path
