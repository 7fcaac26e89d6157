"""How long Ctrl-C takes at the prompt: from the key to the next prompt, while a training step runs.

    python3 scripts/bench/interrupt.py                                   the built-in model
    python3 scripts/bench/interrupt.py --model SmolLM2-135M-Instruct.Q4_1.gguf --sequences 4 --tokens 256

The prompt runs on a pseudo-terminal. An endless loop of steps is started, the key is pressed after a random while, and
the time until the prompt is there again is taken; a variable that was set before must still be there at the end. Prints
the median and the longest. Needs nothing but Python's standard library; reports, and judges nothing.
"""

import argparse
import os
import pty
import random
import select
import signal
import statistics
import tempfile
import time

# The editor turns bracketed paste on when a prompt begins, and off when a line is taken.
BEGIN, TAKEN = b"\x1b[?2004h", b"\x1b[?2004l"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lota", default="target/release/lota", help="the program")
    parser.add_argument("--model", default="builtin", help="a folder, a GGUF file, or builtin")
    parser.add_argument("--sequences", type=int, default=4, help="sequences of a batch")
    parser.add_argument("--tokens", type=int, default=64, help="tokens of each")
    parser.add_argument("--params", default="adaptable", help="what is trained: adaptable or all")
    parser.add_argument("--checkpoint", default="none", help="none or block")
    parser.add_argument("--times", type=int, default=20, help="how often the key is pressed")
    given = parser.parse_args()

    with tempfile.TemporaryDirectory() as state:
        measure(given, state)


def measure(given, state):
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm", NO_COLOR="1", XDG_STATE_HOME=state)
        os.execv(given.lota, [given.lota, "repl"])
    text = Terminal(terminal)
    text.until(BEGIN)
    model = "lota.model.builtin()" if given.model == "builtin" else f"lota.model.load('{given.model}')"
    text.line(f"m = {model}")
    text.line("e, r = {}, lota.rng(1)")
    sequence = f"local s = {{}} for k = 1, {given.tokens} do s[k] = r:below(60) + 4 end e[i] = s"
    text.line(f"for i = 1, {given.sequences} do {sequence} end")
    text.line("b = lota.data.batch(e)")
    text.line(f"t = lota.train.new(m, {{params = '{given.params}', lr = 1e-6, checkpoint = '{given.checkpoint}'}})")
    text.line("steps = t:step(b).step")
    step = text.line("('a step: %.3f s'):format(t:step(b).seconds)").decode(errors="replace")
    print(step[step.index("a step") :].splitlines()[0])
    waits = []
    random.seed(1)
    for _ in range(given.times):
        text.send(b"while true do t:step(b) end\r")
        text.until(TAKEN)
        time.sleep(0.2 + random.random())
        begin = time.perf_counter()
        text.send(b"\x03")
        if b"stopped" not in text.until(BEGIN):
            raise SystemExit("the loop ended by itself")
        waits.append((time.perf_counter() - begin) * 1e3)
    kept = text.line("'kept: ' .. steps")
    print(f"from Ctrl-C to the prompt: median {statistics.median(waits):.0f} ms, longest {max(waits):.0f} ms of {len(waits)}")
    print("variables " + ("kept" if b"kept: 1" in kept else "LOST"))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


class Terminal:
    """The end of the terminal that a person sits at."""

    def __init__(self, terminal):
        self.terminal, self.rest = terminal, b""

    def send(self, data):
        os.write(self.terminal, data)

    def until(self, what, limit=60.0):
        """What is shown until this is."""
        seen, end = self.rest, time.monotonic() + limit
        while what not in seen:
            if time.monotonic() > end:
                raise SystemExit("the prompt does not answer: " + seen.decode(errors="replace"))
            if select.select([self.terminal], [], [], 0.05)[0]:
                seen += os.read(self.terminal, 65536)
        shown, self.rest = seen.split(what, 1)
        return shown

    def line(self, text):
        """Runs a line; what it shows."""
        self.send(text.encode() + b"\r")
        self.until(TAKEN)
        return self.until(BEGIN)


main()
