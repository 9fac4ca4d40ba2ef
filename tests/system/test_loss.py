"""What the ring or the file cannot take is counted, to the packet."""

import os
import re
import signal
import socket
import subprocess

import pcap
from harness import FAR, NEAR, TRACEDUMP, expect_equal, main, socket_in, wait_for
from scripted import Scripted
from sink import datagram_sink

MANY = 6000  # datagrams of 1000 bytes: more than the smallest rings hold
FLOOD = f"""
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("{NEAR}", 31000))
s.connect(("{FAR}", 7000))
s.send(b"first")
step()
for i in range({MANY}): s.send(b"%04d" % i * 250)
step()
"""


def counts(stderr):
    return {name: int(number) for number, name in
            re.findall(r"^(\d+) packets? (captured|received by filter|dropped by kernel|lost)", stderr, re.MULTILINE)}


def expect_part(truth, captured):
    """All that was captured is true, each packet once."""
    _, extra = pcap.difference(truth, captured)
    assert not extra, pcap.describe([], extra[:10])


def overflow(lab, buffer, foreign=0):
    """tracedump is stopped while the application sends: the ring overflows, and the kernel counts."""
    with datagram_sink(lab):
        truth = lab.truth(largest=2000)
        traced = Scripted(lambda command, **options: lab.tracedump(["--", *command], **options), FLOOD,
                          options=[f"--buffer-size={buffer}"])
        traced.process.signal(signal.SIGSTOP)
        wait_for("tracedump to stop", lambda: "T" in traced.process.status("State"))
        if foreign:
            # The kernel's filter knows ports, not addresses: these look like the application's to it.
            with socket_in(lab.near, socket.AF_INET, socket.SOCK_DGRAM) as stranger:
                stranger.bind(("10.77.0.9", 31000))
                for i in range(foreign):
                    stranger.sendto(b"stranger", (FAR, 7000))
        traced.go_on()
        traced.process.signal(signal.SIGCONT)
        traced.go_on(to_the_end=True)
        expect_equal(traced.process.wait(), 0, "status")
        packets = truth.packets()
        ours = [p for p in packets if str(p.source) != "10.77.0.9"]
        expect_equal(len(ours), MANY + 1, "packets of the application")
        captured = traced.process.packets()
        said = counts(traced.process.stderr())
        expect_part(ours, captured)
        expect_equal(said["captured"], len(captured), "packets captured, and in the file")
        assert said["dropped by kernel"] > 0, "nothing was lost: the test shows nothing"
        expect_equal(said["captured"] + said["dropped by kernel"], said["received by filter"], "packets received")
        return len(ours), len(packets) - len(ours), said


def ring_overflows(lab):
    ours, _, said = overflow(lab, 2)
    expect_equal(said["received by filter"], ours, "packets that passed the filter")


def smallest_ring(lab):
    ours, _, said = overflow(lab, 1)
    expect_equal(said["received by filter"], ours, "packets that passed the filter")


def ring_overflows_with_strangers(lab):
    """What was dropped cannot be looked at: among it may be strangers' that passed the kernel's filter."""
    subprocess.run(["ip", "-n", lab.near, "address", "add", "10.77.0.9/24", "dev", "veth0"], check=True)
    ours, foreign, said = overflow(lab, 2, foreign=500)
    expect_equal(foreign, 500, "strangers' packets")
    assert ours <= said["received by filter"] <= ours + foreign, said


def output_that_nobody_reads(lab):
    """The writer waits for a reader; what the ring cannot hold meanwhile is counted."""
    with datagram_sink(lab):
        truth = lab.truth(largest=2000)
        reading, writing = os.pipe()
        traced = Scripted(lambda command, **options: lab.start(
            [*TRACEDUMP, "--buffer-size=2", "-w", "-", "--", *command], stdout=writing, name="tracedump", **options),
            FLOOD.replace("step()", 'print("step", file=sys.stderr, flush=True); sys.stdin.readline()'),
            says=lambda process: process.stderr())
        os.close(writing)
        traced.go_on()
        file = lab.folder / "capture.pcap"
        traced.go_on(to_the_end=True)
        with open(reading, "rb") as stream:
            file.write_bytes(stream.read())
        expect_equal(traced.process.wait(), 0, "status")
        captured = pcap.transport(pcap.read(file))
        packets = truth.packets()
        said = counts(traced.process.stderr())
        expect_equal(len(packets), MANY + 1, "packets of the application")
        expect_part(packets, captured)
        expect_equal(said["captured"], len(captured), "packets captured, and in the stream")
        expect_equal(said["captured"] + said["dropped by kernel"], len(packets), "packets captured and lost")
        assert said["dropped by kernel"] > 0, "nothing was lost: the test shows nothing"


main(ring_overflows, smallest_ring, ring_overflows_with_strangers, output_that_nobody_reads)
