"""`lota_ticket` beside `lota`: the same bits applied, the same fingerprints, files that each reads of the other.

Run with LOTA set to the program: `LOTA=target/debug/lota python -m unittest discover -s bindings/python/tests`.
"""

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import numpy as np

import lota_ticket
from lota_ticket import TicketError
from lota_ticket._blake3 import blake3
from lota_ticket._model import from_bf16, to_bf16

LOTA = os.path.abspath(os.environ["LOTA"])

# A base, a model tuned from it everywhere, and tickets of each density and shape of mask.
MAKE = """
local lota = require "lota"
local m = lota.model.builtin()
m:save("base", {dtype = "f32"})
m:save("base16", {dtype = "bf16"})
local base, before = m:fingerprint(), m:snapshot()
for i, p in ipairs(m:params()) do
  local noise = lota.randn(p.shape, {rng = lota.rng(i)}):mul(0.01)
  m:set_param(p.name, m:param(p.name):add(noise))
end
m:save("tuned", {dtype = "f32"})
local masks = {
  one = lota.mask.random(m, {density = 0.01, seed = 1}),
  some = lota.mask.random(m, {density = 0.2, seed = 2, params = "adaptable"}),
  most = lota.mask.random(m, {density = 0.8, seed = 3}),
  rows = lota.mask.from_scores(m:delta(before, {params = {"*.up_proj.weight", "*norm.weight"}}):abs(), {density = 0.1, scope = "row"}),
  heavy = lota.mask.from_scores(lota.values.weights(m):abs(), {density = 0.05}),
  all = lota.mask.all(m),
}
for name, mask in pairs(masks) do
  local t = lota.ticket.new(m, mask, {base = base, method = "test", seed = 7, data = "d:1", note = "ä b"})
  m:restore(before)
  t:save(name .. ".plain-f32")
  for _, codec in ipairs {"plain", "compact"} do
    for _, values in ipairs {"f32", "bf16", "int8", "ternary"} do
      t:save(name .. "." .. codec .. "-" .. values, {codec = codec, values = values})
    end
  end
  t:save(name .. ".compact-int8-base", {codec = "compact", values = "int8", base = m})
  t:save(name .. ".plain-ternary-base", {values = "ternary", base = m})
  t:apply(m)
  m:restore(before)
  for i, p in ipairs(m:params()) do
    local noise = lota.randn(p.shape, {rng = lota.rng(i)}):mul(0.01)
    m:set_param(p.name, m:param(p.name):add(noise))
  end
end
"""


def lota(*args, fails=False):
    done = subprocess.run([LOTA, "--quiet", *args], cwd=FOLDER, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if (done.returncode != 0) != fails:
        raise AssertionError(f"lota {args}: {done.stdout}{done.stderr}")
    return done.stderr if fails else done.stdout


def setUpModule():
    global FOLDER
    FOLDER = Path(tempfile.mkdtemp())
    (FOLDER / "make.lua").write_text(MAKE)
    lota("run", "make.lua")


def tearDownModule():
    shutil.rmtree(FOLDER)


def files():
    return sorted(path for path in FOLDER.iterdir() if path.is_file() and path.suffix != ".lua" and "." in path.name)


def bits(state):
    return {name: np.ascontiguousarray(array).view(np.uint32) for name, array in state.items()}


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


class Reading(unittest.TestCase):
    def test_every_form_is_applied_to_the_same_bits_and_taken_off_again(self):
        base = lota_ticket.read_model(FOLDER / "base")
        before = bits({name: array.copy() for name, array in base.items()})
        # Every form of two masks, and of the others those that differ most.
        forms = ("some.", "rows.", ".plain-f32", ".compact-ternary", ".compact-int8-base")
        seen = [path for path in files() if path.name.startswith(forms[:2]) or path.name.endswith(forms[2:])]
        self.assertEqual(len(seen), 2 * 10 + 4 * 3)
        for path in seen:
            lota("ticket", "apply", "base", path.name, "out", "--replace")
            expected = bits(lota_ticket.read_model(FOLDER / "out"))
            ticket = lota_ticket.load(path, base=base if path.name.endswith("-base") else None)
            self.assertEqual((ticket.method, ticket.seed, ticket.data), ("test", 7, "d:1"))
            self.assertEqual(ticket.settings["note"], "ä b")
            self.assertEqual(len(ticket), json.loads(lota("ticket", "info", path.name, "--json"))["entries"])
            with ticket.apply(base):
                self.assertTrue(same(bits(base), expected), path.name)
                self.assertFalse(same(bits(base), before), path.name)
                other = lota_ticket.load(FOLDER / "one.plain-f32")
                with self.assertRaisesRegex(TicketError, "another base"):
                    other.apply(base)
                other.apply(base, any_base=True).unapply()
                self.assertTrue(same(bits(base), expected), path.name)
            self.assertTrue(same(bits(base), before), path.name)

    def test_fingerprints_and_order_are_those_of_lota(self):
        for model in ["base", "tuned", "base16"]:
            state = lota_ticket.read_model(FOLDER / model)
            order = lota_ticket.model_order(state)
            said = [line.split()[1] for line in lota("model", "info", model, "--fingerprint").splitlines() if "fingerprint" in line]
            self.assertEqual(lota_ticket.fingerprint(state, order), said[0])
            self.assertEqual(order, lota_ticket.load(FOLDER / "one.plain-f32").universe)

    def test_a_file_of_differences_takes_its_base(self):
        path = FOLDER / "some.compact-int8-base"
        with self.assertRaisesRegex(TicketError, "holds differences from its base"):
            lota_ticket.load(path)
        with self.assertRaisesRegex(TicketError, "another base"):
            lota_ticket.load(path, base=lota_ticket.read_model(FOLDER / "tuned"))

    def test_torch_tensors_of_bf16_get_the_bits_that_lota_writes(self):
        try:
            import torch
            from safetensors.torch import load_file
        except ImportError:
            self.skipTest("torch is not here")
        for name in ["most.plain-f32", "some.compact-int8"]:
            lota("ticket", "apply", "base16", name, "out16", "--any-base", "--dtype", "bf16", "--replace")
            expected = load_file(FOLDER / "out16" / "model.safetensors")
            state = load_file(FOLDER / "base16" / "model.safetensors")
            before = {name: tensor.clone() for name, tensor in state.items()}
            applied = lota_ticket.load(FOLDER / name).apply(state, any_base=True)
            same = lambda a, b: all(torch.equal(a[n].view(torch.int16), b[n].view(torch.int16)) for n in b)
            self.assertTrue(same(state, expected))
            applied.unapply()
            self.assertTrue(same(state, before))


class Writing(unittest.TestCase):
    def test_what_is_saved_is_read_by_lota_as_the_same(self):
        for values in ["f32", "bf16"]:
            for name in ["rows", "most"]:
                ticket = lota_ticket.load(FOLDER / f"{name}.plain-f32")
                size = ticket.save(FOLDER / "again", values)
                self.assertEqual(size, (FOLDER / "again").stat().st_size)
                ours, theirs = (json.loads(lota("ticket", "info", f, "--json")) for f in ["again", f"{name}.plain-{values}"])
                for key in ["entries", "method", "base", "seed", "data", "settings", "values", "index_bytes", "max_error"]:
                    self.assertEqual(ours[key], theirs[key], key)
                self.assertEqual(lota_ticket.load(FOLDER / "again").universe, ticket.universe)
                self.assertAlmostEqual(ours["relative_error"], theirs["relative_error"], places=12)
                lota("ticket", "apply", "base", "again", "a", "--replace")
                lota("ticket", "apply", "base", f"{name}.plain-{values}", "b", "--replace")
                a, b = (lota_ticket.read_model(FOLDER / folder) for folder in "ab")
                self.assertTrue(same(bits(a), bits(b)))

    def test_a_ticket_of_two_models_is_that_of_lota(self):
        base, tuned = (lota_ticket.read_model(FOLDER / model) for model in ["base", "tuned"])
        for density in [0.1, 0.0001, 1.0]:
            ours = lota_ticket.from_states(base, tuned, density)
            lota("ticket", "from", "--base", "base", "--tuned", "tuned", "--density", str(density), "--out", "from", "--replace")
            theirs = lota_ticket.load(FOLDER / "from")
            self.assertEqual((ours.universe, ours.base), (theirs.universe, theirs.base))
            self.assertTrue(same(ours.entries, theirs.entries))
            self.assertTrue(same(bits(ours.values), bits(theirs.values)))
        ours.save(FOLDER / "made")
        lota("ticket", "apply", "base", "made", "out", "--replace")

    def test_ties_are_broken_by_position(self):
        base = {"model.layers.0.mlp.up_proj.weight": np.zeros((2, 3), np.float32)}
        tuned = {"model.layers.0.mlp.up_proj.weight": np.array([[1, 2, 1], [1, 3, 1]], np.float32)}
        ticket = lota_ticket.from_states(base, tuned, 0.5)
        self.assertEqual(ticket.entries["model.layers.0.mlp.up_proj.weight"].tolist(), [0, 1, 4])


class Parts(unittest.TestCase):
    def test_blake3_gives_the_published_values(self):
        # From the test vectors of the BLAKE3 project: bytes 0, 1, … 250, 0, 1, … of these lengths.
        known = {
            0: "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
            1: "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
            1023: "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
            1024: "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
            1025: "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
            2048: "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a",
            102400: "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085",
        }
        for length, hash_ in known.items():
            data = bytes(i % 251 for i in range(length))
            self.assertEqual(blake3([data]).hex(), hash_, length)
            cut = sorted(random.Random(length).randrange(length + 1) for _ in range(3))
            parts = [data[a:b] for a, b in zip([0, *cut], [*cut, length])]
            self.assertEqual(blake3(parts).hex(), hash_, cut)

    def test_bf16_is_rounded_to_the_nearest_even(self):
        values = np.array([1.0, 1.00390625, 1.01171875, -0.0, 3.4e38, np.inf, np.nan, 1e-40], np.float32)
        back = from_bf16(to_bf16(values))
        expected = np.array([1.0, 1.0, 1.015625, -0.0, np.inf, np.inf, np.nan, 2.0**-133], np.float32)
        self.assertTrue(np.array_equal(back, expected, equal_nan=True), back)
        self.assertTrue(np.signbit(back[3]))

    def test_torch_is_not_imported(self):
        code = f"import sys; sys.path.insert(0, {sys.path[0]!r}); import lota_ticket; assert 'torch' not in sys.modules"
        subprocess.run([sys.executable, "-c", code], check=True)


class Hostile(unittest.TestCase):
    def refused(self, data):
        path = FOLDER / "hostile"
        path.write_bytes(data)
        try:
            lota_ticket.load(path)
        except TicketError:
            return True
        return False

    def test_any_flipped_bit_and_any_cut_is_refused(self):
        chance = random.Random(1)
        for path in (path for path in files() if path.name.startswith("one.")):
            data = path.read_bytes()
            for at in [*range(0, 16), *(chance.randrange(len(data)) for _ in range(8))]:
                changed = bytearray(data)
                changed[at] ^= 1 << chance.randrange(8)
                self.assertTrue(self.refused(bytes(changed)), (path.name, at))
            self.assertTrue(self.refused(data[: chance.randrange(len(data))]))
        self.assertTrue(self.refused(b""))
        self.assertTrue(self.refused(b"\xff" * 8 + b"{}"))

    def test_sealed_nonsense_is_refused(self):
        """The checksum is right, and the positions, values and metadata are changed."""
        chance = random.Random(2)
        read = 0
        for path in (path for path in files() if path.name.startswith(("one.", "heavy."))):
            data = path.read_bytes()[:-32]
            start = 8 + struct.unpack("<Q", data[:8])[0]
            for _ in range(10):
                changed = bytearray(data)
                for _ in range(chance.randrange(1, 4)):
                    changed[chance.randrange(start, len(data))] = chance.randrange(256)
                # Values may be any numbers; nothing else than a refusal may come of the rest.
                read += not self.refused(bytes(changed) + blake3([changed]))
        self.assertGreater(read, 0)


if __name__ == "__main__":
    unittest.main()
