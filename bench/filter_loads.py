"""Foreign traffic: how much it slows the sender that tracedump listens, with few ports in its set or many, and what
tracedump itself needs for packets that are none of its business."""

import subprocess

from harness import NEAR, wait_for
from measure import Comparison, Target, load, printed_seconds, start, tracedump

PORT = "7000"  # even: no port of the set
PACKETS = 1_000_000
# With many ports gc's sweep, each five seconds, takes some of tracedump's CPU: a load that has its share of them.
MANY_PORTS, MANY_PACKETS = 30_000, 10_000_000
SIZES = (64, 1400)  # bytes of a packet
PORTS = (0, 10, 1_000, MANY_PORTS)
UNITS = {"rate": "packets/s", "cpu": "% of the load's time"}


def idle_tcpdump(lab):
    """For comparison: what any packet socket costs, whose filter takes nothing."""
    return start(lab, ["tcpdump", "-i", "any", "-Z", "root", "-w", lab.folder / "capture.pcap", "udp port 9"],
                 "listening on")


def idle_tracedump(ports, options):
    def begin(lab):
        holder = lab.start([load("hold_ports"), str(ports)], stdin=subprocess.PIPE)
        wait_for("the ports", lambda: "ready" in holder.stdout())
        return tracedump(lab, holder.stdout().split()[:-1], options)
    return begin


def foreign(lab, size, packets, begin=None):
    lab.start([load("udp_sink"), PORT])
    lab.await_port(int(PORT), "udp")
    capture = begin(lab) if begin else None
    before = capture.cpu_so_far() if capture else 0
    generator = start(lab, [load("udp_flood"), NEAR, PORT, str(packets), str(size)], namespace=lab.far)
    generator.wait_measured()
    assert generator.popen.returncode == 0, generator.stderr()
    seconds = printed_seconds(generator.stdout())
    cpu = 0
    if capture:
        cpu = capture.cpu_so_far() - before
        capture.end()
        assert capture.popen.returncode == 0, capture.stderr()
    return {"rate": packets / seconds, "cpu": 100 * cpu / seconds}


def comparisons():
    """With each filter engine; and with hooks, which are on the way of every packet that is sent, too."""
    ways = {"bpf": ["--sensor=bpf"], "ebpf": ["--sensor=ptrace", "--filter=ebpf"],
            "classic": ["--sensor=ptrace", "--filter=classic"]}
    begins = {"no capture": (PACKETS, None), "tcpdump udp port 9": (PACKETS, idle_tcpdump)}
    targets = []
    for way, options in ways.items():
        for ports in PORTS:
            name = f"{way}: {ports} ports"
            begins[name] = MANY_PACKETS if ports == MANY_PORTS else PACKETS, idle_tracedump(ports, options)
            targets.append(Target(f"{name}: the sender's rate, of that without a capture",
                                  lambda medians, name=name: medians[name]["rate"] / medians["no capture"]["rate"],
                                  at_least=0.97 if way == "bpf" else 0.95))
            targets.append(Target(f"{name}: tracedump's CPU, %", lambda medians, name=name: medians[name]["cpu"],
                                  at_most=1))
    return [Comparison(f"foreign-{size}",
                       f"1,000,000 packets of {size} bytes (10,000,000 with 30,000 ports), none of the application, at the "
                       "generator's full rate. bpf: the eBPF filter and the hooks of that sensor; ebpf, classic: the filter "
                       "engine, and the ptrace sensor.",
                       {name: lambda lab, packets=packets, begin=begin, size=size: foreign(lab, size, packets, begin)
                        for name, (packets, begin) in begins.items()}, UNITS, targets)
            for size in SIZES]
