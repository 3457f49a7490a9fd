"""Download speed against peers, from a server on loopback: fetch and decode only, no embedding.

    python benchmarks/download.py
    python benchmarks/download.py --img2dataset OTHER_VENV/bin/img2dataset

5,000 small JPEGs, a process of its own for each run, start-up included, by turns:
  ours          the fetch stage and decoding of `bench extract`, with all its checks
  img2dataset   resizing to the same side, where its program is given: it is to be installed in an
                environment of its own
  bare pool     a `requests` session a thread, a thread pool and Pillow, with no checks at all

Then ours once more with 200 addresses among them that are accepted and never answered, to show that
they cost no more than one deadline.
"""

import argparse
import asyncio
import io
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import _table
import numpy as np
from PIL import Image

SIZE, COUNT, DEAD = 224, 5_000, 200
THREADS = 64
DEADLINE = 5.0  # s, for one image
PEERS = {"bare pool": "requests in a thread pool, no checks", "img2dataset": "img2dataset"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--img2dataset", type=Path, help="its program, in another environment")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="keep the comparison in a file")
    parser.add_argument("--as", dest="role", choices=("ours", "pool"), help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=THREADS, help=argparse.SUPPRESS)
    parser.add_argument("--urls", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.role:
        urls = arguments.urls.read_text().split()
        done = {"ours": ours, "pool": bare_pool}[arguments.role](urls, arguments.threads)
        print(done)
        return
    ports: multiprocessing.Queue[int] = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(ports,), daemon=True)
    server.start()
    address = f"http://127.0.0.1:{ports.get()}"
    with tempfile.TemporaryDirectory() as scratch:
        compare(Path(scratch), address, arguments)
    server.terminate()


def compare(scratch: Path, address: str, arguments: argparse.Namespace) -> None:
    good = [f"{address}/{n}.jpg" for n in range(COUNT)]
    urls = scratch / "urls.txt"
    urls.write_text("\n".join(good))
    programs: dict[str, Callable[[], float]] = {
        "ours": lambda: COUNT / run_self("ours", urls, THREADS, COUNT),
        "bare pool": lambda: COUNT / run_self("pool", urls, THREADS, COUNT),
    }
    if program := arguments.img2dataset:
        programs["img2dataset"] = lambda: COUNT / run_img2dataset(program, urls, scratch / "out")
    speeds = _table.by_turns(programs, "ours", arguments.rounds)
    title = f"fetching and decoding {COUNT:,} JPEGs from loopback"
    rows = _table.against(title, speeds, "ours", PEERS, "images/s")
    mixed = scratch / "mixed.txt"
    dead = [f"{address}/never/{n}" for n in range(DEAD)]
    mixed.write_text("\n".join(np.random.default_rng(0).permutation([*good, *dead])))
    pairs = [
        [run_self("ours", listed, 256, COUNT) for listed in (urls, mixed)]
        for _ in range(arguments.rounds)
    ]
    longer = [with_dead - without for without, with_dead in pairs]
    title = f"{DEAD} addresses that never answer, deadline {DEADLINE:.0f} s: how much longer"
    rows.append(_table.alone(title, longer, "s"))
    _table.report(rows, arguments.json)


def run_self(role: str, urls: Path, threads: int, expected: int) -> float:
    command = [sys.executable, __file__, "--as", role, "--urls", urls, "--threads", str(threads)]
    start = time.perf_counter()
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    if int(run.stdout) != expected:
        sys.exit(f"{role} got {run.stdout.strip()} of {expected} images")
    return seconds


def run_img2dataset(program: Path, urls: Path, out: Path) -> float:
    command = [
        *(program, "--url_list", urls, "--output_folder", out, "--image_size", str(SIZE)),
        *("--processes_count", "2", "--thread_count", str(THREADS // 2)),
        *("--number_sample_per_shard", "1000", "--enable_wandb", "False"),
    ]
    start = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    seconds = time.perf_counter() - start
    got = len(list(out.rglob("*.jpg")))
    if got != COUNT:
        sys.exit(f"img2dataset got {got} of {COUNT} images")
    shutil.rmtree(out)
    return seconds


def ours(urls: list[str], threads: int) -> int:
    from featurestore._engines import usable_cores
    from featurestore._pipeline import Pipeline
    from featurestore.fetch import FetchStage, WebSettings

    class NoEngine:
        batch, workers = 1, usable_cores()

        def embed(self, pixels: Any) -> Any:
            return np.zeros((1, 1), np.float32)

    settings = WebSettings(
        threads=threads, per_host=threads, seconds=DEADLINE, allow_private_hosts=True
    )
    stage = FetchStage(enumerate(urls), lambda location: b"", settings)
    return sum(not r.kind for r in Pipeline(stage, NoEngine(), SIZE, 1).run(len(urls)))


def bare_pool(urls: list[str], threads: int) -> int:
    import requests

    local = threading.local()

    def get(url: str) -> int:
        if not hasattr(local, "session"):
            local.session = requests.Session()
        with Image.open(io.BytesIO(local.session.get(url).content)) as image:
            image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        return 1

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(get, urls))


def serve(ports: "multiprocessing.Queue[int]") -> None:
    """Answer as fast as one core can, so that the clients are what is measured."""
    rng = np.random.default_rng(0)
    bodies = []
    for _ in range(64):
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        coarse.resize((240, 180), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=85)
        bodies.append(buffer.getvalue())

    class Answer(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport, self.received = transport, b""

        def data_received(self, data: bytes) -> None:
            self.received += data
            while (end := self.received.find(b"\r\n\r\n")) >= 0:
                path = self.received.split(b" ", 2)[1].decode()
                self.received = self.received[end + 4 :]
                if not path.startswith("/never"):
                    number = int(path[1:].partition(".")[0])
                    # The end makes each body unlike all others; decoders don't look at it.
                    body = bodies[number % 64] + number.to_bytes(4)
                    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n"
                    self.transport.write(head.encode() + body)

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(
            Answer, "127.0.0.1", 0, backlog=1024
        )
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


if __name__ == "__main__":
    main()
