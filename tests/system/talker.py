"""A target program that is talked to: orders to its standard input, a line in answer to each."""

import os

from harness import program, wait_for


class Talker:
    """A target program that takes orders on standard input and answers in lines."""

    def __init__(self, lab, name):
        orders, self.orders = os.pipe()
        self.process = lab.start([program(name)], stdin=orders)
        os.close(orders)
        wait_for(f"{name} to be ready", lambda: "\n" in self.process.stdout())
        self.first_line = self.process.stdout().splitlines()[0].split()

    def order(self, text):
        before = len(self.process.stdout())
        os.write(self.orders, (text + "\n").encode())
        wait_for("the answer", lambda: len(self.process.stdout()) > before)

    def hang_up(self):
        os.close(self.orders)

    def __getattr__(self, name):
        return getattr(self.process, name)
