"""The life of a port: kept while its socket lives, used or not; given up when the socket dies."""

import socket

from harness import FAR, NEAR, expect_equal, expect_same, main, socket_in, wait_for
from talker import Talker


def port_of_a_dead_socket(lab):
    """The application closes a UDP port; a stranger binds it at once and talks. Nothing of that is ours."""
    idle = Talker(lab, "idle_ports")
    port = int(idle.first_line[1])
    traced = lab.attach(idle, options=["--debug=3"])
    truth = lab.truth()
    idle.order(f"send {FAR} 7777")
    wait_for("the datagram", lambda: len(traced.packets_so_far()) == 1)
    idle.order("close")
    wait_for("the port to be given up", lambda: f"*:{port} closed" in traced.stderr())
    with socket_in(lab.near, socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind((NEAR, port))
        for _ in range(10):
            stranger.sendto(b"stranger", (FAR, 7777))
    everything = truth.packets()
    expect_equal(len(everything), 11, "datagrams in the truth")
    traced.end()
    expect_same([p for p in everything if b"awake" in p.ip], traced.packets())


def unused_port_stays(lab):
    """Two sweeps of the garbage collector later, the port that was never used is still there."""
    idle = Talker(lab, "idle_ports")
    traced = lab.attach(idle, options=["--debug=4"])
    wait_for("two sweeps", lambda: traced.stderr().count("gc: sweep") >= 2)
    truth = lab.truth()
    idle.order(f"send {FAR} 7777")
    packets = truth.packets()
    traced.end()
    expect_same(packets, traced.packets())


main(port_of_a_dead_socket, unused_port_stays)
