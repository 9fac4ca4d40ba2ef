"""Attaching to running processes: what they had open, what they open later, and that they live on untouched."""

import signal
import socket
import struct
import subprocess

from harness import FAR, NEAR, NEAR6, expect_equal, expect_same, main, socket_in, wait_for
from talker import Talker


def far_datagram(lab, address, port, data=b"knock", family=socket.AF_INET):
    """A datagram from the far side, and its answers until 'fresh' has come or none is expected."""
    with socket_in(lab.far, family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        sock.sendto(data, (address, port))
        return sock


def idle_sockets(lab):
    """Bound and unused before the attach: datagrams to and from them afterwards, connections to the listener."""
    idle = Talker(lab, "idle_ports")
    ports = dict(zip(idle.first_line[::2], map(int, idle.first_line[1::2])))
    truth = lab.truth()
    traced = lab.attach(idle)
    receiver = socket_in(lab.far, socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind((FAR, 7777))
    idle.order(f"send {FAR} 7777")
    receiver.settimeout(10)
    receiver.recv(100)
    receiver.close()
    far_datagram(lab, NEAR, ports["udp4"])
    far_datagram(lab, NEAR6, ports["udp6"], family=socket.AF_INET6)
    with socket_in(lab.far, socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.connect((NEAR, ports["listener"]))
        # Reset at the close: no acknowledgement that may come later.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The bound TCP socket neither listens nor connects: its reset is the kernel's answer on its port.
    packets = truth.packets()
    traced.end()
    expect_same(packets, traced.packets())
    idle.hang_up()
    expect_equal(idle.wait(), 0, "the target's status")


def threads_and_fresh_sockets(lab):
    """A process with threads, each with a socket; new threads with new sockets after the attach."""
    server = Talker(lab, "many_threads")
    ports = list(map(int, server.first_line[1:]))
    truth = lab.truth()
    traced = lab.attach(server)
    for port in ports * 3:
        with socket_in(lab.far, socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(10)
            sock.sendto(b"knock", (NEAR, port))
            expect_equal(sorted([sock.recv(100), sock.recv(100)]), [b"fresh", b"knock"], "the answers")
    packets = truth.packets()
    traced.end()
    expect_same(packets, traced.packets())
    expect_equal(server.status("TracerPid"), "0", "TracerPid")


def open_connection(lab):
    """A connection that was there before the attach, and goes on after it."""
    server = lab.start(["nc", "-l", "-k", "7100"], stdin=subprocess.PIPE)
    lab.await_port(7100)
    with socket_in(lab.far, socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.connect((NEAR, 7100))
        connection.sendall(b"before\n")
        wait_for("the first line", lambda: "before" in server.stdout())
        truth = lab.truth()
        traced = lab.attach(server)
        connection.sendall(b"after\n")
        wait_for("the second line", lambda: "after" in server.stdout())
        server.popen.stdin.write(b"answer\n")
        server.popen.stdin.flush()
        connection.settimeout(10)
        expect_equal(connection.recv(100), b"answer\n", "the answer")
        packets = truth.packets()
        traced.end()
    expect_same(packets, traced.packets())


def ended_by(number):
    def test(lab):
        server = lab.web_server(lab.near)
        traced = lab.attach(server)
        lab.run(["curl", "-sS", f"http://{NEAR}:8080/hello"], namespace=lab.far)
        wait_for("packets in the file", lambda: len(traced.packets_so_far()) >= 6)
        traced.signal(number)
        traced.wait()
        wait_for("the server to be free", lambda: server.status("TracerPid") == "0")
        expect_equal(lab.run(["curl", "-sS", f"http://{NEAR}:8080/hello"], namespace=lab.far), "hello\n", "its answer")
        assert len(traced.packets()) >= 6, "the file does not hold what was captured"
        return traced
    return test


def ended_by_sigint(lab):
    expect_equal(ended_by(signal.SIGINT)(lab).popen.returncode, 0, "status")


def ended_by_sigterm(lab):
    expect_equal(ended_by(signal.SIGTERM)(lab).popen.returncode, 0, "status")


def ended_by_sighup(lab):
    expect_equal(ended_by(signal.SIGHUP)(lab).popen.returncode, 0, "status")


def ended_by_sigkill(lab):
    ended_by(signal.SIGKILL)(lab)


def targets_end(lab):
    """Two processes; the capture ends with the last of them."""
    one, two = Talker(lab, "idle_ports"), Talker(lab, "idle_ports")
    traced = lab.attach(one, two)
    one.hang_up()
    one.wait()
    assert traced.running(), "tracedump ended with the first of two"
    two.hang_up()
    expect_equal(traced.wait(), 0, "status")
    assert "2 processes" in traced.stderr(), traced.stderr()


def stopped_stays_stopped(lab):
    idle = Talker(lab, "idle_ports")
    idle.signal(signal.SIGSTOP)
    wait_for("the stop", lambda: idle.status("State").startswith("T"))
    traced = lab.attach(idle)
    traced.end()
    expect_equal(idle.status("State"), "T (stopped)", "state after the detach")
    idle.signal(signal.SIGCONT)
    idle.hang_up()
    expect_equal(idle.wait(), 0, "the target's status")


main(idle_sockets, threads_and_fresh_sockets, open_connection, ended_by_sigint, ended_by_sigterm, ended_by_sighup,
     ended_by_sigkill, targets_end, stopped_stays_stopped)
