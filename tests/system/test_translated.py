"""Connections whose addresses this host translates (NAT), as for a container's published port: their packets have other
ends than their socket."""

import ipaddress
import socket
import subprocess
import sys

from harness import DEADLINE, FAR, FAR6, HERE, HOOKED, NEAR, NEAR6, expect_equal, expect_same, ip, main, socket_in
from pcap import difference
from scripted import Scripted

SERVICE, SERVICE6 = "10.99.0.1", "fd99::1"
OTHER, OTHER6 = "10.77.0.8", "fd77::8"
PORT = "7000"


def translate(lab, rules):
    subprocess.run(["ip", "netns", "exec", lab.near, "nft", "-f", "-"], input=rules.encode(), check=True)


def services(lab):
    """10.99.0.1 and fd99::1 are served by `far`, on another port."""
    ip(lab.near, "route", "add", SERVICE, "via", FAR)
    ip(lab.near, "-6", "route", "add", SERVICE6, "via", FAR6)
    translate(lab, f"""
table ip nat {{
    chain out {{
        type nat hook output priority -100
        ip daddr {SERVICE} meta l4proto {{ tcp, udp }} dnat to {FAR}:{PORT}
    }}
}}
table ip6 nat {{
    chain out {{
        type nat hook output priority -100
        ip6 daddr {SERVICE6} meta l4proto {{ tcp, udp }} dnat to [{FAR6}]:{PORT}
    }}
}}
""")


def other_sources(lab):
    """What goes to `far` has another of the host's addresses."""
    ip(lab.near, "address", "add", OTHER + "/24", "dev", "veth0")
    ip(lab.near, "address", "add", OTHER6 + "/64", "dev", "veth0", "nodad")
    translate(lab, f"""
table ip nat {{
    chain post {{
        type nat hook postrouting priority 100
        ip saddr {NEAR} snat to {OTHER}
    }}
}}
table ip6 nat {{
    chain post {{
        type nat hook postrouting priority 100
        ip6 saddr {NEAR6} snat to {OTHER6}
    }}
}}
""")


def echo_server(lab):
    lab.start([sys.executable, "-B", HERE / "asyncio_echo.py", "serve", PORT], namespace=lab.far)
    for kind in ("tcp", "udp"):
        lab.await_port(int(PORT), kind, lab.far)


def talk(v4, v6, port):
    return [sys.executable, "-B", HERE / "asyncio_echo.py", "talk", v4, v6, port]


def expect_all(packets, captured):
    """With system-call stops a connection's first packets have gone by before its port is in the filter: the remote that
    it was waited for is another on the wire."""
    if HOOKED:
        return expect_same(packets, captured)
    missing, extra = difference(packets, captured)
    assert not extra and captured, f"{len(captured)} captured, {len(extra)} too many"
    handshakes = [p for p in packets if "S" in p.flags or p.flags == "."]
    assert not difference(missing, handshakes)[0], f"{len(missing)} missing"


def to_a_service(lab):
    echo_server(lab)
    services(lab)
    truth = lab.truth()
    traced = lab.launch(talk(SERVICE, SERVICE6, "80"))
    expect_all(truth.packets(), traced.packets())


def from_another_address(lab):
    echo_server(lab)
    other_sources(lab)
    truth = lab.truth()
    traced = lab.launch(talk(FAR, FAR6, PORT))
    expect_same(truth.packets(), traced.packets())


def stranger_on_the_same_port(lab):
    """Another process uses the same service meanwhile, from the same port of another address."""
    echo_server(lab)
    services(lab)
    ip(lab.near, "address", "add", OTHER + "/24", "dev", "veth0")
    truth = lab.truth()
    ours = Scripted(lambda command, **options: lab.tracedump(["--", *command], **options), f"""
s = socket.socket()
s.bind(("{NEAR}", 31000))
s.connect(("{SERVICE}", 80))
for _ in range(2):
    s.sendall(b"ours")
    s.recv(100)
    step()
""")
    with socket_in(lab.near, socket.AF_INET, socket.SOCK_STREAM) as stranger:
        stranger.settimeout(DEADLINE)
        stranger.bind((OTHER, 31000))
        stranger.connect((SERVICE, 80))
        stranger.sendall(b"stranger")
        assert stranger.recv(100) == b"stranger"
    ours.go_on()
    ours.go_on(to_the_end=True)
    expect_equal(ours.process.wait(), 0, "status")
    packets = truth.packets()
    own = [p for p in packets if ipaddress.ip_address(NEAR) in (p.source, p.destination)]
    assert len(packets) > len(own), "the stranger was idle"
    expect_all(own, ours.process.packets())


main(to_a_service, from_another_address, stranger_on_the_same_port)
