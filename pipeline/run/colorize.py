"""A whole run: plan, work, close. `run.start` calls it after it has checked for a user's mistakes."""

from __future__ import annotations

import time
from dataclasses import replace

from pipeline.cli import log
from pipeline.cli.counts import all_are, counted
from pipeline.cli.interrupt import stop_on_signals
from pipeline.codecs.metadata.c2pa_manifest import open_signer
from pipeline.config.job import JobConfig, job_digest
from pipeline.config.loading import effective_yaml
from pipeline.engine.machine import cores
from pipeline.errors import EXIT_DONE, EXIT_FAILED_IMAGES, FiatColorError
from pipeline.ledger.keys import LEASE, config_key, part_key
from pipeline.ledger.read import list_parts
from pipeline.models.doubt import find_calibration
from pipeline.models.method_list import SOLVERS, OpenedWeights, open_weights
from pipeline.models.names import location
from pipeline.models.weights_location import SCHEME
from pipeline.models.weights_registry import pin_weights
from pipeline.plan.plan import Plan, make_plan, write_plan
from pipeline.records import Status
from pipeline.report.summary_text import headline
from pipeline.report.tally import RunTally
from pipeline.run.checks import nothing_there, stated_method
from pipeline.run.close import Clock, close_run
from pipeline.run.engines import open_engine
from pipeline.run.layout import Layout
from pipeline.run.notify import Outcome
from pipeline.run.observer import Observer
from pipeline.run.plan_text import estimate_text, failed_text, plan_fields, plan_text
from pipeline.run.start import ColorizeRequest
from pipeline.run.unclosed import Start, close_unclosed, write_start
from pipeline.shard.job import Job
from pipeline.shard.open_guides import open_guides, pin_pictures
from pipeline.shard.open_onnx import pin_onnx
from pipeline.storage import Store, drop_half_written
from pipeline.storage.lease import Lease, hold_lease

# To write the gallery, a run reads the rows of all images of the output, and its memory and time should not
# grow with an archive; in a bucket, thumbnails cost two more requests per image. With more files, the user
# must ask for the gallery.
MOST_FOR_A_GALLERY = 10_000


def run(
    request: ColorizeRequest, source: Store, out: Store, run_id: str, date: str, called: float
) -> Outcome:
    """Colour everything under the input that is not in the ledger yet.

    In steps, for N source objects in n shards:
      1. read the weights, and check what `run.checks.check` has not checked;
      2. plan: list N objects, check their guides, subtract what the ledger has, cut the rest into n shards;
      3. take the lease of the output, and plan again if another run held it meanwhile;
      4. work: n shards through the Ray chain, each committed by its ledger part;
      5. close: summary, contact sheet, the exit status.

    Returns 0: every object is done; 3: finished, and the ledger has failed images; 4: more of this run's
    images failed than `run.max_failed` allows. Raises FiatColorError with the exit status of its class;
    committed work stays.

    Args:
        date: of the results, YYYY-MM-DD.
        called: when the command began, seconds since 1970.
    """
    started = time.time()
    config, opened = _pinned(request.config)
    open_signer(config.output.c2pa)  # only a check: a key that cannot sign ends the job before any work
    config = pin_pictures(config, opened.guides)
    work_digest = job_digest(config, opened.digest)
    guides = open_guides(source, config, out)
    job = Job(config, source.uri, out.uri, run_id, work_digest, opened.digest, date, opened.card)
    _say_config(request, job.config)

    def planned() -> Plan:
        workers = config.run.workers or cores()
        return make_plan(source, out, config, work_digest, workers=workers, guides=guides)

    plan = planned()
    _say_plan(request, job, plan)
    if request.dry_run:
        return _dry_run(job, plan)
    if not plan.shards:
        return _nothing_to_do(job, plan, source, out)
    out.check_writable()
    with hold_lease(out, LEASE, what=f"run {run_id}", wait=60 * config.run.wait_minutes) as lease:
        if lease.follows_another_since(called):  # do not repeat what that run has done
            before, plan = plan, planned()
            _say_plan(request, job, plan, before)
        if not plan.shards:
            return _nothing_left(plan)
        if lease.follows_a_death:
            drop_half_written(out)
        write_plan(out, job.run_id, plan)
        out.put(config_key(job.run_id), effective_yaml(config).encode(), "application/yaml")
        return _work(job, plan, source, out, lease, (called, started))


def _say_plan(request: ColorizeRequest, job: Job, plan: Plan, before: Plan | None = None) -> None:
    """Print the plan, unless the plan `before` was printed already and says the same."""
    source, out, digests = request.input, request.output, (job.job_digest, job.weights_digest)

    def text_of(one: Plan) -> str:
        return plan_text(source, out, job.config, one, job.job_digest, job.model)

    text = text_of(plan)
    if before is not None and (text, plan.warnings) == (text_of(before), before.warnings):
        return
    for warning in plan.warnings:
        log.say("warning", warning, level="warning", text=f"warning: {warning}")
    shards = counted(len(plan.shards), "shard")
    message = f"{plan.todo_items:,} of {counted(plan.items_listed, 'file')} to do, in {shards}"
    log.say("plan", message, text=text, **plan_fields(source, out, plan, *digests, job.model))


def _say_config(request: ColorizeRequest, config: JobConfig) -> None:
    if request.dry_run and request.show_config:
        text = f"The effective configuration:\n{effective_yaml(config)}"
        fields = config.model_dump(mode="json")
        log.say("configuration", "the effective configuration", text=text, configuration=fields)


def _dry_run(job: Job, plan: Plan) -> Outcome:
    text = estimate_text(_with_plan(job, plan), plan)
    log.say("estimate", " ".join(text.split()), text=text)
    text = "Dry run: nothing was written. (Add --show-config to print the configuration.)"
    log.say("dry_run", "dry run: nothing was written", text=text)
    return Outcome(EXIT_DONE, "dry run")


def _with_plan(job: Job, plan: Plan) -> Job:
    """Add to the job what workers must know about the plan, and whether to write a gallery."""
    report = job.config.report
    if report.gallery is None:
        report = report.model_copy(update={"gallery": plan.items_listed <= MOST_FOR_A_GALLERY})
    config = job.config.model_copy(update={"report": report})
    return replace(job, config=config, has_finished=plan.second_files > 0)


def _work(
    job: Job, plan: Plan, source: Store, out: Store, lease: Lease, begun: tuple[float, float]
) -> Outcome:
    planned = time.time()
    tally, observer = RunTally(job.config.report.sample), None
    try:
        with open_engine(job.config, plan) as engine:
            stop_on_signals()
            layout = engine.layout
            job = replace(_with_plan(job, plan), threads=layout.threads, after=plan.ledger_until)
            began = ended = float("inf")
            _say_start(job, layout)
            start = Start(job_digest=job.job_digest, layout=layout, begun=begun, planned=planned)
            write_start(out, job.run_id, start)
            with Observer(job, plan, tally, engine.registry, engine.telemetry(job, plan)) as observer:
                for result in engine.results(job, plan):
                    lease.check()
                    began, ended = min(began, result.attempt.started_at), time.time()
                    observer.committed(result)
            resources = engine.occupied()
    except KeyboardInterrupt:
        raise _interrupted(job, plan, out, observer) from None
    finally:
        if observer is not None and observer.attempts:  # a worker died, perhaps while writing a file
            drop_half_written(out)
    # Workers start before the first one takes a shard; their clocks may differ from this machine's.
    began = min(max(began, planned), ended)
    clock = Clock(*begun, planned, began, ended)
    summary = close_run(job, plan, layout, tally, clock, resources, source, out)
    return Outcome(summary.exit_status, headline(summary), summary)


def _interrupted(job: Job, plan: Plan, out: Store, observer: Observer | None) -> FiatColorError:
    """Count what the ledger has, because a shard may still be committed while the workers stop."""
    counts, present = plan.shards.image_counts(), set(list_parts(out, job.job_digest))
    done = {shard for shard in counts if part_key(job.job_digest, shard) in present}
    begun = {} if observer is None else observer.uncommitted
    uncommitted = sum(images for shard, images in begun.items() if shard not in done)
    more = f" ({uncommitted:,} more are not committed and will be coloured again)" if uncommitted else ""
    of_all = f"{sum(counts[shard] for shard in done):,} of {counted(plan.todo_items, 'image')}{more}"
    return FiatColorError(f"interrupted after {of_all}; run the same command again to continue")


def _say_start(job: Job, layout: Layout) -> None:
    by = "on Ray" if layout.engine == "ray" else "in processes on this machine"
    message = f"run {job.run_id}: {layout.topology}, {counted(layout.workers, 'worker')} {by}"
    fields = {name: getattr(layout, name) for name in ("engine", "topology", "workers", "precision")}
    log.say("start", message, **fields)


def _pinned(config: JobConfig) -> tuple[JobConfig, OpenedWeights]:
    """Replace `registry:` weights with the file they currently stand for, because workers, config.yaml and
    ledger must all mean the same bytes, even if another champion is promoted meanwhile. The weights also
    state their method, so a champion of another method needs no other command; a method that the user names
    must match.

    Promoting a champion does not mean that a whole archive should be coloured again the next night: with
    registry weights, results of earlier champions stay unless `plan.recolor` says otherwise."""
    model, plan = config.model, config.plan
    if plan.recolor is None:
        champions = (model.weights or "").startswith(SCHEME)
        plan = plan.model_copy(update={"recolor": "changed-settings" if champions else "changed-model"})
    weights = pin_weights(model.weights, config.storage)
    method = stated_method(config)
    opened = open_weights(method, weights, storage=config.storage, contract=model.contract)
    model = model.model_copy(update={"weights": weights, "method": opened.method})
    if opened.onnx is not None:
        model = pin_onnx(model, opened.onnx)
    if config.report.doubt and opened.method not in SOLVERS:  # report a damaged calibration before any work
        find_calibration(location(opened.method, weights), opened.digest, config.storage)
    return config.model_copy(update={"model": model, "plan": plan}), opened


def _nothing_to_do(job: Job, plan: Plan, source: Store, out: Store) -> Outcome:
    """Close an earlier unclosed run if there is one; else report that there is nothing to do."""
    if plan.items_listed and (summary := close_unclosed(_with_plan(job, plan), plan, source, out)):
        return Outcome(summary.exit_status, headline(summary), summary)
    return _nothing_left(plan)


def _nothing_left(plan: Plan) -> Outcome:
    """Report failures of earlier runs, too, for a scheduler that sees only this run."""
    if plan.items_listed == 0:
        return nothing_there()
    failed = plan.done.get(Status.FAILED, 0)
    files = all_are(sum(plan.done.values()), "file")
    message = f"Nothing to do: {files} in the ledger{failed_text(plan)}."
    status = EXIT_FAILED_IMAGES if failed else EXIT_DONE
    log.say("summary", message, exit_status=status)
    return Outcome(status, message)
