"""Standard error is silenced for a while, and is what it was afterwards."""

import os
import threading

from featurestore._tensorflow import quiet


def test_what_is_written_below_python_goes_nowhere() -> None:
    before = os.fstat(2)
    with quiet():
        assert not os.path.samestat(os.fstat(2), before)
    assert os.path.samestat(os.fstat(2), before)


def test_two_threads_leave_standard_error_as_it_was() -> None:
    kept, before = os.dup(2), os.fstat(2)
    first, second, over = (threading.Event() for _ in range(3))

    def one() -> None:
        with quiet():
            first.set()
            second.wait(0.3)  # never comes, unless both are within
        over.set()

    def other() -> None:
        first.wait()
        with quiet():
            second.set()
            over.wait(0.3)

    threads = [threading.Thread(target=work) for work in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = os.fstat(2)
    os.dup2(kept, 2)
    os.close(kept)
    assert os.path.samestat(after, before)
