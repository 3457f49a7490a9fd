"""What ``fuzz.py`` feeds with mutated bytes: all that reads files and answers of others.

Formats with checksums of their own (tar headers, PNG chunks, members of zip files) would turn every
mutation away at the door, so the first byte says how much is put right before reading.
"""

import io
import itertools
import json
import socket
import struct
import tarfile
import threading
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from _fuzz_bytes import RAW, Target, one_replaced, replace_one, write_all
from PIL import Image

_count = itertools.count()


def theirs() -> dict[str, Target]:
    """Return what reads files and answers of others, by name."""
    from featurestore import errors

    return {
        "image": Target(_image, images, (errors.DecodeFailure,)),
        "tar": Target(_tar, _tars, (errors.SourceError, errors.Unreadable)),
        "h5": Target(_h5, _h5s, (errors.SourceError, errors.Unreadable)),
        "img2dataset": Target(_img2dataset, _shards, (errors.SourceError, errors.FetchFailure)),
        "csv": Target(_csv, _csvs, (errors.SourceError, errors.FetchFailure)),
        "http": Target(_http, _answers),
    }


# Images


def images() -> list[bytes]:
    from featurestore.sources._synthetic import names, render

    drawn = Image.open(io.BytesIO(render(names()[0][0])))
    small = drawn.resize((40, 30))
    alpha = small.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(small.size))
    deep = Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 54)
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    forms: list[tuple[Image.Image, str, dict[str, Any]]] = [
        (small, "JPEG", {"exif": exif}),
        (small.convert("CMYK"), "JPEG", {"progressive": True}),
        (small.convert("L"), "JPEG", {}),
        (small, "PNG", {}),
        (alpha, "PNG", {}),
        (deep, "PNG", {}),
        (small.quantize(16), "PNG", {"transparency": 3}),
        (small, "GIF", {"save_all": True, "append_images": [small.rotate(90)]}),
        (alpha, "WEBP", {}),
        (small, "WEBP", {"save_all": True, "append_images": [small.rotate(90)]}),
        (small, "BMP", {}),
        (small, "TIFF", {"compression": "tiff_lzw"}),
        (Image.fromarray(np.eye(24, dtype=np.float32)), "TIFF", {}),
        (small, "PPM", {}),
        (alpha, "ICO", {"sizes": [(16, 16)]}),
        (alpha, "TGA", {"compression": "tga_rle"}),
        (small, "JPEG2000", {}),
        (small, "AVIF", {}),
    ]
    found = []
    for image, form, options in forms:
        buffer = io.BytesIO()
        image.save(buffer, form, **options)
        found.append(bytes([RAW]) + buffer.getvalue())
    return found


def _image(data: bytes, folder: Path) -> None:
    from featurestore._decode import decode

    content = data[1:]
    if data[:1] != bytes([RAW]):
        content = _with_png_checksums(content)
    decode(content, 64, larger=(48,))


def _with_png_checksums(data: bytes) -> bytes:
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    fixed, at = bytearray(data), 8
    while at + 12 <= len(fixed):
        (size,) = struct.unpack_from(">I", fixed, at)
        end = at + 8 + size
        if end + 4 > len(fixed):
            break
        struct.pack_into(">I", fixed, end, zlib.crc32(fixed[at + 4 : end]))
        at = end + 4
    return bytes(fixed)


# Tars and folders of shards


def _tars() -> list[bytes]:
    found = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
            for name in ("000.jpg", "000.json", "longer/" * 20 + "001.jpg"):
                member = tarfile.TarInfo(name)
                member.size = 600
                archive.addfile(member, io.BytesIO(bytes(600)))
        found += [bytes([first]) + buffer.getvalue() for first in (0, RAW)]
    return found


def _tar(data: bytes, folder: Path) -> None:
    from featurestore.sources._tar import list_members, read_member

    path = folder / f"{next(_count)}.tar"
    path.write_bytes(data[1:] if data[:1] == bytes([RAW]) else _with_tar_checksums(data[1:]))
    for member in list_members(path).values():
        if len(read_member(path, member)) != member.size:
            raise AssertionError("a member is shorter than was said")


def _with_tar_checksums(data: bytes) -> bytes:
    fixed = bytearray(data)
    for at in range(0, len(fixed) - 511, 512):
        if fixed[at + 257 : at + 262] == b"ustar":
            fixed[at + 148 : at + 156] = b" " * 8
            total = sum(fixed[at : at + 512])
            fixed[at + 148 : at + 156] = b"%06o\0 " % total
    return bytes(fixed)


@cache
def _shard_files() -> dict[str, bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    columns = {
        "key": ["000000000", "000000001"],
        "label": ["calm", "dread"],
        "url": ["http://example.org/a.jpg", None],
        "status": ["success", "failed_to_download"],
        "error_message": [None, "404"],
    }
    pq.write_table(pa.table(columns), buffer)
    about = json.dumps({"label": "calm", "split": "val", "url": "http://example.org/b"})
    return {
        "00000.parquet": buffer.getvalue(),
        "00000/000000000.jpg": images()[0][1:],
        "00001/000000000.jpg": images()[3][1:],
        "00001/000000000.json": about.encode(),
        "metadata.json": b"{}",
        "00002.tar": _tars()[1][1:],
    }


def _shards() -> list[bytes]:
    return one_replaced(_shard_files())


def _img2dataset(data: bytes, folder: Path) -> None:
    from featurestore.sources._img2dataset import read_img2dataset

    write_all(folder, replace_one(data, _shard_files()))
    source = read_img2dataset(folder)
    for record in source.records:
        if not record.kind:
            source.fetch(record.id)


# HDF5 and CSV


def _h5s() -> list[bytes]:
    import h5py

    found = []
    for options in ({}, {"chunks": True, "compression": "gzip", "shuffle": True}):
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            file.create_dataset(
                "image", data=np.arange(3072, dtype=np.uint8).reshape(4, 16, 16, 3), **options
            )
            file.create_dataset("emo", data=np.eye(4, 8, dtype=np.float32), **options)
            file.create_dataset("split", data=np.zeros(4, np.uint8))
            file.attrs["label_names"] = np.array(list("abcdefgh"), "S1")
        found.append(buffer.getvalue())
    return found


def _h5(data: bytes, folder: Path) -> None:
    from featurestore.sources._h5 import read_h5

    path = folder / f"{next(_count)}.h5"
    path.write_bytes(data)
    source = read_h5(path)
    for record in source.records[:50]:
        source.fetch(record.id)


def _csvs() -> list[bytes]:
    return [
        b"amusement,http://farm4.staticflickr.com/1/2_3.jpg,1,4\nawe,http://x.org/b.png,0,5\n",
        b'\xef\xbb\xbfpath,label,agree,disagree,split\na.jpg,awe,3,1,train\n"b,c.jpg",fear,2,0,val\n',
        b"url;label\r\nfile:///a%20b.jpg;1\r\n",
        b"image,emotion\n../x.jpg,0\n/etc/hostname,7\n",
    ]


def _csv(data: bytes, folder: Path) -> None:
    from featurestore.fetch import is_remote
    from featurestore.sources._csv import read_csv

    path = folder / "list.csv"
    path.write_bytes(data)
    source = read_csv(path)
    for record in source.records[:20]:
        if not record.kind and not is_remote(record.id):
            source.fetch(record.id)


# Answers of a web server


def _answers() -> list[bytes]:
    body = images()[0][1:]
    packed = zlib.compress(body)
    return [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body,
        b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n" + packed,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /elsewhere?a=b#c\r\nSet-Cookie: a=b\r\n\r\n",
        b"HTTP/1.1 429 Slow\r\nRetry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n",
        b"HTTP/1.0 503 Busy\r\nRetry-After: 12\r\nConnection: close\r\n\r\n",
    ]


def _http(data: bytes, folder: Path) -> None:
    web, server = _web()
    server.answer = data
    web.get(server.url, 5.0)


@cache
def _web() -> "tuple[Any, _Raw]":
    from featurestore.fetch import _web

    _web.MAX_REDIRECTS = 0  # no mutated address is ever asked for anything
    return _web.Web(_web.WebSettings(allow_private_hosts=True, max_bytes=1 << 20)), _Raw()


class _Raw:
    """A server on loopback that answers with the bytes it is given, and hangs up."""

    def __init__(self) -> None:
        self.answer = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/a.jpg"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                try:
                    connection.recv(65536)
                    connection.sendall(self.answer)
                except OSError:
                    continue
