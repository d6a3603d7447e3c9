"""A whole evaluation: list, measure, summarise, write. This is what `commands/evaluate.py` calls."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline.cli import log
from pipeline.cli.progress import Reporter
from pipeline.color.luminance import luminance_u16_from_srgb8
from pipeline.config.storage import StorageConfig
from pipeline.errors import ConfigError, FiatColorError, RunError
from pipeline.evaluate.cost import Cost, measure_costs
from pipeline.evaluate.inception import Inception
from pipeline.evaluate.measure import Measurements, MeasuringTask
from pipeline.evaluate.perceptual import Lite0
from pipeline.evaluate.photograph_list import (
    Photograph,
    Reader,
    Unreadable,
    list_photographs,
    open_input,
    reduced,
)
from pipeline.evaluate.settings import BASELINES, EvaluateConfig, EvaluateSection, NetworkEntry
from pipeline.evaluate.sheets import choose, draw, jpeg
from pipeline.evaluate.summary import as_json, summarise, with_costs
from pipeline.evaluate.tables import html, markdown
from pipeline.models.method_list import open_weights, weights_info
from pipeline.models.weights_location import is_onnx
from pipeline.models.weights_registry import pin_weights
from pipeline.storage import Store, open_store, refuse_overlap

TABLE = "evaluation.parquet"


def evaluate(input_uri: str, output: str, config: EvaluateConfig) -> str:
    """`evaluate_into` the folder or bucket `output`."""
    return evaluate_into(open_store(output, config.storage), input_uri, config)


def evaluate_into(target: Store, input_uri: str, config: EvaluateConfig) -> str:
    """Colour every photograph under `input_uri` from its own lightness, measure, and write to `target`.

    In steps, for n photographs and e entries:
      1. check input, output, weights, classifier and sheets before anything starts;
      2. measure: n x (e + 3) rows through the Ray chain (gray, constant tint and ground truth are the 3);
      3. summarise: means and bootstrap intervals over all photographs and per group;
      4. write evaluation.parquet (a row per photograph and colouring), .json, .md, .html, and the sheets.

    Numbers and pictures are the same whatever the number of workers. Returns the Markdown.

    Raises:
        ConfigError: no photographs, unusable weights, a sheet of unknown photographs.
        RunError: more than `evaluate.max_unreadable` of the photographs cannot be read (stderr names those so
            far), workers were lost too often. StorageError: as the stores do.
    """
    refuse_overlap(input_uri, target.uri)
    config = pinned(config)
    settings = config.evaluate
    if settings.inception is not None:
        Inception(settings.inception, config.storage)  # now, for the same reason as Lite0 below
    entries, tint = _entries(config)
    Lite0()  # now, so that missing classifier weights give one line and not a worker's traceback
    photos = list_photographs(input_uri, settings, config.storage)
    chosen = {sheet.name: choose(sheet, photos) for sheet in settings.sheets}
    target.check_writable()
    shown = _shown(settings, chosen)
    source, part = open_input(input_uri, config.storage)
    absolute = f"{source.uri}/{part}" if part else source.uri  # workers may have another working folder
    task = MeasuringTask(absolute, config, tint, {key: tuple(sorted(sides)) for key, sides in shown.items()})
    measured = _measure(task, photos)
    costs = measure_costs(config, _samples(task, photos))
    about = {
        "input": input_uri,
        "photographs": len(photos) - len(measured.unreadable),
        "unreadable": [{"key": key, "reason": reason} for key, reason in measured.unreadable],
        "short_side": settings.side,
        "precision": settings.precision,
        "tint_ab": list(tint),
        "groups": list(settings.groups),
        "plates": list(settings.plates),
        "against": settings.against,
        "entries": entries,
        "inception": settings.inception,
        "cost_photographs": settings.cost_photographs,
        "resamples": settings.resamples,
        "frechet_resamples": settings.frechet_resamples,
        "seed": settings.seed,
    }
    return _write(target, about, measured, config, chosen, costs)


def _shown(settings: EvaluateSection, chosen: dict[str, list[str]]) -> dict[str, set[int]]:
    """The sizes in which the sheets show a photograph, by its key."""
    shown: dict[str, set[int]] = {}
    for sheet in settings.sheets:
        for key in chosen[sheet.name]:
            shown.setdefault(key, set()).add(sheet.side or settings.side)
    return shown


def _samples(task: MeasuringTask, photos: list[Photograph]) -> list[NDArray[np.uint16]]:
    """The lightness of the first photographs that can be read, as they are measured, for their cost."""
    settings, samples = task.config.evaluate, list[NDArray[np.uint16]]()
    reader = Reader(task.input, settings.pixels, task.config.storage)
    for photo in photos:
        if len(samples) == settings.cost_photographs:
            break
        with suppress(Unreadable):  # it is among the unreadable ones that the tables count
            samples.append(luminance_u16_from_srgb8(reduced(reader.read(photo), settings.side)))
    return samples


def pinned(config: EvaluateConfig) -> EvaluateConfig:
    """Replace `registry:` weights with their present files, and ONNX files with their digest and contract, so
    that all workers measure the same bytes even if another champion is promoted. Raises WeightsError if a
    probe fails."""
    entries = tuple(_pinned(entry, config.storage) for entry in config.evaluate.entries)
    settings = config.evaluate.model_copy(update={"entries": entries})
    return config.model_copy(update={"evaluate": settings})


def _pinned(entry: NetworkEntry, storage: StorageConfig) -> NetworkEntry:
    weights = pin_weights(entry.weights, storage)
    others = tuple(str(pin_weights(other, storage)) for other in entry.others)
    entry = entry.model_copy(update={"others": others})
    if weights is None or not is_onnx(weights):
        return entry.model_copy(update={"weights": weights})
    opened = open_weights(entry.method, weights, storage=storage, contract=entry.contract)
    assert opened.onnx is not None
    opened.onnx.probe()
    weights = f"{weights.partition('#')[0]}#sha256={opened.onnx.sha256}"
    contract = opened.onnx.contract.model_dump(mode="json")
    return entry.model_copy(update={"weights": weights, "contract": contract})


def _entries(config: EvaluateConfig) -> tuple[list[dict[str, str]], tuple[float, float]]:
    """What is measured, and the constant tint: of the first entry that knows its training's, else that of the
    shipped weights. Raises ConfigError for weights that cannot be had."""
    about, tint = [], config.evaluate.tint_ab
    for entry in config.evaluate.entries:
        opened = open_weights(entry.method, entry.weights, storage=config.storage, contract=entry.contract)
        row = {"name": entry.name, "method": opened.method, "weights_sha256": opened.digest}
        row |= _means(entry, config.storage)
        if opened.weights is not None:
            tint = tint or opened.weights.info.mean_ab
        if opened.onnx is not None:
            card = opened.onnx.card
            row |= {"method": f"{opened.method} {card.name} ({card.terms})"}
        about.append(row)
    return about, tint or weights_info(None, None, storage=config.storage).mean_ab


def _means(entry: NetworkEntry, storage: StorageConfig) -> dict[str, str]:
    """What the entry's colours are the mean of, besides its own network's; empty: of nothing else."""
    digests = [open_weights(None, other, storage=storage).digest for other in entry.others]
    means = {"with_weights_sha256": " ".join(digests)} if digests else {}
    return means | ({"mirrored": "yes"} if entry.mirrored else {})


def _measure(task: MeasuringTask, photos: list[Photograph]) -> Measurements:
    """All results in the order of the list, whatever the order in which they came."""
    from pipeline.evaluate.chain import measure_all  # Ray: late, for quick error messages

    settings = task.config.evaluate
    place = {photo.key: number for number, photo in enumerate(photos)}
    parts: list[pa.Table] = []
    unreadable: list[tuple[str, str]] = []
    pictures: dict[tuple[str, int, str], bytes] = {}
    done = 0
    try:
        with Reporter(len(photos), words=("measuring", "photographs", "unreadable")) as reporter:
            for result in measure_all(task, photos):
                parts.append(result.rows)
                pictures |= result.pictures
                for key, reason in result.unreadable:
                    log.say("image", f"unreadable: {key}: {reason}", level="warning", key=key)
                unreadable += result.unreadable
                colourings = len(settings.entries) + len(BASELINES)
                done += result.rows.num_rows // colourings + len(result.unreadable)
                reporter.show(done, len(unreadable))
                if len(unreadable) > settings.max_unreadable * len(photos):
                    raise RunError(
                        f"{len(unreadable)} of {len(photos)} photographs cannot be read (named above), more "
                        f"than evaluate.max_unreadable {settings.max_unreadable:g}; repair them or raise it"
                    )
    except KeyboardInterrupt:
        raise FiatColorError(f"interrupted after {done} of {len(photos)}; nothing was written") from None
    parts.sort(key=lambda part: place[part["key"][0].as_py()] if part.num_rows else -1)
    return Measurements(pa.concat_tables(parts), sorted(unreadable, key=lambda u: place[u[0]]), pictures)


def _write(
    target: Store,
    about: dict[str, Any],
    measured: Measurements,
    config: EvaluateConfig,
    chosen: dict[str, list[str]],
    costs: dict[str, Cost],
) -> str:
    if not measured.rows.num_rows:
        raise ConfigError(f"none of the photographs under {about['input']} could be read")
    buffer = io.BytesIO()
    pq.write_table(measured.rows, buffer, compression="zstd")
    target.put(TABLE, buffer.getvalue())
    rows = with_costs(summarise(measured.rows, config.evaluate), costs)
    drawn: dict[str, tuple[str, bytes]] = {}
    for sheet in config.evaluate.sheets:
        picture = draw(sheet, chosen[sheet.name], measured.pictures, config.evaluate.side)
        data = jpeg(picture)
        target.put(f"sheets/{sheet.name}.jpg", data, "image/jpeg")
        drawn[sheet.title or sheet.name] = (", ".join(sheet.columns), data)
    text = markdown(about, rows)
    document = json.dumps(about | {"rows": as_json(rows)}, indent=2, ensure_ascii=False) + "\n"
    target.put("evaluation.json", document.encode(), "application/json")
    target.put("evaluation.html", html(about, rows, drawn).encode(), "text/html; charset=utf-8")
    target.put("evaluation.md", text.encode(), "text/markdown; charset=utf-8")
    return text
