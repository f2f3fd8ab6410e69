"""What ``allaprima explain`` found, for people and for machines."""

from typing import Any

from allaprima.realtime.explain import WAITING, Bound, Measured, Trial, Verdict
from allaprima.realtime.machine import cores

PRICE = {
    "preset": "a larger file",
    "codec": "a larger file",
    "steadiness": "every frame is painted anew, so the paint flickers",
    "size": "a smaller picture",
}
"""What a change costs, by its flag."""
DISTURBED = 0.1
"""Share of the processors that others may take without being mentioned."""


def as_json(verdict: Verdict) -> dict[str, Any]:
    """All figures, by names that stay."""
    measured, bound = verdict.measured, verdict.bound
    return {
        "ok": True,
        "input": measured.source,
        "size": list(measured.size),
        "live": measured.live,
        "source_fps": measured.rate,
        "frames": measured.frames,
        "seconds": round(measured.seconds, 3),
        "fps": round(measured.fps, 2),
        "dropped": measured.dropped,
        "cores": cores(),
        "cores_busy": round(measured.cores_busy, 2),
        "cores_busy_others": round(measured.others_busy, 2),
        "stages": [{"name": s.name, "thread": s.thread, "ms": round(s.ms, 3)} for s in measured.stages],
        "threads": [{"name": t.name, "ms": round(t.ms, 3), "busy": round(t.busy, 3)} for t in measured.threads],
        "bound": {"kind": bound.kind, "thread": bound.thread or None, "stage": bound.stage or None},
        "most_fps_without_it": None if bound.without is None else round(bound.without, 1),
        "effort": {"step": measured.effort, "name": measured.effort_name},
        "decode_alone_ms": None if verdict.decode_alone is None else round(verdict.decode_alone, 3),
        "tried": [
            {
                "flags": t.flags,
                "fps": round(t.fps, 2),
                "stage_ms": t.ms and round(t.ms, 3),
                "size": list(t.size),
                "effort": t.effort,
            }
            for t in verdict.trials
        ],
        "use": verdict.best.flags if verdict.best else None,
        "says": sentence(verdict),
    }


def sentence(verdict: Verdict) -> str:
    """The verdict in one line."""
    measured, bound = verdict.measured, verdict.bound
    if bound.kind == "source":
        rate = f"{measured.rate:g}" if measured.rate else f"{measured.fps:.1f}"
        return f"bound by the source: it gives {rate} fps and all of them are painted; there is nothing to gain"
    what = f"{measured.ms(bound.stage):.1f} ms of {1000 / measured.fps:.1f}"
    says = f"bound by {bound.stage}: {what}" if bound.kind == "thread" else (
        f"bound by the processors, which are all busy; most goes into {bound.stage}: {what}"
    )  # fmt: skip
    if (best := verdict.best) is not None:
        now = f"{best.fps:.1f} fps" + (f", {bound.stage} {best.ms:.1f} ms" if best.ms is not None else "")
        return f"{says}; use {best.flags} (measured: {now})"
    return f"{says}; nothing that was tried helps" if verdict.trials else says


def text(verdict: Verdict) -> str:
    """The verdict on one screen."""
    measured, bound = verdict.measured, verdict.bound
    width, height = measured.size
    times = f", {measured.fps / measured.rate:.2f} x real time" if measured.rate and not measured.live else ""
    lines = [
        f"{measured.source}  {width}x{height}: {measured.fps:.1f} fps{times} "
        f"({measured.frames} frames in {measured.seconds:.1f} s)",
        "",
        f"  {'stage':10}{'ms':>8}  of a frame  thread",
    ]
    frame = 1000 / measured.fps
    for stage in measured.stages:
        waits = "  (waiting included)" if measured.live and stage.name == WAITING else ""
        mark = "  <- slowest" if stage.name == bound.stage else ""
        lines.append(f"  {stage.name:10}{stage.ms:8.1f}{stage.ms / frame:10.0%}    {stage.thread}{waits}{mark}")
    lines += ["", f"  {'thread':10}{'ms':>8}        busy"]
    for thread in measured.threads:
        mark = "    <- the others wait for it" if bound.kind == "thread" and thread.name == bound.thread else ""
        lines.append(f"  {thread.name:10}{thread.ms:8.1f}{thread.busy:12.0%}{mark}")
    lines += [f"  {'processors':10}{measured.cores_busy:8.1f} of {cores()} busy"]
    if measured.others_busy > DISTURBED * cores():
        lines.append(f"  other programs keep {measured.others_busy:.1f} of them busy: measure again without these")
    if measured.effort:
        lines.append(f"  the frame rate is held with less effort: step {measured.effort}, {measured.effort_name}")
    lines += ["", sentence(verdict)]
    if bound.without is not None:
        lines.append(f"  {_most(measured, bound)}")
    if verdict.decode_alone is not None:
        alone = f"decoding alone takes {verdict.decode_alone:.1f} ms a frame"
        lines.append(f"  {alone}: an input in H.264, 8 bit, of the size that is painted decodes quickest")
    for trial in verdict.trials:
        gain = trial.fps / measured.fps - 1
        spent = "" if trial.ms is None else f", {bound.stage} {trial.ms:.1f} ms"
        spent += f", effort step {trial.effort}" if measured.effort else ""
        lines.append(f"  tried {trial.flags:24} {trial.fps:6.1f} fps ({gain:+.0%}){spent}; {_price(trial)}")
    return "\n".join(lines)


def _price(trial: Trial) -> str:
    return PRICE.get(trial.flags.split()[0].removeprefix("--"), "a change of the picture")


def _most(measured: Measured, bound: Bound) -> str:
    """What could be had at the most, after Amdahl: the other threads, and the processors, stay as they are."""
    by_cores = measured.fps * max(cores() - measured.others_busy, measured.cores_busy) / max(measured.cores_busy, 1e-9)
    after = f"the rest of {bound.after}" if bound.after == bound.thread else bound.after
    said = f"at the most {bound.without:.1f} fps if {bound.stage} took no time: then {after} would bound it"
    if bound.without is not None and by_cores < bound.without:
        said += f"; with the work as it is the {cores()} processors are full at {by_cores:.1f} fps"
    return said
