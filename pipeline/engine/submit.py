"""Submit a command to a Ray cluster, follow its output, and return its exit status.

`ray job submit` exits with 1 for every status except 0, so a scheduler cannot distinguish a run with failed
images (3) from an unfinished one (1). Ray does keep the status of the process.
"""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress

import aiohttp
from ray.job_submission import JobStatus, JobSubmissionClient

from pipeline.errors import EXIT_TOO_MANY_FAILED, ConfigError, FiatColorError, RunError

_SECONDS_BETWEEN_LOOKS = 2.0
_UNREACHABLE_FOR = 120.0  # seconds without an answer after which the command exits; the job continues


class Cluster:
    """The jobs of the cluster at an address, `http://host:8265`.

    Raises ConfigError if it refuses the address or the token, RunError if nothing answers.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        try:
            self._client = JobSubmissionClient(address)
        except Exception as error:  # Ray raises plain ones, of many kinds
            raise self._explained(error) from None

    def submit(self, words: Sequence[str], working_dir: str | None) -> str:
        """Start `fiat-color WORDS` there; return the job id.

        Args:
            working_dir: a checkout to upload and run in; None: use what is installed there.

        Raises:
            ConfigError, RunError: as the class.
        """
        environment = {} if working_dir is None else {"working_dir": working_dir}
        try:
            return self._client.submit_job(
                entrypoint=shlex.join(["python", "-m", "fiat_color", *words]), runtime_env=environment
            )
        except Exception as error:
            raise self._explained(error) from None

    def follow(self, job: str) -> int:
        """Print the job's output until it ends; return its exit status, or 1 if it was stopped.

        Raises:
            ConfigError: there is no such job. RunError: it died without an exit status, or the cluster no
                longer answers.
        """
        try:
            self._client.get_job_info(job)
        except Exception as error:
            if "does not exist" in str(error):
                raise ConfigError(f"{self._address} has no job {job}") from None
            raise self._explained(error) from None
        # if the connection breaks, still ask for the status
        with suppress(RuntimeError, aiohttp.ClientError):
            asyncio.run(self._print(job))
        return self._status(job)

    async def _print(self, job: str) -> None:
        async for lines in self._client.tail_job_logs(job):
            print(lines, end="", flush=True)

    def _status(self, job: str) -> int:
        answered = time.monotonic()
        while True:
            try:
                info = self._client.get_job_info(job)
            except Exception as error:
                if time.monotonic() - answered > _UNREACHABLE_FOR:
                    raise RunError(
                        f"{self._address} no longer answers ({_words(error)}); the job may still run: "
                        f"fiat-color submit --address {self._address} --attach {job}"
                    ) from None
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                continue
            answered = time.monotonic()
            if info.status.is_terminal():
                return self._ended(job, info.status, info.driver_exit_code, info.message)
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _ended(self, job: str, status: JobStatus, code: int | None, message: str | None) -> int:
        if status == JobStatus.SUCCEEDED:
            return 0
        if code is not None and 0 < code <= EXIT_TOO_MANY_FAILED:
            return code
        if status == JobStatus.STOPPED:
            raise RunError(f"the job {job} was stopped; submit it again to continue")
        ended = "without an exit status" if code is None else f"with {code}"
        raise RunError(f"the job {job} ended {ended}: {_words(message or '')}; submit it again to continue")

    def _explained(self, error: Exception) -> FiatColorError:
        words = _words(error)
        if isinstance(error, ConnectionError) or "Failed to connect" in words:
            return RunError(
                f"no Ray head answers at {self._address}: is it running, and is its dashboard reachable?"
            )
        return ConfigError(f"the Ray head at {self._address} refuses the job: {words}")


def _words(error: object) -> str:
    return " ".join(str(error).split())[:400]
