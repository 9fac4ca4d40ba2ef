"""A Python program that is told what to do next: it says "step" and waits for a line on its standard input."""

import os

from harness import wait_for

HEAD = """
import os, socket, struct, sys
def step(): print('step', flush=True); sys.stdin.readline()
"""


class Scripted:
    """`start(command, stdin=...)` starts it: in a lab, or under tracedump. `says` tells what it has said."""

    def __init__(self, start, script, says=lambda process: process.stdout(), **options):
        self.says = says
        orders, self.orders = os.pipe()
        self.process = start(["python3", "-c", HEAD + script], stdin=orders, **options)
        os.close(orders)
        self.steps = 0
        self.await_step()

    def await_step(self):
        self.steps += 1
        wait_for(f"step {self.steps}", lambda: self.says(self.process).count("step") >= self.steps)

    def go_on(self, to_the_end=False):
        os.write(self.orders, b"\n")
        if not to_the_end:
            self.await_step()
