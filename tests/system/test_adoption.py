"""Sockets that no system call of the application showed being born: they are adopted, soon, and exact from then on."""

import os
import socket

from harness import FAR, HERE, HOOKED, NEAR, expect_equal, expect_same, main, program, socket_in, wait_for

RECEIVER = f"""
import array, ctypes, os, socket, sys
channel = socket.socket(fileno=int(sys.argv[1]))
def step(what): print(what, flush=True); sys.stdin.readline()
def talk(s):
    for i in range(10):
        s.send(b"hello %d" % i)
        s.recv(100)
"""


class Receiver:
    """A traced Python program that has one end of a channel, and goes on when it is told to."""

    def __init__(self, lab, script, attached=False):
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        orders, self.orders = os.pipe()
        command = ["python3", "-c", RECEIVER + script, str(theirs.fileno())]
        options = {"stdin": orders, "pass_fds": [theirs.fileno()]}
        if attached:
            self.program = lab.start(command, **options)
            self.traced = lab.tracedump([str(self.program.pid)], options=["--debug=3"])
        else:
            self.program = self.traced = lab.tracedump(["--", *command], options=["--debug=3"], **options)
        self.traced.await_begin()
        os.close(orders)
        theirs.close()

    def await_line(self, text):
        wait_for(text, lambda: text in self.program.stdout())

    def await_adoption(self, text):
        wait_for("the adoption", lambda: text in self.traced.stderr())

    def go_on(self):
        os.write(self.orders, b"\n")

    def end(self):
        expect_equal(self.program.wait(), 0, "status of the program")
        expect_equal(self.traced.wait(), 0, "status")
        return self.traced.packets()


def echo_server(lab):
    lab.start(["python3", "-B", HERE / "asyncio_echo.py", "serve", "7000"], namespace=lab.far)
    lab.await_port(7000, "tcp", lab.far)
    lab.await_port(7000, "udp", lab.far)


def given_sockets(lab, attached):
    """A stranger opens sockets, the application receives and uses them."""
    echo_server(lab)
    truth = lab.truth()
    receiver = Receiver(lab, """
_, fds, _, _ = socket.recv_fds(channel, 10, 2)
step("received")
for fd in fds:
    s = socket.socket(fileno=fd)
    talk(s)
    s.close()
""", attached)
    with socket_in(lab.near, socket.AF_INET, socket.SOCK_STREAM) as tcp, \
            socket_in(lab.near, socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.connect((FAR, 7000))
        udp.connect((FAR, 7000))
        ports = [s.getsockname()[1] for s in (tcp, udp)]
        socket.send_fds(receiver.channel, [b"x"], [tcp.fileno(), udp.fileno()])
        receiver.await_line("received")
        receiver.await_adoption(f"tcp {NEAR}:{ports[0]} > {FAR}:7000 opened")
        receiver.await_adoption(f"udp {NEAR}:{ports[1]} opened")
    receiver.go_on()
    captured = receiver.end()
    # The first three are the stranger's handshake.
    expect_same(truth.packets()[3:], captured)


def received_when_launched(lab):
    given_sockets(lab, attached=False)


def received_when_attached(lab):
    given_sockets(lab, attached=True)


def listener_received(lab):
    """What arrives for a listener that was received is the application's, from the handshake on."""
    truth = lab.truth()
    receiver = Receiver(lab, """
_, fds, _, _ = socket.recv_fds(channel, 10, 1)
step("received")
connection, _ = socket.socket(fileno=fds[0]).accept()
connection.sendall(connection.recv(100))
connection.close()
""")
    with socket_in(lab.near, socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind((NEAR, 7700))
        listener.listen()
        socket.send_fds(receiver.channel, [b"x"], [listener.fileno()])
        receiver.await_line("received")
        receiver.await_adoption(f"tcp {NEAR}:7700 opened")
    receiver.go_on()
    with socket_in(lab.far, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.connect((NEAR, 7700))
        client.sendall(b"hello")
        expect_equal(client.recv(100), b"hello", "the answer")
        expect_equal(client.recv(100), b"", "the end")
    expect_same(truth.packets(), receiver.end())


def deaths_are_announced_where_no_hook_tells(lab):
    """To announce the death of sockets takes the kernel time, for strangers' too: only what hooks do not tell."""
    all_groups, tcp_groups = 0b1111, 0b0101  # enum sknetlink_groups of linux/sock_diag.h

    def announced():
        rows = [line.split() for line in lab.run(["cat", "/proc/net/netlink"]).splitlines()[1:]]
        return max(int(row[3], 16) for row in rows if row[1] == "4")  # NETLINK_SOCK_DIAG

    with socket_in(lab.far, socket.AF_INET, socket.SOCK_STREAM) as peer, \
            socket_in(lab.near, socket.AF_INET, socket.SOCK_STREAM) as given:
        peer.bind((FAR, 7700))
        peer.listen()
        given.connect((FAR, 7700))
        receiver = Receiver(lab, f"""
socket.create_connection(("{FAR}", 7700)).close()
step("of its own")
_, fds, _, _ = socket.recv_fds(channel, 10, 1)
step("received")
""")
        receiver.await_line("of its own")
        wait_for("the connection's end", lambda: f"> {FAR}:7700 closed" in receiver.traced.stderr())
        expect_equal(announced(), 0 if HOOKED else all_groups, "groups")
        receiver.go_on()
        socket.send_fds(receiver.channel, [b"x"], [given.fileno()])
        receiver.await_line("received")
        wait_for("another announcement", lambda: announced() == (tcp_groups if HOOKED else all_groups))
        receiver.go_on()
        receiver.end()
    attached = lab.attach(lab.start(["sleep", "60"]))
    expect_equal(announced(), tcp_groups if HOOKED else all_groups, "groups of an attached process")
    attached.end()


def taken_by_pidfd(lab):
    """By pidfd_getfd(2): the socket is the application's from its first packet on."""
    echo_server(lab)
    truth = lab.truth()
    with socket_in(lab.near, socket.AF_INET, socket.SOCK_STREAM) as tcp:
        tcp.connect((FAR, 7000))
        receiver = Receiver(lab, f"""
step("ready")
pidfd = os.pidfd_open({os.getpid()})
s = socket.socket(fileno=ctypes.CDLL(None).syscall(438, pidfd, {tcp.fileno()}, 0))
talk(s)
step("talked")
s.close()
""")
        receiver.await_line("ready")
        receiver.go_on()
        receiver.await_line("talked")
        receiver.await_adoption(f":{tcp.getsockname()[1]} > {FAR}:7000 opened")
        receiver.go_on()
        expect_equal(receiver.program.wait(), 0, "status")
    # The stranger's own are the handshake, and the end after the capture.
    captured = receiver.traced.packets()
    expect_same(truth.packets()[3:3 + len(captured)], captured)
    assert len(captured) >= 20, len(captured)


def opened_through_io_uring(lab, *ways):
    """Without hooks its handshake is over before it is found; the rest is there, and tracedump says what is missing,
    once."""
    echo_server(lab)
    truth = lab.truth()
    orders, ours = os.pipe()
    traced = lab.tracedump(["--", program("ring"), *ways, "client", FAR, "7000"], options=["--debug=3"], stdin=orders)
    wait_for("the adoption", lambda: f"> {FAR}:7000 opened" in traced.stderr())
    os.write(ours, b"\n")
    expect_equal(traced.wait(), 0, "status")
    expect_equal(traced.stdout(), "connected\nhello\n", "what the client said")
    expect_equal(traced.stderr().count("uses io_uring"), 0 if HOOKED else 1, "warnings")
    packets = truth.packets()
    captured = traced.packets()
    # If it was found in time, the end of the handshake is there too.
    early = len(packets) - len(captured)
    assert early <= (0 if HOOKED else 3), early
    expect_same(packets[early:], captured)


def opened_for_the_io_uring_alone(lab):
    """A direct descriptor, which is in no table of descriptors."""
    opened_through_io_uring(lab, "direct")


def served_through_io_uring(lab):
    serve_through_io_uring(lab)


def serve_through_io_uring(lab, *ways, port=7800):
    truth = lab.truth()
    orders, ours = os.pipe()
    traced = lab.tracedump(["--", program("ring"), *ways, "server", str(port)], options=["--debug=3"], stdin=orders)
    wait_for("the adoption", lambda: f"tcp *:{port} opened" in traced.stderr())
    os.write(ours, b"\n")
    with socket_in(lab.far, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.connect((NEAR, port))
        client.sendall(b"hello")
        expect_equal(client.recv(100), b"hello", "the answer")
        expect_equal(client.recv(100), b"", "the end")
    expect_equal(traced.wait(), 0, "status")
    expect_same(truth.packets(), traced.packets())


def everything_through_io_uring(lab):
    """With hooks: direct descriptors, submissions by a thread of the kernel, datagrams; from the first packet."""
    if not HOOKED:
        return
    echo_server(lab)
    for port, ways in enumerate(((), ("direct",), ("sqpoll",), ("direct", "sqpoll")), 7800):
        serve_through_io_uring(lab, *ways, port=port)
        truth = lab.truth()
        orders, ours = os.pipe()
        os.write(ours, b"\n")
        traced = lab.tracedump(["--", program("ring"), *ways, "client", FAR, "7000"], stdin=orders)
        expect_equal((traced.wait(), traced.stdout()), (0, "connected\nhello\n"), f"status and words of {ways}")
        expect_same(truth.packets(), traced.packets())
        truth = lab.truth()
        traced = lab.launch([program("ring"), *ways, "datagrams", FAR, "7000"])
        expect_equal(traced.stdout(), "to an address\nconnected\n", f"words of {ways}")
        expect_same(truth.packets(), traced.packets())


def attached_to_io_uring(lab):
    """With hooks: a process whose submissions are made by a thread of the kernel, which nobody can trace."""
    if not HOOKED:
        return
    orders, ours = os.pipe()
    server = lab.start([program("ring"), "sqpoll", "server", "7801"], stdin=orders)
    wait_for("the server", lambda: "listening" in server.stdout())
    truth = lab.truth()
    traced = lab.attach(server)
    os.write(ours, b"\n")
    with socket_in(lab.far, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.connect((NEAR, 7801))
        client.sendall(b"hello")
        expect_equal(client.recv(100), b"hello", "the answer")
        expect_equal(client.recv(100), b"", "the end")
    expect_equal((traced.wait(), server.wait()), (0, 0), "statuses")
    expect_same(truth.packets(), traced.packets())


main(received_when_launched, received_when_attached, listener_received, deaths_are_announced_where_no_hook_tells,
     taken_by_pidfd, opened_through_io_uring, opened_for_the_io_uring_alone, served_through_io_uring,
     everything_through_io_uring, attached_to_io_uring)
