#!/usr/bin/env python3
"""The same work by lota and by PyTorch, in turn, in one run; ratios of their times and of their peaks of memory.

What: training steps on SmolLM2-135M (or any model that `lota model convert` writes), the published way of LoTA in PyTorch
(every gradient is computed, the frozen entries' are zeroed, RMSprop is dense), full fine-tuning, LoRA factors beside peft's, LoTA
beside peft's LoRA and SHiRA; greedy generation; the choice of the largest scores. Both see the same token ids, and their losses are compared.

How each is measured: a process of its own, one step that is not counted and then some that are; processes of both sides
alternate, and the ratio is the median over the pairs. Memory is the peak of the whole process, as the system counted it.

    python3 scripts/bench/peer.py --model MODEL [--only step,generate,select] [--match "bf16: full|f32: LoTA"] [--pairs 3] [--steps 3] [--out FILE.json]

Needs torch and transformers (and peft for LoRA and SHiRA); says what it leaves out. MODEL is what `lota --model` takes: it is
written as a folder of f32 safetensors first, which both sides then load.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ADAPTABLE = (".self_attn.", ".mlp.")


# ----------------------------------------------------------------------------------------------------------------------
# PyTorch's side: one measurement in this process


def peak_mib():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def torch_model(args, torch):
    from transformers import AutoModelForCausalLM

    dtype = torch.bfloat16 if args.dtype == "bf16" else torch.float32
    return AutoModelForCausalLM.from_pretrained(args.folder, dtype=dtype, attn_implementation="sdpa")


def torch_step(args):
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(args.threads)
    model = torch_model(args, torch)
    model.train()
    model.config.use_cache = False
    if args.checkpoint == "block":
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    masks, parameters = {}, list(model.parameters())
    if args.what == "masked":
        generator = torch.Generator().manual_seed(1)
        for name, p in model.named_parameters():
            if p.dim() == 2 and any(part in name for part in ADAPTABLE):
                masks[name] = torch.rand(p.shape, generator=generator) < args.density
            else:
                # Frozen here; the published code computes their gradients all the same.
                masks[name] = torch.zeros(p.shape, dtype=torch.bool)
    elif args.what in ("lora", "shira"):
        import peft

        targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
        if args.what == "lora":
            config = peft.LoraConfig(r=args.rank, lora_alpha=args.rank, target_modules=targets)
        else:
            config = peft.ShiraConfig(r=args.rank, target_modules=targets)
        model = peft.get_peft_model(model, config)
        parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.RMSprop(parameters, lr=1e-5, alpha=0.99, eps=1e-8)
    batches = load_file(args.batch)
    ids, labels = batches["input_ids"], batches["labels"]
    attention = batches.get("attention_mask")
    if ids.dim() == 2:
        ids, labels = ids[None], labels[None]
        attention = None if attention is None else attention[None]
    seconds, losses = [], []
    for i in range(args.steps + 1):
        at = i % ids.shape[0]
        start = time.perf_counter()
        loss = model(
            input_ids=ids[at],
            labels=labels[at],
            attention_mask=None if attention is None else attention[at],
        ).loss
        loss.backward()
        if masks:
            for name, p in model.named_parameters():
                p.grad.mul_(masks[name])
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        if i > 0:
            seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds), "losses": losses, "peak_mib": peak_mib()}


def torch_generate(args):
    import torch

    torch.set_num_threads(args.threads)
    model = torch_model(args, torch).eval()
    generator = torch.Generator().manual_seed(3)
    prompt = torch.randint(0, model.config.vocab_size, (args.sequences, 16), generator=generator)
    seconds = []
    with torch.inference_mode():
        for i in range(args.steps + 1):
            start = time.perf_counter()
            out = model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=args.tokens,
                min_new_tokens=args.tokens,
                do_sample=False,
                pad_token_id=0,
            )
            if i > 0:
                seconds.append(time.perf_counter() - start)
    count = out.shape[0] * (out.shape[1] - 16)
    return {"seconds": statistics.median(seconds), "tokens": count, "peak_mib": peak_mib()}


def torch_select(args):
    """The published way: all scores in one tensor, and the k-th largest by torch.topk; or numpy's partition."""
    import numpy

    scores = scores_of(args)
    k = round(len(scores) * args.density)
    seconds = []
    if args.what == "topk":
        import torch

        torch.set_num_threads(args.threads)
        tensor = torch.from_numpy(scores)
        run = lambda: tensor >= torch.topk(tensor.abs(), k).values.min()
    else:
        run = lambda: numpy.abs(scores) >= numpy.partition(numpy.abs(scores), len(scores) - k)[len(scores) - k]
    for i in range(args.steps + 1):
        start = time.perf_counter()
        run()
        if i > 0:
            seconds.append(time.perf_counter() - start)
    return {"seconds": statistics.median(seconds), "peak_mib": peak_mib()}


def scores_of(args):
    import numpy
    from safetensors.numpy import load_file

    return numpy.concatenate([t.ravel() for t in load_file(args.scores).values()])


def worker(args):
    run = {"step": torch_step, "generate": torch_generate, "select": torch_select}[args.worker]
    print(json.dumps(run(args)), flush=True)


# ----------------------------------------------------------------------------------------------------------------------
# Both sides in turn


def finished(command, threads):
    """Runs a process; its JSON line, with the peak of memory that the system counted."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads), MKL_NUM_THREADS=str(threads), HF_HUB_OFFLINE="1")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True)
    out, err = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{err[-2000:]}")
    return json.loads(out.strip().splitlines()[-1])


def compare(name, ours, theirs, args, results):
    pairs = []
    for _ in range(args.pairs):
        pairs.append((finished(ours, args.threads), finished(theirs, args.threads)))
    first, second = pairs[-1]
    row = {
        "what": name,
        "ours_s": statistics.median(a["seconds"] for a, _ in pairs),
        "theirs_s": statistics.median(b["seconds"] for _, b in pairs),
        "ratio": statistics.median(b["seconds"] / a["seconds"] for a, b in pairs),
        "ours_mib": max(a["peak_mib"] for a, _ in pairs),
        "theirs_mib": max(b["peak_mib"] for _, b in pairs),
    }
    row["memory"] = row["ours_mib"] / row["theirs_mib"]
    if "losses" in first and "losses" in second:
        row["loss_difference"] = abs(first["losses"][0] - second["losses"][0])
    results.append(row)
    text = f"{name:<52} {row['ours_s']:8.3f} {row['theirs_s']:8.3f} {row['ratio']:7.2f}x"
    text += f" {row['ours_mib']:7} {row['theirs_mib']:7} {row['memory']:6.2f}"
    if "loss_difference" in row:
        text += f"  {row['loss_difference']:.1e}"
    print(text, flush=True)


def synthetic(path, vocab, sequences, tokens):
    """A batch in which every token is a target."""
    import numpy
    from safetensors.numpy import save_file

    ids = numpy.random.default_rng(2).integers(0, vocab, (sequences, tokens), dtype=numpy.int64)
    save_file({"input_ids": ids, "labels": ids, "attention_mask": numpy.ones_like(ids)}, path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--lota", default=str(HERE.parent.parent / "target/release/lota"))
    parser.add_argument("--only", default="step,generate,select")
    parser.add_argument("--match", default="", help="only comparisons whose name contains one of these (a|b; $ is the end of a name)")
    parser.add_argument("--real", help="a safetensors file of real padded batches, to compare on too")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    for name, default in [("what", "full"), ("folder", ""), ("batch", ""), ("dtype", "f32"), ("checkpoint", "none")]:
        parser.add_argument(f"--{name}", default=default, help=argparse.SUPPRESS)
    parser.add_argument("--scores", help=argparse.SUPPRESS)
    parser.add_argument("--density", type=float, default=0.01, help=argparse.SUPPRESS)
    for name, default in [("rank", 64), ("sequences", 1), ("tokens", 128)]:
        parser.add_argument(f"--{name}", type=int, default=default, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return worker(args)
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as missing:
        sys.exit(f"skipped: {missing} (pip install torch transformers peft)")
    if not args.model:
        parser.error("--model is needed")

    only, results = args.only.split(","), []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        subprocess.run([args.lota, "model", "convert", args.model, folder, "--dtype", "f32"], check=True)
        vocab = json.loads((folder / "config.json").read_text())["vocab_size"]
        print(f"{'':<52} {'ours, s':>8} {'theirs':>8} {'ratio':>8} {'MiB':>7} {'theirs':>7} {'memory':>6}  loss differs")

        def pair(name, ours, theirs):
            if not any(part in name + "$" for part in args.match.split("|")):
                return
            ours = [args.lota, "bench", *ours, "--json", "--threads", str(args.threads)]
            theirs = [sys.executable, __file__, *theirs, "--threads", str(args.threads)]
            try:
                compare(name, ours, theirs, args, results)
            except RuntimeError as failed:
                print(f"{name:<52} left out: {str(failed).strip().splitlines()[-1]}", flush=True)

        if "step" in only:
            batches = []
            for sequences, tokens in [(4, 256), (2, 512)]:
                path = Path(scratch) / f"{sequences}x{tokens}.safetensors"
                synthetic(path, vocab, sequences, tokens)
                batches.append((f"{sequences} x {tokens}", path))
            if args.real:
                batches.append(("real batches", Path(args.real)))
            for shape, path in batches:
                for dtype in ["f32", "bf16"]:
                    for what, density, checkpoint in [
                        ("masked", "0.01", "none"),
                        ("masked", "0.01", "block"),
                        ("masked", "0.1", "none"),
                        ("full", "full", "none"),
                        ("factors", "0.01", "none"),
                        ("lora", "0.01", "none"),
                        ("shira", "0.01", "none"),
                    ]:
                        kind = {"full": "full", "factors": "LoRA r64, both"}.get(what, f"LoTA {density}")
                        title = f"step {shape} {dtype}: {kind}"
                        title += " recompute" if checkpoint == "block" else ""
                        title += {"masked": "", "full": "", "factors": ""}.get(what, f" against {what} r{64 if what == 'lora' else 35}")
                        ours = ["step", folder, "--batch", path, "--dtype", dtype, "--compute", dtype]
                        ours += ["--lora", "64"] if what == "factors" else ["--density", density]
                        ours += ["--checkpoint", checkpoint, "--steps", str(args.steps)]
                        theirs = ["--worker", "step", "--folder", folder, "--batch", path]
                        theirs += ["--what", "lora" if what == "factors" else what]
                        theirs += ["--dtype", dtype, "--steps", str(args.steps)]
                        theirs += ["--rank", "35" if what == "shira" else "64"]
                        theirs += ["--density", density] if what == "masked" else []
                        pair(title, ours, theirs)
        if "generate" in only:
            for sequences in [1, 8]:
                for dtype in ["f32", "bf16"]:
                    ours = ["generate", folder, "--dtype", dtype, "--sequences", str(sequences), "--runs", str(args.steps)]
                    theirs = ["--worker", "generate", "--folder", folder, "--dtype", dtype]
                    theirs += ["--sequences", str(sequences), "--steps", str(args.steps)]
                    pair(f"generate {sequences} x 128 tokens, {dtype}", ours, theirs)
        if "select" in only:
            import numpy
            from safetensors.numpy import save_file

            scores = Path(scratch) / "scores.safetensors"
            rng = numpy.random.default_rng(1)
            save_file({f"s{i}": (rng.standard_normal((1536, 576)) * 1e-4).astype("f") for i in range(120)}, scores)
            for what in ["topk", "partition"]:
                ours = ["select", "--scores", scores, "--runs", str(args.steps)]
                theirs = ["--worker", "select", "--what", what, "--scores", scores, "--steps", str(args.steps)]
                pair(f"select 1 % of 106 M scores, against {what}", ours, theirs)
    if args.out:
        Path(args.out).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
