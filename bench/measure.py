"""What the comparisons of scripts/bench stand on: contenders measured in turns, round after round, and their medians.

A comparison is a list of contenders, each a function that takes a fresh Lab (tests/system/harness.py), does one run and
returns its figures, a number for each name. Contenders take turns within a round, each time in another order, so that a
machine that is faster for a while is so for all of them, and nobody comes always after the one that tires it. A run
whose set-up fails raises, and there is no table then: never a number that means nothing.
"""

import contextlib
import dataclasses
import mmap
import os
import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

from harness import BINARY, DEADLINE, Lab, Process, wait_for

HERE = pathlib.Path(__file__).resolve().parent
LOADS = pathlib.Path(os.environ.get("TRACEDUMP_LOADS", HERE.parent / "build/release/bench/programs"))
BENCHMARKS = LOADS.parent


def load(name):
    return str(LOADS / name)


class Measured(Process):
    """A program whose CPU time is told when it has ended."""

    cpu = None  # seconds, of all its threads

    def end(self, number=signal.SIGINT):
        self.signal(number)
        self.wait_measured()

    def wait_measured(self, deadline=DEADLINE):
        def reap():
            pid, status, usage = os.wait4(self.pid, os.WNOHANG)
            if pid:
                self.popen.returncode = os.waitstatus_to_exitcode(status)
                self.cpu = usage.ru_utime + usage.ru_stime
            return pid
        wait_for(f"{self.name} to end", reap, deadline)

    def cpu_so_far(self):
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_mebibytes(self):
        return int(self.status("VmHWM").split()[0]) / 1024


def start(lab, command, ready=None, namespace=None, **options):
    """A measured program; `ready` is what it says on standard error when it is."""
    process = Measured(lab, namespace or lab.near, command, **options)
    if ready:
        wait_for(f"{process.name} to begin", lambda: ready in process.stderr() or not process.running())
        assert process.running(), f"{process.name} ended: {process.stderr()}"
    return process


def tracedump(lab, arguments, options=(), file="capture.pcap"):
    return start(lab, [BINARY, *options, "-w", lab.folder / file, *map(str, arguments)], "listening on any",
                 name="tracedump")


def printed_seconds(text):
    """What the loads print."""
    return float(re.search(r"^(\d+\.\d+)$", text, re.MULTILINE).group(1))


def end_all(lab):
    """What a tracer has launched outlives it, when strace is ended."""
    for namespace in (lab.near, lab.far):
        pids = subprocess.run(["ip", "netns", "pids", namespace], capture_output=True, text=True, check=True).stdout
        for pid in map(int, pids.split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)


def find_memory(mebibytes):
    """Touches as much memory as a run is about to need, and gives it back. In a virtual machine whose host takes free
    memory away, each page is else slow once, for whoever happens to use it first."""
    mmap.mmap(-1, mebibytes << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE).close()


@dataclasses.dataclass
class Target:
    """What a comparison is to show: a number made of the medians, and its limit."""
    text: str
    figure: Callable  # of {contender: {figure: median}}
    at_most: float | None = None
    at_least: float | None = None

    def met(self, value):
        return (self.at_most is None or value <= self.at_most) and (self.at_least is None or value >= self.at_least)

    def limit(self):
        return f"at most {self.at_most:g}" if self.at_most is not None else f"at least {self.at_least:g}"


@dataclasses.dataclass
class Comparison:
    name: str
    about: str
    contenders: dict  # name: function of a Lab
    units: dict       # figure: unit
    targets: list = dataclasses.field(default_factory=list)
    rounds: int = 5

    def run(self, rounds=None):
        runs = {name: [] for name in self.contenders}
        for number in range(rounds or self.rounds):
            for name, contender in random.sample(list(self.contenders.items()), len(self.contenders)):
                with Lab(f"bench-{self.name}") as lab:
                    try:
                        runs[name].append(contender(lab))
                    finally:
                        end_all(lab)
                print(f"  {self.name} {number + 1}: {name} {self._texts(runs[name][-1])}", file=sys.stderr, flush=True)
        medians = {name: {figure: statistics.median(run[figure] for run in all_runs) for figure in all_runs[0]}
                   for name, all_runs in runs.items()}
        targets = []
        for target in self.targets:
            value = target.figure(medians)
            targets.append({"text": target.text, "value": value, "limit": target.limit(), "met": target.met(value)})
        return {"name": self.name, "about": self.about, "units": self.units, "runs": runs, "medians": medians,
                "targets": targets}

    def _texts(self, figures):
        return ", ".join(f"{figure} {value:.3g} {self.units[figure]}" for figure, value in figures.items())


def table(result):
    """A comparison's medians, and its targets, as Markdown."""
    units = result["units"]
    lines = [f"### {result['name']}", "", result["about"], "",
             "| | " + " | ".join(f"{figure}, {unit}" if unit else figure for figure, unit in units.items()) + " |",
             "| --- |" + " ---: |" * len(units)]
    for name, medians in result["medians"].items():
        cells = [f"{medians[figure]:.3g}" if figure in medians else "" for figure in units]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    if result["targets"]:
        lines += ["", "| target | reached | wanted | |", "| --- | ---: | ---: | --- |"]
        for target in result["targets"]:
            lines.append(f"| {target['text']} | {target['value']:.3g} | {target['limit']} | "
                         f"{'met' if target['met'] else 'missed'} |")
    return "\n".join(lines) + "\n"


def machine():
    """Where it ran."""
    cpu = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", pathlib.Path("/proc/meminfo").read_text())
    kind = subprocess.run(["systemd-detect-virt"], capture_output=True, text=True, check=False).stdout.strip()
    return {"cpu": cpu.group(1) if cpu else os.uname().machine, "cpus": os.cpu_count(),
            "memory_gib": round(int(memory.group(1)) / 2**20), "kernel": os.uname().release,
            "virtual": kind or "unknown", "date": time.strftime("%Y-%m-%d")}
