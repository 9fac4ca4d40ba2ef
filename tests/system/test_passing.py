"""What passes through the host, routed or bridged, is not the application's, though it has a socket on the wildcard
address and that very port. What is meant for an address that the host has been given just now is."""

import contextlib
import ipaddress
import socket
import subprocess
import sys

from harness import DEADLINE, FAR, FAR6, HERE, NEAR, NEAR6, expect_same, ip, main, socket_in, wait_for

BEYOND, BEYOND6 = "10.78.0.2", "fd78::2"
PORT = "7000"


@contextlib.contextmanager
def beyond(lab, v4, v6):
    """A third host, behind `near`: its name, and veth1 of `near` leads there."""
    name = lab.near + "b"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0"], check=True)
        ip(lab.near, "link", "add", "veth1", "type", "veth", "peer", "name", "veth0", "netns", name)
        ip(name, "address", "add", v4 + "/24", "dev", "veth0")
        ip(name, "address", "add", v6 + "/64", "dev", "veth0", "nodad")
        ip(name, "link", "set", "lo", "up")
        ip(name, "link", "set", "veth0", "up")
        ip(lab.near, "link", "set", "veth1", "up")
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False)


def echo_server(lab, namespace):
    server = lab.start([sys.executable, "-B", HERE / "asyncio_echo.py", "serve", PORT], namespace=namespace)
    for kind in ("tcp", "udp"):
        lab.await_port(int(PORT), kind, namespace)
    return server


def talk(lab, v4, v6, namespace=None):
    lab.run([sys.executable, "-B", HERE / "asyncio_echo.py", "talk", v4, v6, PORT], namespace=namespace or lab.far)


def exchange(lab, family, address):
    """Echoes from the address. That of a datagram comes from whatever address the route has: the server's is any."""
    with socket_in(lab.far, family, socket.SOCK_STREAM) as client:
        client.settimeout(DEADLINE)
        client.connect((address, int(PORT)))
        client.sendall(b"hello")
        assert client.recv(100) == b"hello"
    with socket_in(lab.far, family, socket.SOCK_DGRAM) as client:
        client.settimeout(DEADLINE)
        client.sendto(b"hello", (address, int(PORT)))
        assert client.recv(100) == b"hello"


def of(packets, *addresses):
    wanted = set(map(ipaddress.ip_address, addresses))
    return [p for p in packets if wanted & {p.source, p.destination}]


def expect_own_alone(lab, behind, other, other6, device="any"):
    """`near` and the host behind it, which is `other`, are talked to, and that talks to `far`; the server of `near` is
    attached, and has its own packets."""
    server = echo_server(lab, lab.near)
    for namespace in (lab.far, behind):
        echo_server(lab, namespace)
    truth, passing = lab.truth(device), lab.truth(namespace=behind)
    traced = lab.attach(server)
    talk(lab, other, other6)
    talk(lab, NEAR, NEAR6)
    talk(lab, FAR, FAR6, namespace=behind)
    packets, passed = truth.packets(), passing.packets()
    traced.end()
    assert len(of(passed, FAR)) > 100 and len(of(passed, FAR6)) > 100, "nothing passed through"
    expect_same(of(packets, NEAR, NEAR6), traced.packets())


def routed(lab):
    with beyond(lab, BEYOND, BEYOND6) as name:
        subprocess.run(["ip", "netns", "exec", lab.near, "sysctl", "-qw", "net.ipv4.ip_forward=1",
                        "net.ipv6.conf.all.forwarding=1"], check=True)
        ip(lab.near, "address", "add", "10.78.0.1/24", "dev", "veth1")
        ip(lab.near, "address", "add", "fd78::1/64", "dev", "veth1", "nodad")
        for namespace, net, hop, net6, hop6 in ((lab.far, "10.78.0.0/24", NEAR, "fd78::/64", NEAR6),
                                                (name, "10.77.0.0/24", "10.78.0.1", "fd77::/64", "fd78::1")):
            ip(namespace, "route", "add", net, "via", hop)
            ip(namespace, "-6", "route", "add", net6, "via", hop6)
        expect_own_alone(lab, name, BEYOND, BEYOND6)


def bridged(lab):
    other, other6 = "10.77.0.3", "fd77::3"
    with beyond(lab, other, other6) as name:
        ip(lab.near, "link", "add", "br0", "type", "bridge")
        ip(lab.near, "address", "flush", "dev", "veth0")
        for port in ("veth0", "veth1"):
            ip(lab.near, "link", "set", port, "master", "br0")
        ip(lab.near, "address", "add", NEAR + "/24", "dev", "br0")
        ip(lab.near, "address", "add", NEAR6 + "/64", "dev", "br0", "nodad")
        ip(lab.near, "link", "set", "br0", "up")
        expect_own_alone(lab, name, other, other6, "br0")


def new_address(lab):
    """Addresses come and go while the capture runs: each has its packets, from the first on, while it is there."""
    server = echo_server(lab, lab.near)
    truth = lab.truth()
    traced = lab.attach(server)
    for i in range(5):
        v4, v6 = f"10.77.0.1{i}", f"fd77::1{i}"
        ip(lab.near, "address", "add", v4 + "/24", "dev", "veth0")
        ip(lab.near, "address", "add", v6 + "/64", "dev", "veth0", "nodad")
        for family, address in ((socket.AF_INET, v4), (socket.AF_INET6, v6)):
            exchange(lab, family, address)
        if i % 2:
            ip(lab.near, "address", "delete", v4 + "/24", "dev", "veth0")
            ip(lab.near, "address", "delete", v6 + "/64", "dev", "veth0")
    packets = truth.packets()
    traced.end()
    expect_same(packets, traced.packets())


def moved_address(lab):
    """An address of this host moves to the one behind it: what goes there from then on passes through."""
    with beyond(lab, "10.78.0.2", BEYOND6) as name:
        subprocess.run(["ip", "netns", "exec", lab.near, "sysctl", "-qw", "net.ipv4.ip_forward=1"], check=True)
        ip(lab.near, "address", "add", "10.78.0.1/24", "dev", "veth1")
        ip(lab.near, "address", "add", "10.79.0.1/32", "dev", "veth1")
        ip(lab.far, "route", "add", "10.79.0.1", "via", NEAR)
        ip(name, "route", "add", "10.77.0.0/24", "via", "10.78.0.1")
        server = echo_server(lab, lab.near)
        echo_server(lab, name)
        truth = lab.truth()
        traced = lab.attach(server, options=["--debug=4"])
        exchange(lab, socket.AF_INET, "10.79.0.1")
        own = truth.packets()
        ip(lab.near, "address", "delete", "10.79.0.1/32", "dev", "veth1")
        wait_for("the news", lambda: "10.79.0.1:0 is gone" in traced.stderr())
        ip(name, "address", "add", "10.79.0.1/32", "dev", "veth0")
        ip(lab.near, "route", "add", "10.79.0.1", "via", "10.78.0.2")
        for _ in range(5):
            exchange(lab, socket.AF_INET, "10.79.0.1")
        traced.end()
        expect_same(own, traced.packets())


main(routed, bridged, new_address, moved_address)
