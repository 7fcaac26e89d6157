"""What `lota ticket convert --to` writes, read by the programs it is for: peft, if it is there, and TRL's layout read by hand.

Run with LOTA set to the program, as test_ticket.py.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import numpy as np
import safetensors

import lota_ticket

LOTA = os.path.abspath(os.environ["LOTA"])
MAKE = """
local lota = require "lota"
local m = lota.model.builtin()
m:save("base", {dtype = "f32"})
local base = m:fingerprint()
local masks = {
  even = lota.mask.random(m, {density = 0.02, seed = 1, params = "adaptable"}),
  uneven = lota.mask.random(m, {density = 0.2, seed = 2, params = "*.q_proj.weight"})
    | lota.mask.random(m, {count = 3, seed = 3, params = "*.down_proj.weight"}),
  everywhere = lota.mask.random(m, {density = 0.0001, seed = 4}),
}
for i, p in ipairs(m:params()) do
  m:set_param(p.name, m:param(p.name):add(lota.randn(p.shape, {rng = lota.rng(i)}):mul(0.01)))
end
for name, mask in pairs(masks) do
  lota.ticket.new(m, mask, {base = base, method = "test", seed = 7}):save(name)
end
"""


def lota(*args):
    done = subprocess.run([LOTA, *args], cwd=FOLDER, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise AssertionError(f"lota {args}: {done.stdout}{done.stderr}")
    return done.stdout, done.stderr


def setUpModule():
    global FOLDER
    FOLDER = Path(tempfile.mkdtemp())
    (FOLDER / "make.lua").write_text(MAKE)
    lota("run", "make.lua")


def tearDownModule():
    shutil.rmtree(FOLDER)


class Peft(unittest.TestCase):
    def test_peft_makes_the_model_of_the_ticket(self):
        try:
            import torch
            from peft import PeftModel
            from transformers import AutoModelForCausalLM
        except ImportError:
            self.skipTest("peft is not here")
        for name in ["even", "uneven"]:
            ticket = lota_ticket.load(FOLDER / name)
            for kind in ["shira", "supertuning"]:
                _, notes = lota("ticket", "convert", name, f"{name}-{kind}", "--to", kind, "--base", "base")
                self.assertIn("peft adds differences to the base", notes)
                model = AutoModelForCausalLM.from_pretrained(FOLDER / "base", dtype=torch.float32)
                ids = torch.tensor([[3, 50, 7, 200]])
                plain = model(ids).logits
                adapted = PeftModel.from_pretrained(model, FOLDER / f"{name}-{kind}")
                forward = adapted(ids).logits
                state = adapted.merge_and_unload().state_dict()
                expected = lota_ticket.read_model(FOLDER / "base")
                ticket.apply(expected)
                for param in ticket.universe:
                    error = np.abs(state[param.name].numpy() - expected[param.name]).max()
                    self.assertLessEqual(error, 1e-6, (name, kind, param.name))
                whole = AutoModelForCausalLM.from_pretrained(FOLDER / "base", dtype=torch.float32)
                ticket.apply(whole.state_dict())
                self.assertGreater((forward - plain).abs().max(), 1e-3)
                self.assertTrue(torch.allclose(forward, whole(ids).logits, atol=1e-4), (name, kind))


class Trl(unittest.TestCase):
    def test_patches_and_arrays_hold_the_values_in_their_places(self):
        for name in ["even", "uneven", "everywhere"]:
            ticket = lota_ticket.load(FOLDER / name)
            for kind, values in [("trl", "bf16"), ("vllm", "f32"), ("vllm", "bf16")]:
                lota("ticket", "convert", name, "out", "--to", kind, "--values", values, "--replace")
                data = (FOLDER / "out").read_bytes()
                with safetensors.safe_open(FOLDER / "out", "np") as file:
                    about = file.metadata()
                tensors = dict(safetensors.deserialize(data))
                self.assertEqual(about["format"], "sparse_weight_patch")
                self.assertEqual(about["total_changed_elements"], str(len(ticket)))
                self.assertEqual(set(tensors), {f"{p}.{end}" for p in ticket.entries for end in ("idx", "val")})
                for param, index in ticket.entries.items():
                    idx = tensors[f"{param}.idx"]
                    places = np.frombuffer(idx["data"], {"I32": "<i4", "U16": "<u2", "U32": "<u4"}[idx["dtype"]])
                    if about["encoding"] == "gap_delta":
                        self.assertEqual(idx["dtype"] == "U32", bool((np.diff(index.astype(int), prepend=-1) - 1 > 65535).any()))
                        places = np.cumsum(places.astype(np.int64) + 1) - 1
                    self.assertTrue(np.array_equal(places, index), (name, kind, param))
                    val = tensors[f"{param}.val"]
                    exact = ticket.values[param]
                    if val["dtype"] == "BF16":
                        got = (np.frombuffer(val["data"], "<u2").astype(np.uint32) << 16).view(np.float32)
                        self.assertTrue((np.abs(got - exact) <= np.abs(exact) / 256).all())
                    else:
                        self.assertTrue(np.array_equal(np.frombuffer(val["data"], "<f4"), exact))
                self.assertEqual(kind == "vllm", "shapes" in about)
                if kind == "vllm":
                    shapes = {p.name: list(p.shape) for p in ticket.universe if p.name in ticket.entries}
                    self.assertEqual(json.loads(about["shapes"]), shapes)


if __name__ == "__main__":
    unittest.main()
