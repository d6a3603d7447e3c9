"""The folder of a training run's checkpoints, locally or on S3, and which of them are kept."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.fs
from ray.train import Checkpoint, Result
from ray.train.v2._internal.exceptions import RayTrainError
from ray.train.v2._internal.execution.checkpoint.checkpoint_manager import (
    _CheckpointManagerState,
    _TrainingResultState,
)

from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError
from pipeline.storage import open_store
from pipeline.storage.uri import BucketLocation
from pipeline.training.checkpoint import saved_step
from pipeline.training.places import run_location

CHECKPOINTS = "checkpoint_"
"""How Ray Train begins the names of checkpoint folders."""
SNAPSHOT = "checkpoint_manager_snapshot.json"
"""Ray Train's own record of a run's checkpoints, written before it deletes old ones."""
_TORN_SECONDS = 3.0
"""A record that is being replaced can look incomplete to a reader; it is read again for this long."""


@dataclass(frozen=True)
class RunFolder:
    """The folder `name` below `root`, a path on `filesystem`, for Ray Train; `uri` is for messages."""

    filesystem: Any
    root: str
    name: str
    uri: str

    @property
    def path(self) -> str:
        return f"{self.root}/{self.name}"

    def newest(self) -> Checkpoint:
        """The newest checkpoint. Raises ConfigError where there is no run or no checkpoint yet."""
        if not self._exists(f"{self.path}/{SNAPSHOT}"):
            raise ConfigError(
                f"no training run with a checkpoint at {self.uri}; check train.storage and train.name"
            )
        checkpoint: Checkpoint | None = self._result().checkpoint
        if checkpoint is None:
            raise ConfigError(f"the training run at {self.uri} has no checkpoint yet")
        return checkpoint

    def at(self, steps: Sequence[int]) -> list[Checkpoint]:
        """The checkpoints made at these steps, in their order. Raises ConfigError where one is not kept."""
        self.newest()
        kept = {int(metrics["step"]): one for one, metrics in self._result().best_checkpoints or []}
        if missing := [step for step in steps if step not in kept]:
            raise ConfigError(
                f"the training run at {self.uri} keeps no checkpoint of step {missing[0]}; it has those of "
                f"{', '.join(map(str, sorted(kept)))}; train.keep says how many are kept"
            )
        return [kept[step] for step in steps]

    def remove_strays(self) -> list[str]:
        """Delete checkpoint folders that the run's record does not name; their names.

        A run that was killed between an upload and its record, or between the record and the deletion of an
        old checkpoint, leaves them behind, and no later run of Ray Train looks at them. Only for a run that
        is not going on.
        """
        kept = set()
        if self._exists(f"{self.path}/{SNAPSHOT}"):
            kept = {Path(checkpoint.path).name for checkpoint, _ in self._result().best_checkpoints or []}
        strays = [name for name in self.checkpoints() if name not in kept]
        for name in strays:
            self.filesystem.delete_dir(f"{self.path}/{name}")
        return strays

    def mend_record(self, keep: int) -> list[str]:
        """If the record is not valid JSON, rewrite it with the newest `keep` readable checkpoints. A
        controller killed at the wrong moment leaves it incomplete, and the run could not be resumed although
        its checkpoints are complete. Returns their names, oldest first; empty if the record was valid.

        Only for a run that is not running. Raises ConfigError if no checkpoint can be read.
        """
        try:
            if not self._torn():
                return []
            whole = self._whole(keep)
        except OSError as error:
            raise self._unusable(error) from None
        if not whole:
            raise ConfigError(
                f"{self.uri}/{SNAPSHOT} is damaged and no checkpoint there can be read; delete the folder to "
                "begin again, or give the run another train.name"
            )
        record = _CheckpointManagerState(
            checkpoint_results=whole,
            checkpoint_report_indices=list(range(1, len(whole) + 1)),
            latest_checkpoint_result=whole[-1],
            pending_training_results=[],
            pending_validation_specs=[],
            current_report_index=len(whole),
            validated_checkpoint_dir_names=[],
            timed_out_validation_checkpoint_dir_names=[],
            failed_validation_checkpoint_dir_names=[],
        )
        with self.filesystem.open_output_stream(f"{self.path}/{SNAPSHOT}") as stream:
            stream.write(record.json().encode())
        return [state.checkpoint_dir_name for state in whole]

    def _whole(self, keep: int) -> list[_TrainingResultState]:
        """The newest `keep` checkpoints that can be read, oldest first."""
        whole: list[_TrainingResultState] = []
        for name in reversed(self.checkpoints()):
            step = saved_step(Checkpoint(f"{self.path}/{name}", self.filesystem))
            if step is not None:
                whole.insert(0, _TrainingResultState(checkpoint_dir_name=name, metrics={"step": step}))
            if len(whole) == keep:
                break
        return whole

    def _torn(self) -> bool:
        """Whether the record exists but is not valid JSON, for longer than it takes to replace it."""
        path, end = f"{self.path}/{SNAPSHOT}", time.monotonic() + _TORN_SECONDS
        while self._exists(path):
            with self.filesystem.open_input_stream(path) as stream:
                content = stream.read()
            try:
                json.loads(content)
            except ValueError:
                if time.monotonic() > end:
                    return True
                time.sleep(0.2)
            else:
                return False
        return False

    def checkpoints(self) -> list[str]:
        """Names of all checkpoint folders, in the order of their making."""
        selector = pyarrow.fs.FileSelector(self.path, allow_not_found=True)
        checkpoints = (
            i for i in self.filesystem.get_file_info(selector) if i.type == pyarrow.fs.FileType.Directory
        )
        names = (Path(info.path).name for info in checkpoints)
        return sorted(name for name in names if name.startswith(CHECKPOINTS))

    def _exists(self, path: str) -> bool:
        return bool(self.filesystem.get_file_info(path).type != pyarrow.fs.FileType.NotFound)

    def _result(self) -> Result:
        try:
            return Result.from_path(self.path, storage_filesystem=self.filesystem)
        except (RuntimeError, OSError, ValueError, RayTrainError) as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> ConfigError:
        line = " ".join(str(error).split())
        return ConfigError(f"the training run at {self.uri} cannot be resumed or read: {line}")


def run_folder(storage: str, name: str, config: StorageConfig) -> RunFolder:
    """The folder of the run `name` at a path or URI; nothing is written there yet.

    On S3 it is reached through Arrow, as Ray Train does, with the same settings as everywhere else. Raises as
    `run_location`.
    """
    location = run_location(storage, config)
    if not isinstance(location, BucketLocation):
        root = str(location)
        return RunFolder(pyarrow.fs.LocalFileSystem(), root, name, f"{root}/{name}")
    root = f"{location.bucket}/{location.prefix}".rstrip("/")
    return RunFolder(_s3(config), root, name, f"s3://{root}/{name}")


def _s3(config: StorageConfig) -> Any:
    """Credentials and region come from Arrow's own search, which is boto3's but for SSO."""
    for name, value in s3_environment(config).items():
        os.environ.setdefault(name, value)
    endpoint = config.endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    scheme, _, host = (endpoint or "https://").partition("://")
    return pyarrow.fs.S3FileSystem(
        region=config.region,
        scheme=scheme,
        endpoint_override=host.rstrip("/") or None,
        force_virtual_addressing=config.addressing == "virtual",
        connect_timeout=config.connect_seconds,
        request_timeout=config.read_seconds,
        retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=config.retries + 1),
    )


def s3_environment(config: StorageConfig) -> dict[str, str]:
    """What Arrow's S3 client takes from the environment only: older servers refuse its checksum trailers."""
    return {
        "AWS_REQUEST_CHECKSUM_CALCULATION": config.checksums,
        "AWS_RESPONSE_CHECKSUM_VALIDATION": config.checksums,
    }


def check_writable(folder: RunFolder, config: StorageConfig) -> None:
    """Raises ConfigError or StorageError where checkpoints could not be put there."""
    open_store(folder.uri.rpartition("/")[0], config).check_writable()
