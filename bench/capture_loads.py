"""The capture path: UDP at the generator's full rate from one namespace to another, to a regular file, beside tcpdump,
dumpcap and netsniff-ng; and a disk that stalls.

All write what comes to one port. tracedump does it by being attached to the receiver, which makes no system call
meanwhile, so that the figure is the capture's. CPU is that of the capturing process over its whole life.
"""

import contextlib
import os
import subprocess
import time

from harness import NEAR, ip, wait_for
from measure import Comparison, Target, find_memory, load, printed_seconds, start, tracedump

PORT = "7000"
FILTER = f"udp port {PORT}"
RING = 64  # MiB
PCAPNG = "tracedump --format=pcapng"

UNITS = {"rate": "packets/s", "lost": "%", "cpu": "µs a packet", "memory": "MiB beside the ring"}


# The contenders: each begins a capture into a file, and returns when it listens.

def with_tracedump(*options):
    return lambda lab, receiver, file: tracedump(lab, [receiver.pid], options, file)


def with_tcpdump(*options):
    return lambda lab, _receiver, file: start(
        lab, ["tcpdump", "-i", "any", "-Z", "root", *options, "-w", lab.folder / file, FILTER], "listening on")


def with_dumpcap(buffer):
    return lambda lab, _receiver, file: start(
        lab, ["dumpcap", "-q", "-P", "-i", "any", "-B", str(buffer), "-f", FILTER, "-w", lab.folder / file], "File:")


def with_netsniff(lab, _receiver, file):
    process = start(lab, ["netsniff-ng", "--in", "any", "--out", lab.folder / file, "--silent", "--ring-size",
                          f"{RING}MiB", "-f", FILTER])
    # It says that it runs before it has opened its socket, into a buffer.
    wait_for("netsniff-ng to listen", lambda: packet_sockets(lab))
    return process


def packet_sockets(lab):
    text = lab.run(["cat", "/proc/net/packet"])
    return len(text.splitlines()) - 1


def packets_in(file):
    answer = subprocess.run(["capinfos", "-c", "-M", "-T", "-r", file], capture_output=True, text=True, check=True)
    return int(answer.stdout.split()[-1])


def flood(lab, begin, packets, size, ring=RING, rate=None, meanwhile=None):
    """One run of a contender: figures, and how many packets the file has."""
    if size > 1500:
        for namespace in (lab.near, lab.far):
            ip(namespace, "link", "set", "veth0", "mtu", "65535")
    receiver = lab.start([load("udp_sink"), PORT])
    lab.await_port(int(PORT), "udp")
    capture = begin(lab, receiver, "capture.pcap")
    find_memory(packets * size * 3 // 2 >> 20)
    generator = lab.start([load("udp_flood"), NEAR, PORT, str(packets), str(size), *([str(rate)] if rate else [])],
                          namespace=lab.far)
    if meanwhile:
        meanwhile()
    assert generator.wait() == 0, generator.stderr()
    time.sleep(0.3)  # what tcpdump has not read when it is told to stop, it loses: that is not what is compared
    memory = capture.peak_mebibytes() - ring
    capture.end()
    assert capture.popen.returncode == 0, f"{capture.name}: {capture.stderr()}"
    written = packets_in(lab.folder / "capture.pcap")
    return {"rate": packets / printed_seconds(generator.stdout()), "lost": 100 * (packets - written) / packets,
            "cpu": capture.cpu / max(written, 1) * 1e6, "memory": memory}


def contenders(packets, size, rate=None):
    capturing = {"tracedump": (with_tracedump(), RING), PCAPNG: (with_tracedump("--format=pcapng"), RING),
                 "tcpdump": (with_tcpdump(), 2),
                 "tcpdump -B 65536": (with_tcpdump("-B", "65536"), RING), "dumpcap -B 64": (with_dumpcap(RING), RING),
                 "netsniff-ng": (with_netsniff, 2 * RING)}  # it maps a ring to send with, too
    return {name: lambda lab, begin=begin, ring=ring: flood(lab, begin, packets, size, ring, rate)
            for name, (begin, ring) in capturing.items()}


# The disk that stalls: a file system of its own, in a file, frozen for a while.

@contextlib.contextmanager
def file_system(lab):
    image, folder = lab.folder / "image", lab.folder / "disk"
    folder.mkdir()
    with open(image, "wb") as file:
        file.truncate(2 << 30)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def stall(lab, begin, ring):
    def freeze():
        time.sleep(1)
        subprocess.run(["fsfreeze", "--freeze", folder], check=True)
        try:
            time.sleep(2)
        finally:
            subprocess.run(["fsfreeze", "--unfreeze", folder], check=True)

    packets, size, bytes_a_second = 400_000, 1400, 100e6
    with file_system(lab) as folder:
        os.symlink(folder / "capture.pcap", lab.folder / "capture.pcap")
        return flood(lab, begin, packets, size, ring, bytes_a_second / size, freeze)


def comparisons():
    def ratio(name, figure, peer):
        return lambda medians: medians[name][figure] / medians[peer][figure]

    def own(name, figure):
        return lambda medians: medians[name][figure]

    large, small, huge = [], [], []
    for name, form in (("tracedump", "pcap"), (PCAPNG, "pcapng")):
        memory = Target(f"{form}: memory beside the ring, MiB", own(name, "memory"), at_most=32)
        large += [Target(f"{form}: loss at the full rate, 64 MiB, %", own(name, "lost"), at_most=0),
                  Target(f"{form}: CPU a packet, of tcpdump's", ratio(name, "cpu", "tcpdump"), at_most=0.25),
                  Target(f"{form}: CPU a packet, of netsniff-ng's", ratio(name, "cpu", "netsniff-ng"), at_most=0.5),
                  memory]
        small += [Target(f"{form}: CPU a packet, of tcpdump's", ratio(name, "cpu", "tcpdump"), at_most=1.0), memory]
        huge += [Target(f"{form}: CPU a packet, of tcpdump's", ratio(name, "cpu", "tcpdump"), at_most=0.5), memory]
    stalling = {"tracedump --buffer-size=256": lambda lab: stall(lab, with_tracedump("--buffer-size=256"), 256),
                "tcpdump -B 262144": lambda lab: stall(lab, with_tcpdump("-B", "262144"), 256),
                "dumpcap -B 256": lambda lab: stall(lab, with_dumpcap(256), 256)}
    return [
        Comparison("capture-1400", "1,000,000 packets of 1400 bytes at the generator's full rate.",
                   contenders(1_000_000, 1400), UNITS, large),
        Comparison("capture-60000", "30,000 packets of 60,000 bytes, 10,000 a second, as large as those that the kernel "
                   "makes of a TCP stream.", contenders(30_000, 60_000, 10_000), UNITS, huge),
        Comparison("capture-64", "2,000,000 packets of 64 bytes at the generator's full rate.",
                   contenders(2_000_000, 64), UNITS, small),
        Comparison("capture-stall", "100 MB/s for 5.6 s to a file system that is frozen for 2 s.", stalling, UNITS,
                   [Target("loss, %", lambda medians: medians["tracedump --buffer-size=256"]["lost"], at_most=0)],
                   rounds=3)]
