"""Ports are numbers of a network namespace: each that the application lives in is captured, and no stranger there."""

import contextlib
import ctypes
import os
import pathlib
import socket
import subprocess
import sys

import pcap
from harness import FAR, HERE, NEAR, expect_equal, expect_same, main, wait_for
from scripted import Scripted

THIRD = "10.78.0.3"


@contextlib.contextmanager
def third_namespace(lab):
    """One more namespace, with an address of its own beside `far`."""
    name = lab.near + "3"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        for words in (["-n", name, "link", "set", "lo", "up"],
                      ["-n", name, "link", "add", "veth3", "type", "veth", "peer", "name", "veth3", "netns", lab.far],
                      ["-n", name, "address", "add", THIRD + "/24", "dev", "veth3"],
                      ["-n", lab.far, "address", "add", "10.78.0.2/24", "dev", "veth3"],
                      ["-n", name, "link", "set", "veth3", "up"], ["-n", lab.far, "link", "set", "veth3", "up"]):
            subprocess.run(["ip", *words], check=True)
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def target_in_another_namespace(lab):
    """tracedump runs in `near`, the server lives in `far`, and a server with the same port in `near` is a stranger."""
    theirs = lab.web_server(lab.far)
    strangers = lab.start(["python3", "-m", "http.server", "--bind", "::", "8080"])
    lab.await_port(8080)
    traced = lab.attach(theirs)
    truth = lab.truth(namespace=lab.far)
    for address in (FAR, "127.0.0.1", NEAR):
        lab.run(["curl", "-s", f"http://{address}:8080/"])
    lab.run(["curl", "-s", "http://127.0.0.1:8080/hello"], namespace=lab.far)
    everything = truth.packets()
    traced.end()
    expect_same(everything, traced.packets())
    assert strangers.running()


def command_that_lives_in_two(lab):
    """The client enters the namespace of the server, which the same command has started in another."""
    with third_namespace(lab) as third:
        lab.web_server(lab.far)
        truths = [lab.truth(), lab.truth(namespace=third)]
        script = f"""
curl -s http://{FAR}:8080/hello
ip netns exec {third} curl -s http://10.78.0.2:8080/hello
curl -s http://{FAR}:8080/hello & ip netns exec {third} curl -s http://10.78.0.2:8080/hello; wait
"""
        traced = lab.launch(["sh", "-c", script])
        expect_equal(traced.stdout(), "hello\n" * 4, "what the command printed")
        expect_same([p for truth in truths for p in truth.packets()], traced.packets())


def two_that_talk_to_each_other(lab):
    """A packet that leaves one namespace of the application for another is one packet."""
    truth = lab.truth()
    script = f"""
import os, socket, ctypes, threading
def enter(name):
    ctypes.CDLL(None).setns(os.open("/run/netns/" + name, os.O_RDONLY), 0x40000000)
ready = threading.Event()
def serve():
    enter("{lab.far}")
    listener = socket.create_server(("", 7500))
    ready.set()
    connection, _ = listener.accept()
    while data := connection.recv(1000):
        connection.sendall(data)
    connection.close()
server = threading.Thread(target=serve)
server.start()
ready.wait()
client = socket.create_connection(("{FAR}", 7500))
for i in range(20):
    client.sendall(b"hello %d" % i)
    client.recv(1000)
client.close()
server.join()
"""
    traced = lab.launch(["python3", "-c", script])
    expect_same(truth.packets(), traced.packets())


def one_that_moves_later(lab):
    """Sockets stay where they were opened, whatever becomes of the process that has them."""
    with third_namespace(lab) as third:
        lab.start(["python3", "-B", pathlib.Path(__file__).parent / "asyncio_echo.py", "serve", "7000"],
                  namespace=lab.far)
        lab.await_port(7000, "udp", lab.far)
        truths = [lab.truth(), lab.truth(namespace=third)]
        script = f"""
import ctypes, os, socket
def talk(s, address):
    s.sendto(b"hello", (address, 7000))
    s.recv(100)
def udp(port):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("", port))
    return s
here = udp(31000)
talk(here, "{FAR}")
if ctypes.CDLL(None).setns(os.open("/run/netns/{third}", os.O_RDONLY), 0x40000000) != 0: raise OSError("setns")
there = udp(31000)
for i in range(5):
    talk(here, "{FAR}")
    talk(there, "10.78.0.2")
ctypes.CDLL(None).unshare(0x40000000)
os.system("ip link set lo up")
lonely, listener = udp(31001), udp(31000)
lonely.sendto(b"to myself", ("127.0.0.1", 31000))
listener.recv(100)
talk(here, "{FAR}")
"""
        traced = lab.launch(["python3", "-c", script])
        captured = traced.packets()
        lonely = [p for p in captured if p.ip.endswith(b"to myself")]
        expect_equal(len(lonely), 1, "packets in the namespace that the process made for itself")
        expect_same([p for truth in truths for p in truth.packets()], [p for p in captured if p not in lonely])


def sockets_that_wait(lab):
    """Nothing of the application is in their namespace but they, without a port, for longer than it takes to leave it."""
    with third_namespace(lab) as third:
        lab.start([sys.executable, "-B", HERE / "asyncio_echo.py", "serve", "7000"], namespace=lab.far)
        lab.await_port(7000, "udp", lab.far)
        lab.await_port(7000, "tcp", lab.far)
        script = f"""
import ctypes, os
if ctypes.CDLL(None).setns(os.open("/run/netns/{third}", os.O_RDONLY), 0x40000000) != 0: raise OSError("setns")
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
connection = socket.socket()
step()
for i in range(2):
    datagrams.sendto(b"hello", ("10.78.0.2", 7000))
    datagrams.recv(100)
datagrams.close()
step()
connection.connect(("10.78.0.2", 7000))
connection.sendall(b"hello")
connection.recv(100)
connection.close()
"""
        options = ["--debug=4", "--"]
        traced = Scripted(lambda command, **more: lab.tracedump([*options, *command], **more), script)
        truth = lab.truth(namespace=third)
        sweeps = lambda: traced.process.stderr().count("gc: sweep")
        for to_the_end in (False, True):
            before = sweeps()
            wait_for("sweeps", lambda: sweeps() >= before + 2)
            traced.go_on(to_the_end)
        expect_equal(traced.process.wait(), 0, "status")
        expect_same(truth.packets(), traced.process.packets())


def two_processes_in_two_namespaces(lab):
    """Attached to a server in each, on the same port; strangers have that port in `near`."""
    with third_namespace(lab) as third:
        servers = []
        for number, namespace in enumerate((lab.far, third)):
            folder = lab.folder / f"site{number}"
            folder.mkdir()
            servers.append(lab.start(["python3", "-m", "http.server", "--bind", "0.0.0.0", "8080"],
                                     namespace=namespace))
            lab.await_port(8080, namespace=namespace)
        traced = lab.attach(*servers)
        truths = [lab.truth(namespace=lab.far), lab.truth(namespace=third)]
        lab.run(["curl", "-s", f"http://{FAR}:8080/"])
        lab.run(["curl", "-s", "http://127.0.0.1:8080/"], namespace=third)
        # A stranger's: a client of a traced server in a namespace that is captured, seen on its way by both.
        lab.run(["curl", "-s", f"http://{THIRD}:8080/"], namespace=lab.far)
        first, second = (truth.packets() for truth in truths)
        crossing = [p for p in first if THIRD in (str(p.source), str(p.destination))]
        assert crossing
        traced.end()
        expect_same([p for p in first if p not in crossing] + second, traced.packets())


def a_namespace_that_is_gone(lab):
    """Once the application has left a namespace, tracedump does not keep it in existence: its devices go with it."""
    script = """
import ctypes, os, socket, sys
if os.fork() == 0:
    ctypes.CDLL(None).unshare(0x40000000)
    os.system("ip link set lo up; ip link add away type veth peer name near7 netns %d" % os.getppid())
    s = socket.create_server(("127.0.0.1", 7600))
    c = socket.create_connection(("127.0.0.1", 7600))
    c.sendall(b"x")
    os._exit(0)
os.wait()
sys.stdin.read()
"""
    orders, ours = os.pipe()
    traced = lab.tracedump(["--", "python3", "-c", script], stdin=orders)
    os.close(orders)
    device = ["ip", "-n", lab.near, "link", "show", "dev", "near7"]
    exists = lambda: subprocess.run(device, capture_output=True, check=False).returncode == 0
    wait_for("the device", exists)
    wait_for("the device to go", lambda: not exists())
    os.close(ours)
    expect_equal(traced.wait(), 0, "status")
    assert len(traced.packets()) >= 4, traced.packets()
    captured = len(pcap.read(traced.file))
    assert f"{captured} packets captured" in traced.stderr(), traced.stderr()


main(target_in_another_namespace, command_that_lives_in_two, two_that_talk_to_each_other, one_that_moves_later,
     sockets_that_wait, two_processes_in_two_namespaces, a_namespace_that_is_gone)
