"""Servers: whatever accepts, and however it came by its listener, what arrives for it is the application's."""

import os
import socket
import subprocess

from harness import (FAR, FAR6, NEAR, NEAR6, STRANGER_PORTS, expect_equal, expect_same, main, program, socket_in,
                     wait_for)
from scripted import Scripted

THEIR_PORTS = (str(STRANGER_PORTS[0]), str(STRANGER_PORTS[-1]))


def ten_thousand_connections(lab, server, begin):
    """10,000 connections and as many datagrams for the application, while strangers serve as many next to it."""
    subprocess.run(["ip", "netns", "exec", lab.far, "sysctl", "-qw", "net.ipv4.ip_local_port_range=20000 60999"],
                   check=True)
    strangers = lab.start([program("echo_server"), "7100"])
    lab.await_port(7100)
    begin()
    lab.await_port(7000)
    lab.await_port(7000, "udp")
    truth = lab.truth(largest=2000)
    load = [program("storm"), NEAR, NEAR6]
    clients = [lab.start([*load, "7000", "8", "4", "625", "30000", "60999"], namespace=lab.far),
               lab.start([*load, "7100", "4", "4", "125", *THEIR_PORTS], namespace=lab.far)]
    expect_equal([client.wait(120) for client in clients], [0, 0], "statuses of the clients")
    wait_for("connections to close", lambda: not lab.run(["ss", "-Htn", "state", "connected", "exclude", "time-wait",
                                                          "sport", "=", ":7000"]).strip())
    packets = truth.packets()
    assert len(packets) > 80000, len(packets)
    assert strangers.running()
    return packets


def many_for_an_attached_server(lab):
    server = lab.start([program("echo_server"), "7000"])
    lab.await_port(7000)
    attached = []
    packets = ten_thousand_connections(lab, server, lambda: attached.append(lab.attach(server)))
    attached[0].end()
    expect_same(packets, attached[0].packets())


def many_for_a_launched_server(lab):
    launched = []
    packets = ten_thousand_connections(
        lab, None, lambda: launched.append(lab.tracedump(["--", "sh", "-c", f"exec {program('echo_server')} 7000"])))
    launched[0].signal(15)
    expect_equal(launched[0].wait(), -15, "death by the signal that was passed on")
    expect_same(packets, launched[0].packets())


SERVE = """
def serve(listener, count):
    for _ in range(count):
        connection, _ = listener.accept()
        connection.sendall(connection.recv(100))
        connection.close()
"""


def talk(lab, port, count):
    for _ in range(count):
        with socket_in(lab.far, socket.AF_INET, socket.SOCK_STREAM) as client:
            client.connect((NEAR, port))
            client.sendall(b"hello")
            expect_equal(client.recv(100), b"hello", "the answer")
            expect_equal(client.recv(100), b"", "the end")


def prefork(lab):
    """The parent listens, four children accept, one of a grandchild's generation."""
    truth = lab.truth()
    traced = lab.tracedump(["--", "python3", "-c", "import os, socket" + SERVE + f"""
listener = socket.create_server(("{NEAR}", 7200), backlog=64)
for worker in range(4):
    if os.fork() == 0:
        if worker == 3 and os.fork() != 0: os._exit(os.wait()[1])
        serve(listener, 10)
        os._exit(0)
listener.close()
for worker in range(4): os.wait()
"""])
    lab.await_port(7200)
    talk(lab, 7200, 40)
    expect_equal(traced.wait(), 0, "status")
    expect_same(truth.packets(), traced.packets())


def listener_inherited_by_a_command(lab):
    """As from systemd or inetd: the descriptor was there before tracedump was."""
    truth = lab.truth()
    with socket_in(lab.near, socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((NEAR, 7200))
        listener.listen()
        traced = lab.tracedump(["--", "python3", "-c", "import socket, sys" + SERVE +
                                "serve(socket.socket(fileno=int(sys.argv[1])), 5)", str(listener.fileno())],
                               pass_fds=[listener.fileno()])
        traced.await_begin()
        talk(lab, 7200, 5)
        expect_equal(traced.wait(), 0, "status")
        expect_same(truth.packets(), traced.packets())


def connection_as_standard_streams(lab):
    """As from inetd: the connection is the command's standard input and output, and its last reference is too."""
    for options in ([], ["--no-seccomp"]):
        truth = lab.truth()
        with socket_in(lab.near, socket.AF_INET, socket.SOCK_STREAM) as listener, \
                socket_in(lab.far, socket.AF_INET, socket.SOCK_STREAM) as client:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((NEAR, 7200))
            listener.listen()
            client.connect((NEAR, 7200))
            accepted, _ = listener.accept()
            orders, ours = os.pipe()
            traced = lab.tracedump(["--", "sh", "-c", f"head -n 1; exec <&- >&-; read x <&{orders}; exit 4"],
                                   options=options, file=f"{len(options)}.pcap", stdin=accepted, stdout=accepted,
                                   pass_fds=[orders])
            traced.await_begin()
            accepted.close()
            client.settimeout(30)
            client.sendall(b"hello\n")
            expect_equal(client.recv(100), b"hello\n", "the answer")
            expect_equal(client.recv(100), b"", "the end, while the command goes on")
        os.write(ours, b"\n")
        expect_equal(traced.wait(), 4, "status")
        expect_same(truth.packets()[3:], traced.packets())  # the handshake was before tracedump


def child_of_a_parent_that_listens(lab):
    """Attached to the child that accepts; the parent, which listens, is not traced."""
    parent = Scripted(lab.start, SERVE + f"""
listener = socket.create_server(("{NEAR}", 7200))
child = os.fork()
if child == 0:
    serve(listener, 5)
    os._exit(0)
print("child", child, flush=True)
step()
""")
    child = int(parent.process.stdout().split()[1])
    traced = lab.attach(child)
    truth = lab.truth()
    talk(lab, 7200, 5)
    parent.go_on(to_the_end=True)
    expect_equal(traced.wait(), 0, "status")
    expect_same(truth.packets(), traced.packets())


def port_shared_with_a_stranger(lab):
    """SO_REUSEPORT: whose a packet is shows in no packet. All of the port's are taken, and nothing else."""
    share = f"""
def bound(kind):
    s = socket.socket(socket.AF_INET, kind)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    s.bind(("{NEAR}", 7200))
    return s
import threading
udp, tcp = bound(socket.SOCK_DGRAM), bound(socket.SOCK_STREAM)
tcp.listen(64)
def datagrams():
    while True: udp.sendto(*udp.recvfrom(100))
threading.Thread(target=datagrams, daemon=True).start()
threading.Thread(target=serve, args=(tcp, 1000), daemon=True).start()
step()
"""
    stranger = Scripted(lab.start, SERVE + share)
    ours = Scripted(lambda command, **options: lab.tracedump(["--", *command], **options), SERVE + share)
    truth = lab.truth()
    talk(lab, 7200, 40)
    for _ in range(40):
        with socket_in(lab.far, socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect((NEAR, 7200))
            client.send(b"hello")
            expect_equal(client.recv(100), b"hello", "the answer")
    for program_ in (ours, stranger):
        program_.go_on(to_the_end=True)
    expect_equal(ours.process.wait(), 0, "status")
    expect_same(truth.packets(), ours.process.packets())


def stranger_in_the_other_family(lab):
    """On [::]:7300 the application receives IPv6 alone; on 0.0.0.0:7300 sits a stranger."""
    echo = """
import threading
def bound(kind):
    s = socket.socket(FAMILY, kind)
    if FAMILY == socket.AF_INET6: s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    s.bind(("", 7300))
    return s
udp, tcp = bound(socket.SOCK_DGRAM), bound(socket.SOCK_STREAM)
def datagrams():
    while True: udp.sendto(*udp.recvfrom(100))
threading.Thread(target=datagrams, daemon=True).start()
step()
tcp.listen(64)
threading.Thread(target=serve, args=(tcp, 1000), daemon=True).start()
step()
"""
    stranger = Scripted(lab.start, SERVE + echo.replace("FAMILY", "socket.AF_INET"))
    stranger.go_on()
    ours = Scripted(lambda command, **options: lab.tracedump(["--", *command], **options),
                    SERVE + echo.replace("FAMILY", "socket.AF_INET6"))
    truth = lab.truth()

    def talk_to(*servers):
        for family, address, kind in servers:
            with socket_in(lab.far, family, kind) as client:
                client.settimeout(30)
                client.connect((address, 7300))
                client.send(b"hello")
                expect_equal(client.recv(100), b"hello", "the answer")

    theirs = [(socket.AF_INET, NEAR, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]
    talk_to(*theirs, (socket.AF_INET6, NEAR6, socket.SOCK_DGRAM))  # our TCP is bound, and does not listen yet
    ours.go_on()
    talk_to(*theirs, *((socket.AF_INET6, NEAR6, kind) for _, _, kind in theirs))
    for program_ in (ours, stranger):
        program_.go_on(to_the_end=True)
    expect_equal(ours.process.wait(), 0, "status")
    expect_same([p for p in truth.packets() if str(p.source) in (NEAR6, FAR6)], ours.process.packets())


main(many_for_an_attached_server, many_for_a_launched_server, prefork, listener_inherited_by_a_command,
     connection_as_standard_streams, child_of_a_parent_that_listens, port_shared_with_a_stranger,
     stranger_in_the_other_family)
