"""Datagrams larger than the wire's packets: every fragment is in the file, of the application and of nobody else."""

import socket
import struct
import sys

from harness import FAR, FAR6, HERE, NEAR, STRANGER_PORTS, expect_same, main, socket_in, wait_for
from talker import Talker

SIZES = (1472, 1473, 8000, 20000, 60000)

# Sends a datagram of each size, from a port of the stranger's range or one that the kernel chooses, awaits each echo.
# A busy host may lose one: then it is sent again.
CLIENT = """
import socket, sys
host, port, source = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for size in map(int, sys.argv[4:]):
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(2)
        if source:
            s.bind(("", source))
        for attempt in range(10):
            s.sendto(bytes(size), (host, port))
            try:
                assert len(s.recv(65536)) == size
                break
            except TimeoutError:
                pass
"""


def client(host, source=0, rounds=1):
    return [sys.executable, "-c", CLIENT, host, "7000", str(source), *map(str, SIZES * rounds)]


def both_directions(host):
    """Requests and echoes in fragments, while a stranger exchanges the like with the same server."""
    def test(lab):
        lab.start([sys.executable, "-B", HERE / "asyncio_echo.py", "serve", "7000"], namespace=lab.far)
        lab.await_port(7000, "udp", lab.far)
        truth = lab.truth()
        stranger = lab.start(client(host, STRANGER_PORTS[0], rounds=10))
        traced = lab.launch(client(host, rounds=5))
        assert stranger.wait() == 0, stranger.stderr()
        packets = truth.packets()
        assert sum(1 for p in packets if p.datagram) > 400, "no fragments: the test shows nothing"
        expect_same(packets, traced.packets())
    return test


def ipv4(lab):
    both_directions(FAR)(lab)


def ipv6(lab):
    both_directions(FAR6)(lab)


def fragment(identification, payload, offset, more):
    """An IPv4 packet from the far side; the kernel fills in the checksum and total length of a raw socket."""
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 0, identification, (0x2000 if more else 0) | offset // 8, 64,
                         socket.IPPROTO_UDP, 0, socket.inet_aton(FAR), socket.inet_aton(NEAR))
    return header + payload[offset:offset + 1000]


def out_of_order(lab):
    """The last fragment first, those of a stranger's datagram in between."""
    idle = Talker(lab, "idle_ports")
    port = int(idle.first_line[1])
    truth = lab.truth()
    traced = lab.attach(idle)
    with socket_in(lab.far, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for round_number in range(20):
            datagrams = {1000 + round_number: struct.pack(">HHHH", 4000, port, 5000, 0) + b"o" * 4992,
                         2000 + round_number: struct.pack(">HHHH", 4000, STRANGER_PORTS[0], 5000, 0) + b"s" * 4992}
            for offset in (4000, 1000, 3000, 0, 2000):
                for identification, payload in datagrams.items():
                    raw.sendto(fragment(identification, payload, offset, offset != 4000), (NEAR, 0))
    wait_for("the fragments", lambda: len(traced.packets_so_far()) >= 100)
    packets = truth.packets()
    traced.end()
    expect_same(packets, traced.packets())


main(ipv4, ipv6, out_of_order)
