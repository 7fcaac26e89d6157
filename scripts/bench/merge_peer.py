#!/usr/bin/env python3
"""The same merges by lota and by mergekit, in turn, in one run; ratios of their times and of their peaks of memory.

What: a model (as `lota model convert` writes it) and three variants of it that differ in 60 % of their entries, merged by
each method from one mergekit configuration. Both read the same files and write f32 safetensors; processes of the two alternate,
and the ratio is the median over the pairs. The results are compared entry by entry.

    python3 scripts/bench/merge_peer.py --model MODEL [--mergekit mergekit-yaml] [--pairs 3] [--methods ties,linear]

Needs numpy and safetensors in the Python that runs it, and mergekit's `mergekit-yaml`; says so where they are missing.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
WEIGHTS = [("ft1", 0.5), ("ft2", 0.3), ("ft3", 0.2)]


def config(method):
    density = ", density: 0.5" if method in ("ties", "dare_ties", "dare_linear") else ""
    models = "\n".join(f"- {{model: {m}, parameters: {{weight: {w}{density}}}}}" for m, w in WEIGHTS)
    base = "" if method == "linear" else "base_model: base\n"
    return f"merge_method: {method}\n{base}models:\n{models}\ndtype: float32\n"


def variants(folder):
    import numpy
    from safetensors.numpy import load_file, save_file

    base = load_file(folder / "base/model.safetensors")
    for i, (name, _) in enumerate(WEIGHTS):
        rng = numpy.random.default_rng(i + 1)
        moved = {}
        for key, value in base.items():
            step = rng.standard_normal(value.shape, dtype=numpy.float32) * numpy.float32(1e-3)
            moved[key] = value + step * (rng.random(value.shape, dtype=numpy.float32) < 0.6)
        (folder / name).mkdir()
        shutil.copy(folder / "base/config.json", folder / name)
        save_file(moved, folder / name / "model.safetensors", metadata={"format": "pt"})


def timed(command, folder, out):
    shutil.rmtree(folder / out, ignore_errors=True)
    start = time.time()
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    process = subprocess.Popen(command, cwd=folder, env=offline, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{command[0]} failed:\n{errors.decode()[-2000:]}")
    return time.time() - start, usage.ru_maxrss // 1024


def difference(folder):
    import numpy
    from safetensors.numpy import load_file

    def all_of(name):
        found = {}
        for path in sorted((folder / name).glob("*.safetensors")):
            found.update(load_file(path))
        return found

    ours, theirs = all_of("ours"), all_of("theirs")
    shared = ours.keys() & theirs.keys()
    apart = [numpy.abs(ours[k] - theirs[k]) for k in shared]
    print(f"{max(float(a.max()) for a in apart):.1e}; {sum(int((a > 1e-6).sum()) for a in apart)}")


def work(what, folder):
    """Does it in a process of its own: the peak that the system counts for a child begins at its parent's size."""
    command = [sys.executable, __file__, "--work", what, folder]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--lota", default=str(HERE.parent.parent / "target/release/lota"))
    parser.add_argument("--mergekit", default="mergekit-yaml")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--methods", default="ties,linear,task_arithmetic")
    args = parser.parse_args()
    if args.work:
        what, folder = args.work
        return {"variants": variants, "difference": difference}[what](Path(folder))
    if not args.model:
        parser.error("--model is needed")
    if not shutil.which(args.mergekit):
        sys.exit(f"skipped: there is no {args.mergekit} (pip install mergekit==0.1.5)")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        convert = [args.lota, "model", "convert", args.model, folder / "base", "--dtype", "f32"]
        subprocess.run(convert, check=True, stdout=subprocess.DEVNULL)
        work("variants", folder)
        print(f"{'':<18} {'lota, s':>8} {'mergekit':>9} {'ratio':>7} {'MiB':>6} {'mergekit':>9} {'memory':>7}  apart, most; entries > 1e-6")
        for method in args.methods.split(","):
            (folder / "config.yml").write_text(config(method))
            rows = []
            for _ in range(args.pairs):
                ours = timed([args.lota, "merge", "config.yml", "ours", "--quiet"], folder, "ours")
                theirs = timed([args.mergekit, "config.yml", "theirs", "--no-write-model-card"], folder, "theirs")
                rows.append((ours, theirs))
            middle = lambda pick: statistics.median(pick(row) for row in rows)
            apart = work("difference", folder)
            print(
                f"{method:<18} {middle(lambda r: r[0][0]):8.2f} {middle(lambda r: r[1][0]):9.2f}"
                f" {middle(lambda r: r[1][0] / r[0][0]):6.1f}x {middle(lambda r: r[0][1]):6} {middle(lambda r: r[1][1]):9}"
                f" {middle(lambda r: r[0][1] / r[1][1]):7.2f}  {apart}",
                flush=True,
            )


if __name__ == "__main__":
    main()
