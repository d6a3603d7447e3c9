"""The decoder's child process, with real files, real limits and real deaths."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.codecs.in_memory import Decoded, DecodeLimits, Skip
from pipeline.codecs.isolated.image import IsolatedDecoder
from pipeline.codecs.isolated.master import IsolatedMaster
from pipeline.errors import FailureCode, ImageFailure, RunError
from pipeline.records import Status
from tests.support.samples import LIMITS, colourful, decoded, encoded, opened, photo, png, toned

GIB = 2**30

SETTINGS = {"model_side": 128, "skip_color": True, "color_threshold": 3.0}


@pytest.fixture(scope="module")
def decoder() -> Iterator[IsolatedDecoder]:
    with IsolatedDecoder(memory=2 * GIB, seconds=30) as decoder:
        yield decoder


def ask(
    decoder: IsolatedDecoder, data: bytes, key: str = "a.png", limits: DecodeLimits = LIMITS
) -> Decoded | Skip:
    return decoder.decode(data, key, None, limits, **SETTINGS)  # type: ignore[arg-type]


def failure(
    decoder: IsolatedDecoder, data: bytes, key: str = "a.png", limits: DecodeLimits = LIMITS
) -> ImageFailure:
    with pytest.raises(ImageFailure) as caught:
        ask(decoder, data, key, limits)
    return caught.value


@cache
def slow_image() -> bytes:
    """A small PNG that is 400 million pixels: seconds to inflate."""
    return png(20_000, 20_000, b"\0" * (20_000 * 2501), depth=1)


SLOW = DecodeLimits(pixels=10**9)


@pytest.mark.parametrize(
    "data",
    [
        encoded(photo(), "PNG"),
        encoded(toned(photo()), "JPEG", quality=90),
        encoded(Image.fromarray(np.dstack([toned(photo()), photo(seed=9)])), "PNG"),
        encoded(photo(700, 1100), "TIFF", dpi=(300, 300)),
    ],
)
def test_the_result_is_that_of_decoding_in_process(decoder: IsolatedDecoder, data: bytes) -> None:
    apart, here = ask(decoder, data), decoded(data)
    assert isinstance(apart, Decoded)
    np.testing.assert_array_equal(apart.L_u16, here.L_u16)
    np.testing.assert_array_equal(apart.model_L, here.model_L)
    assert (apart.alpha is None) == (here.alpha is None)
    if apart.alpha is not None:
        np.testing.assert_array_equal(apart.alpha, here.alpha)
    assert (apart.mode, apart.meta, apart.note) == (here.mode, here.meta, here.note)


def test_results_stay_as_they_are_when_the_next_image_is_decoded(decoder: IsolatedDecoder) -> None:
    alpha = np.dstack([photo(seed=1), photo(seed=2)])
    first = ask(decoder, encoded(Image.fromarray(alpha), "PNG"))
    assert isinstance(first, Decoded)
    ask(decoder, encoded(photo(300, 300, seed=4), "PNG"))
    np.testing.assert_array_equal(first.L_u16, decoded(encoded(Image.fromarray(alpha), "PNG")).L_u16)
    np.testing.assert_array_equal(first.alpha, alpha[..., 1])


def test_failures_and_skips_come_through(decoder: IsolatedDecoder) -> None:
    assert failure(decoder, b"", "a.png").code == FailureCode.NOT_AN_IMAGE
    assert failure(decoder, encoded(photo(), "PNG")[:900]).code == FailureCode.TRUNCATED
    other = ask(decoder, b"words", "notes.txt")
    assert isinstance(other, Skip)
    assert other == opened(b"words", "notes.txt")
    colour = ask(decoder, encoded(colourful(), "PNG"))
    assert isinstance(colour, Skip)
    assert colour.status == Status.SKIPPED_COLOR


@pytest.mark.slow
def test_a_slow_decode_hits_the_limit_and_the_next_image_is_decoded() -> None:
    with IsolatedDecoder(memory=4 * GIB, seconds=0.2) as decoder:
        image = slow_image()
        before = time.monotonic()
        error = failure(decoder, image, limits=SLOW)
        assert error.code == FailureCode.TIMEOUT
        assert "limits.seconds" in error.message
        assert time.monotonic() - before < 20
        decoder._child.seconds = 30
        assert isinstance(ask(decoder, encoded(photo(), "PNG")), Decoded)


def test_memory_beyond_the_limit_is_a_failure_of_that_image_alone() -> None:
    with IsolatedDecoder(memory=300 * 2**20, seconds=30) as decoder:
        error = failure(decoder, slow_image(), limits=SLOW)
        assert error.code == FailureCode.OUT_OF_MEMORY
        assert "limits.memory" in error.message
        assert isinstance(ask(decoder, encoded(photo(), "PNG")), Decoded)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGBUS, signal.SIGKILL])
def test_a_child_that_dies_with_an_image_costs_that_image(
    decoder: IsolatedDecoder, number: signal.Signals
) -> None:
    ask(decoder, encoded(photo(), "PNG"))
    pid = decoder.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # so that it has the image for certain when it dies
    killer = threading.Timer(0.2, lambda: (os.kill(pid, number), os.kill(pid, signal.SIGCONT)))
    killer.start()
    error = failure(decoder, encoded(photo(), "PNG"))
    killer.join()
    assert error.code == FailureCode.DECODER_CRASHED
    assert number.name in error.message
    assert isinstance(ask(decoder, encoded(photo(), "PNG")), Decoded)
    assert decoder.pid != pid


def test_a_child_that_died_between_images_is_started_again(decoder: IsolatedDecoder) -> None:
    ask(decoder, encoded(photo(), "PNG"))
    assert decoder.pid is not None
    os.kill(decoder.pid, signal.SIGKILL)
    time.sleep(0.1)
    assert isinstance(ask(decoder, encoded(photo(), "PNG")), Decoded)


def test_no_child_outlives_its_parent_even_in_the_middle_of_a_decode() -> None:
    with IsolatedDecoder(memory=4 * GIB, seconds=60) as decoder:
        ask(decoder, encoded(photo(), "PNG"))
        process, connection = decoder._child.process, decoder._child.connection
        assert process is not None
        assert connection is not None
        image = slow_image()
        worker = threading.Thread(target=lambda: failure(decoder, image, limits=SLOW))
        worker.start()
        time.sleep(0.2)
        # what the system does to the parent's end of the socket when the parent dies
        with socket.socket(fileno=os.dup(connection.fileno())) as ours:
            ours.shutdown(socket.SHUT_RDWR)
        assert process.wait(timeout=5) == 0
        worker.join()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.slow
def test_no_file_stays_open_whatever_happened(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(encoded(photo(), "TIFF"))
    before = open_files()
    with IsolatedDecoder(memory=2 * GIB, seconds=30) as decoder:
        for _ in range(2):
            ask(decoder, encoded(photo(), "PNG"))
            assert decoder._child.process is not None
            decoder._child.process.kill()
            decoder._child.process.wait()
        failure(decoder, b"")
        decoder.close()
    with IsolatedDecoder(memory=20 * 2**20, seconds=5) as decoder, pytest.raises(RunError):
        ask(decoder, encoded(photo(), "PNG"))
    with IsolatedMaster(path, pixels=10**9, memory=2 * GIB, seconds=30) as master:
        assert len(list(master.strips())) == 1
    with pytest.raises(ImageFailure, match=r"raise limits\.pixels"):
        IsolatedMaster(path, pixels=10, memory=2 * GIB, seconds=30)
    with pytest.raises(RunError, match=r"limits\.memory"):
        IsolatedMaster(path, pixels=10**9, memory=20 * 2**20, seconds=5)
    assert open_files() == before


def test_what_libraries_write_to_standard_error_does_not_pile_up(decoder: IsolatedDecoder) -> None:
    ask(decoder, encoded(photo(), "PNG"))
    stderr = decoder._child._stderr
    for _ in range(3):
        os.write(stderr, b"a warning\n" * 1000)
        ask(decoder, encoded(photo(), "PNG"))
        assert os.fstat(stderr).st_size == 0


def test_a_master_whose_child_died_says_so_and_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(encoded(photo(), "TIFF"))
    with IsolatedMaster(path, pixels=10**9, memory=2 * GIB, seconds=30) as master:
        os.kill(master.pid, signal.SIGSEGV)
        with pytest.raises(ImageFailure, match="killed by SIGSEGV"):
            master.reduced(64)
        with pytest.raises(ImageFailure, match="has ended"):
            list(master.strips())


def test_too_little_memory_to_start_is_an_error_of_the_run() -> None:
    with (
        IsolatedDecoder(memory=20 * 2**20, seconds=5) as decoder,
        pytest.raises(RunError, match=r"limits\.memory"),
    ):
        ask(decoder, encoded(photo(), "PNG"))
