"""The weights registry: which weights a name stands for now, and which it stood for before.

`REGISTRY/NAME/` in a folder or bucket holds one name:

    000001.json, 000002.json, ...    entries, each written once (`If-None-Match: *`) and never changed
    weights/<sha256>.safetensors     a copy of every champion's file, so that it cannot vanish
    weights/<sha256>.onnx, .yaml     a champion that others published, and its contract
    000002.md                        the report of the decision behind an entry

The champion is the newest entry. A rollback is a new entry with an earlier one's weights: history stays.
"""

from __future__ import annotations

import getpass
import hashlib
import re
import socket
from datetime import UTC, datetime
from typing import Literal

from pydantic import ValidationError

from pipeline import __version__
from pipeline.config.storage import StorageConfig
from pipeline.errors import AlreadyExists, ConfigError, ObjectMissing, RunError, WeightsError
from pipeline.models.methods.onnx import OnnxColorizer
from pipeline.models.methods.onnx.contract import contract_yaml
from pipeline.models.methods.onnx.weights import OnnxWeights, read_onnx
from pipeline.models.registry_entries import Evaluation, RegistryEntry, registry_name, relative_weights
from pipeline.models.weights import decode_weights
from pipeline.models.weights_location import ONNX_SUFFIX, SCHEME, fetch_weights, is_onnx
from pipeline.storage import Store, open_store

SOFTWARE = f"Fiat Color {__version__}"
_ENTRY = re.compile(r"([0-9]{6})\.json")


class WeightsRegistry:
    """One name of a registry.

    All methods raise StorageError and ConfigError as the store does, and WeightsError for a damaged entry.
    """

    def __init__(self, uri: str, storage: StorageConfig | None = None) -> None:
        """`uri`: REGISTRY/NAME. Touches neither disk nor network. Raises ConfigError for no valid name."""
        self.name = registry_name(uri)
        self.store: Store = open_store(uri.rstrip("/"), storage or StorageConfig())
        self._storage = storage

    @property
    def uri(self) -> str:
        return self.store.uri

    def numbers(self) -> list[int]:
        """The entries' numbers, ascending; empty for a name without any (and for a folder that is none)."""
        matches = (_ENTRY.fullmatch(info.key) for info in self.store.list())
        return [int(match[1]) for match in matches if match]

    def read(self, number: int) -> RegistryEntry:
        """One entry. Raises ConfigError where there is none of this number."""
        key = f"{number:06d}.json"
        try:
            data = self.store.get(key).data
        except ObjectMissing:
            raise ConfigError(
                f"the registry {self.uri} has no entry {number}; --history lists them"
            ) from None
        try:
            entry = RegistryEntry.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "JSON"
            raise WeightsError(
                f"the registry entry {self.uri}/{key} is damaged ({where}: {first['msg']}); "
                "restore the file, or promote or roll back with jobs/promote.py"
            ) from None
        if entry.number != number:
            raise WeightsError(
                f"the registry entry {self.uri}/{key} is damaged: it says it is {entry.number}"
            )
        return entry

    def champion(self) -> RegistryEntry | None:
        """The newest entry, None where there is none yet."""
        numbers = self.numbers()
        return self.read(numbers[-1]) if numbers else None

    def champion_weights(self) -> str:
        """`locate` of the champion. Raises WeightsError where there is none."""
        champion = self.champion()
        if champion is None:
            raise WeightsError(
                f"the weights {SCHEME}{self.uri} have no champion: there is no entry; check the spelling, or "
                "make one with jobs/promote.py --first"
            )
        return self.locate(champion)

    def history(self) -> list[RegistryEntry]:
        """All entries, oldest first."""
        return [self.read(number) for number in self.numbers()]

    def locate(self, entry: RegistryEntry) -> str:
        """The absolute URI of the entry's weights, with `#sha256=`."""
        return f"{self.uri}/{entry.weights}"

    def promote(
        self, weights: str, *, previous: int | None, evaluation: Evaluation | None = None
    ) -> RegistryEntry:
        """Copy the file at `weights` in and make it the champion after entry `previous` (None: the first).

        Raises WeightsError for no usable weights file, RunError where another entry came first.
        """
        if is_onnx(weights):
            kept, method = self._keep_onnx(read_onnx(weights, self._storage)), OnnxColorizer.method
        else:
            data, digest = fetch_weights(weights, self._storage)
            method = decode_weights(data, weights)[1].method
            kept = self._keep(data, relative_weights(digest))
        reason: Literal["first", "promotion"] = "promotion" if previous else "first"
        return self._begin(reason, method, kept, weights, previous, evaluation)

    def add(self, onnx: OnnxWeights, source: str) -> RegistryEntry:
        """Copy an ONNX file and its contract in and make it the champion, without a comparison.

        Raises WeightsError where the registry has another contract for the file, RunError where another
        entry came first.
        """
        numbers = self.numbers()
        kept = self._keep_onnx(onnx)
        return self._begin(
            "import", OnnxColorizer.method, kept, source, numbers[-1] if numbers else None, None
        )

    def _begin(
        self,
        reason: Literal["first", "promotion", "import"],
        method: str,
        kept: str,
        source: str,
        previous: int | None,
        evaluation: Evaluation | None,
    ) -> RegistryEntry:
        return self._append(
            RegistryEntry(
                number=(previous or 0) + 1,
                reason=reason,
                method=method,
                weights=kept,
                source=source,
                previous=previous,
                evaluation=evaluation,
                software=SOFTWARE,
                made_by=_who(),
                made_at=datetime.now(UTC),
            )
        )

    def rollback_target(self, number: int | None = None) -> RegistryEntry:
        """The entry that a rollback brings back: `number`, else the one before what is in use now.

        Repeated rollbacks go further and further back, not back and forth. Raises ConfigError if there is
        nothing to go back to.
        """
        numbers = self.numbers()
        if not numbers:
            raise ConfigError(f"the registry {self.uri} is empty; there is nothing to roll back")
        if number is None:
            before = self._origin(self.read(numbers[-1])).previous
            if before is None:
                raise ConfigError(
                    f"the registry {self.uri} has no entry before the weights in use; give --rollback N"
                )
            number = before
        return self._origin(self.read(number))

    def roll_back(self, number: int | None = None) -> RegistryEntry:
        """Make an earlier entry's weights the champion again, by a new entry. Raises as `rollback_target`,
        WeightsError where the earlier file is gone or damaged, RunError where another entry came first."""
        target = self.rollback_target(number)
        # a champion that cannot be read would stop every job
        fetch_weights(self.locate(target), self._storage)
        newest = self.numbers()[-1]
        return self._append(
            RegistryEntry(
                number=newest + 1,
                reason="rollback",
                method=target.method,
                weights=target.weights,
                source=f"entry {target.number}",
                previous=newest,
                restores=target.number,
                software=SOFTWARE,
                made_by=_who(),
                made_at=datetime.now(UTC),
            )
        )

    def _origin(self, entry: RegistryEntry) -> RegistryEntry:
        """The promotion that a rollback brought back; another entry itself."""
        return entry if entry.restores is None else self.read(entry.restores)

    def _keep(self, data: bytes, relative: str) -> str:
        key, _, digest = relative.partition("#sha256=")
        try:
            self.store.put_if_absent(key, data)
        except AlreadyExists:
            if hashlib.sha256(self.store.get(key).data).hexdigest() != digest:
                raise WeightsError(
                    f"{self.uri}/{key} is damaged: its bytes have another sha256; delete it and run again"
                ) from None
        return relative

    def _keep_onnx(self, onnx: OnnxWeights) -> str:
        """The contract first: an entry's file has one from its first moment on, and always the same."""
        relative = relative_weights(onnx.sha256, ONNX_SUFFIX)
        key, data = f"weights/{onnx.sha256}.yaml", contract_yaml(onnx.contract).encode()
        try:
            self.store.put_if_absent(key, data, "application/yaml")
        except AlreadyExists:
            if self.store.get(key).data != data:
                raise WeightsError(
                    f"{self.uri}/{key} is another contract for this file, and entries use it; delete it "
                    "if no job has used it, or import into a registry with another name"
                ) from None
        return self._keep(onnx.data, relative)

    def _append(self, entry: RegistryEntry) -> RegistryEntry:
        key = f"{entry.number:06d}.json"
        data = (entry.model_dump_json(indent=2) + "\n").encode()
        try:
            self.store.put_if_absent(key, data, "application/json")
        except AlreadyExists:
            # Ours after all, where the answer to a first try was lost on its way.
            if self.store.get(key).data != data:
                raise RunError(
                    f"another promotion wrote entry {entry.number} of {self.uri} first; nothing was changed; "
                    "run again to compare with the new champion"
                ) from None
        return entry


def pin_weights(weights: str | None, storage: StorageConfig | None = None) -> str | None:
    """`registry:REGISTRY/NAME` as the URI of the champion's file with its `#sha256=`; all else unchanged.

    A job calls it once, before it starts workers, so that a later change of champion does not affect them.
    Raises WeightsError where the name has no champion or its entry is damaged.
    """
    if weights is None or not weights.startswith(SCHEME):
        return weights
    return WeightsRegistry(weights.removeprefix(SCHEME), storage).champion_weights()


def _who() -> str:
    """user@host of the job, for the history."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user id without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
