"""The pcapng format: what readers make of it, and packets that are written from where they lie in the ring."""

import re
import signal
import socket
import struct
import subprocess
import sys
import threading

import pcap
from harness import FAR, NEAR, TRACEDUMP, expect_equal, expect_same, main, socket_in, wait_for
from scripted import Scripted
from sink import datagram_sink

PCAPNG = "--format=pcapng"
MANY = 12000
MARK = b"stranger's words"
FLOOD = f"""
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("{NEAR}", 31000))
s.connect(("{FAR}", 7000))
def flood(size=1400):
    for i in range({MANY}): s.send(b"%05d" % i * (size // 5))
"""
FILLER = 0x80007464
LINK_HEADER = 16


def blocks(file):
    return list(pcap.pcapng_blocks(file, file.read_bytes()))


def count_fillers(file):
    return sum(kind == FILLER for kind, _ in blocks(file))


def launch(lab, script, options=()):
    truth = lab.truth(largest=2000)
    traced = Scripted(lambda command, **more: lab.tracedump(["--", *command], **more), FLOOD + script,
                      options=[PCAPNG, *options])
    return truth, traced


def written_from_the_ring(lab):
    """Few packets, many, few, many: each is there, as it was, and in order."""
    with datagram_sink(lab):
        truth, traced = launch(lab, "s.send(b'one')\nstep()\nflood()\nstep()\ns.send(b'two')\nstep()\nflood()\n")
        file = traced.process.file
        for seen in (1, 1 + MANY, 2 + MANY):
            # All that was sent is in the file while the capture goes on.
            wait_for(f"{seen} packets", lambda wanted=seen: len(traced.process.packets_so_far()) == wanted)
            if seen != 2 + MANY:
                traced.go_on()
        traced.go_on(to_the_end=True)
        expect_equal(traced.process.wait(), 0, "status")
        captured = traced.process.packets()
        expect_same(truth.packets(), captured)
        assert count_fillers(file) > MANY // 1000, "the packets were copied: the test shows nothing"
        times = [packet.time for packet in captured]
        expect_equal(times, sorted(times), "times")


def nothing_of_strangers_between(lab):
    """What lies between packets in the ring may be anybody's."""
    subprocess.run(["ip", "-n", lab.near, "address", "add", "10.77.0.9/24", "dev", "veth0"], check=True)
    with datagram_sink(lab), socket_in(lab.near, socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        # The kernel's filter knows ports, not addresses: these look like the application's to it.
        stranger.bind(("10.77.0.9", 31000))
        truth, traced = launch(lab, "step()\n" * 2 + "flood()\n", ["--buffer-size=1"])
        # The ring's blocks have been the stranger's before.
        for _ in range(2000):
            stranger.sendto(MARK * 80, (FAR, 7000))
        traced.go_on()
        traced.go_on(to_the_end=True)
        expect_equal(traced.process.wait(), 0, "status")
        said = traced.process.stderr()
        file = traced.process.file
        assert count_fillers(file) > 0, "the packets were copied: the test shows nothing"
        assert MARK not in file.read_bytes(), "a stranger's packet is in the file"
        captured = traced.process.packets()
        assert captured and all(str(p.source) == NEAR for p in captured), said
        _, extra = pcap.difference(truth.packets(), captured)
        expect_equal(extra, [], "packets that were not sent")


def told(process, words):
    """Whether the counters say so."""
    process.signal(signal.SIGUSR1)
    return words in process.stderr()


def strangers_hold_nothing_up(lab):
    """The application's last packets share a block of the ring with a stranger's, who fills it, and those after it."""
    subprocess.run(["ip", "-n", lab.near, "address", "add", "10.77.0.9/24", "dev", "veth0"], check=True)
    over = threading.Event()
    with datagram_sink(lab), socket_in(lab.near, socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("10.77.0.9", 31000))

        def talk():
            while not over.is_set():
                stranger.sendto(MARK * 80, (FAR, 7000))

        script = FLOOD + "step()\nflood()\nstep()\n"
        traced = Scripted(lambda command, **more: lab.tracedump(["--", *command], **more), script, options=[PCAPNG])
        talking = threading.Thread(target=talk)
        talking.start()
        try:
            traced.go_on()
            wait_for("all packets to be in the file", lambda: told(traced.process, f"{MANY} packets captured, "))
        finally:
            over.set()
            talking.join()
        traced.go_on(to_the_end=True)
        expect_equal(traced.process.wait(), 0, "status")
        expect_equal(len(traced.process.packets()), MANY, "packets in the file")


def readers_agree(lab):
    """tcpdump, tshark, capinfos and editcap."""
    with datagram_sink(lab):
        truth, traced = launch(lab, "step()\nflood()\ns.send(b'end')\n")
        traced.go_on(to_the_end=True)
        expect_equal(traced.process.wait(), 0, "status")
    file, wanted = traced.process.file, truth.packets()
    assert count_fillers(file) > 0, "the packets were copied: the test shows nothing"

    def run(*command):
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    expect_equal(len(run("tcpdump", "-nn", "-r", file).splitlines()), len(wanted), "tcpdump's lines")
    shown = run("tshark", "-r", file, "-T", "fields", "-e", "frame.number", "-e", "frame.protocols").splitlines()
    expect_equal(len(shown), len(wanted), "tshark's lines")
    assert shown[-1].startswith(f"{len(wanted)}\tsll:ethertype:ip:udp"), shown[-1]
    about = run("capinfos", "-M", file)
    for line in (r"Number of packets: +%d" % len(wanted), r"Strict time order: +True", r"Time precision = nanoseconds",
                 r"Capture application: tracedump \d", r"Name = any", r"Number of stat entries = 1"):
        assert re.search(line, about), f"{line} is not in\n{about}"
    classic = lab.folder / "classic.pcap"
    run("editcap", "-F", "pcap", file, classic)
    expect_same(wanted, pcap.transport(pcap.read(classic)))


def expect_statistics(traced):
    """The last block says what the summary says. Returns how many packets were received, and dropped."""
    said = [int(number) for number in re.findall(r"^(\d+) packets", traced.stderr(), re.MULTILINE)]
    kind, body = blocks(traced.file)[-1]
    expect_equal(kind, pcap.PCAPNG_STATISTICS, "the last block's type")
    options, position = {}, 12
    while position < len(body):
        code, length = struct.unpack_from("=HH", body, position)
        options[code] = body[position + 4:position + 4 + length]
        position += 4 + (length + 3) // 4 * 4
    captured, received, dropped = (struct.unpack("=Q", options[code])[0] for code in (8, 6, 7))
    expect_equal([captured, received, dropped], said, "captured, received and dropped")
    began, ended = (high << 32 | low for high, low in (struct.unpack("=II", options[code]) for code in (2, 3)))
    times = [p.time for p in traced.packets()]
    assert began / 1e9 <= times[0] and times[-1] <= ended / 1e9, (began, times[0], times[-1], ended)
    return received, dropped


def statistics_are_those_of_the_summary(lab):
    """With a ring that overflows, so that there is something to tell."""
    with datagram_sink(lab):
        truth, traced = launch(lab, "step()\nflood(1000)\nstep()\n", ["--buffer-size=1"])
        traced.process.signal(signal.SIGSTOP)
        wait_for("tracedump to stop", lambda: "T" in traced.process.status("State"))
        traced.go_on()
        traced.process.signal(signal.SIGCONT)
        traced.go_on(to_the_end=True)
        expect_equal(traced.process.wait(), 0, "status")
    received, dropped = expect_statistics(traced.process)
    assert dropped > 0, "nothing was lost: the test shows nothing"
    expect_equal(len(truth.packets()), received, "packets of the application")


def statistics_while_the_application_goes_on(lab):
    """What it sends after the end is in neither."""
    with datagram_sink(lab):
        sender = Scripted(lab.start, FLOOD + "step()\nwhile True: flood()\n")
        traced = lab.attach(sender.process, options=[PCAPNG])
        sender.go_on(to_the_end=True)
        wait_for("packets", lambda: traced.file.stat().st_size > 4 << 20)
        traced.end()
    expect_statistics(traced)


def headers_alone(lab):
    """With a small snaplen there is more between the packets than in them: they are copied, and the file is small."""
    with datagram_sink(lab):
        truth, traced = launch(lab, "step()\nflood()\n", ["-s", "96"])
        traced.go_on(to_the_end=True)
        expect_equal(traced.process.wait(), 0, "status")
    captured, wanted = traced.process.packets(), truth.packets()
    expect_equal([p.ip for p in captured], [p.ip[:96 - LINK_HEADER] for p in wanted], "the packets' beginnings")
    expect_equal({p.original_length for p in captured}, {1428}, "original lengths")
    assert traced.process.file.stat().st_size < MANY * (96 + 32 + 4) + 1000, "the file has more than the packets"


def a_pipe_gets_packets_alone(lab):
    """Straight into a reader."""
    with datagram_sink(lab):
        truth = lab.truth(largest=2000)
        out = lab.folder / "read"
        script = "import socket\n" + FLOOD + "flood()\n"
        command = [*TRACEDUMP, PCAPNG, "-w", "-", "--", sys.executable, "-c", script]
        lab.run(["bash", "-o", "pipefail", "-c", f'"$@" | cat > {out}', "bash", *command])
    expect_same(truth.packets(), pcap.transport(pcap.read(out)))
    expect_equal(count_fillers(out), 0, "fillers")


main(written_from_the_ring, nothing_of_strangers_between, strangers_hold_nothing_up, readers_agree,
     statistics_are_those_of_the_summary, statistics_while_the_application_goes_on, headers_alone,
     a_pipe_gets_packets_alone)
