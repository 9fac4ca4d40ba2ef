"""The gc thread on a host with many sockets of strangers: a sweep (sweep_bench does it), and their deaths."""

import json
import subprocess

from harness import FAR
from measure import BENCHMARKS, Comparison, Target, load, start, tracedump

DEATHS, RATE = 50_000, 10_000


def sweep(ports):
    def run(_lab):
        answer = subprocess.run([BENCHMARKS / "sweep_bench", f"--benchmark_filter=^sweep/{ports}$",
                                 "--benchmark_format=json"], capture_output=True, text=True, check=True)
        benchmark = json.loads(answer.stdout)["benchmarks"][0]
        assert not benchmark.get("error_occurred"), benchmark.get("error_message")
        return {"cpu": benchmark["cpu_time"]}
    return run


def dropped(lab, process):
    """Netlink messages that the kernel could not deliver to a process."""
    rows = [line.split() for line in lab.run(["cat", "/proc/net/netlink"]).splitlines()[1:]]
    own = [row for row in rows if int(row[2]) == process.pid or int(row[2]) > 1 << 31]
    assert own, "tracedump has no netlink socket"
    return sum(int(row[8]) for row in own)


def deaths(sensor, rate):
    def run(lab):
        lab.start([load("udp_sink"), "7000"], namespace=lab.far)
        lab.await_port(7000, "udp", lab.far)
        idle = lab.start([load("udp_sink"), "7001"])
        lab.await_port(7001, "udp")
        capture = tracedump(lab, [idle.pid], [f"--sensor={sensor}"])
        before = capture.cpu_so_far()
        strangers = start(lab, [load("udp_client"), FAR, "7000", str(DEATHS), *([str(rate)] if rate else [])])
        strangers.wait_measured()
        assert strangers.popen.returncode == 0, strangers.stderr()
        seconds = float(strangers.stdout())
        figures = {"rate": DEATHS / seconds, "lost": dropped(lab, capture),
                   "cpu": (capture.cpu_so_far() - before) * 1e6 / DEATHS}
        capture.end()
        return figures
    return run


def comparisons():
    at_ten_thousand = "ptrace: 10,000 a second"
    return [
        Comparison("sweep", "A gc sweep with 50,000 sockets of strangers, by the application's own sockets.",
                   {str(ports): sweep(ports) for ports in (1, 64, 1000)}, {"cpu": "ms of CPU"},
                   [Target(f"CPU of a sweep, {ports} sockets, ms",
                           lambda medians, ports=ports: medians[str(ports)]["cpu"], at_most=20)
                    for ports in (1, 64, 1000)]),
        Comparison("deaths", "Sockets of strangers die: each sends a datagram and is closed. With bpf, nobody is told.",
                   {at_ten_thousand: deaths("ptrace", RATE), "ptrace: as fast as can be": deaths("ptrace", None),
                    "bpf: as fast as can be": deaths("bpf", None)},
                   {"rate": "deaths/s", "lost": "messages", "cpu": "µs a death, all of tracedump"},
                   [Target("messages lost at 10,000 a second", lambda medians: medians[at_ten_thousand]["lost"], at_most=0)],
                   rounds=3)]
