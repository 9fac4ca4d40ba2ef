"""Connections whose addresses this host translates (NAT), as for a container's published port: their packets have other
ends than their socket."""

import socket
import subprocess
import sys

from harness import (DEADLINE, FAR, FAR6, HERE, HOOKED, NEAR, NEAR6, STRANGER_PORTS, expect_same, main,
                     socket_in)
from pcap import difference

SERVICE, SERVICE6 = "10.99.0.1", "fd99::1"
OTHER, OTHER6 = "10.77.0.8", "fd77::8"
PORT = "7000"


def ip(lab, *words):
    subprocess.run(["ip", "-n", lab.near, *words], check=True, capture_output=True)


def translate(lab, rules):
    subprocess.run(["ip", "netns", "exec", lab.near, "nft", "-f", "-"], input=rules.encode(), check=True)


def services(lab):
    """10.99.0.1 and fd99::1 are served by `far`, on another port."""
    ip(lab, "route", "add", SERVICE, "via", FAR)
    ip(lab, "-6", "route", "add", SERVICE6, "via", FAR6)
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
    ip(lab, "address", "add", OTHER + "/24", "dev", "veth0")
    ip(lab, "address", "add", OTHER6 + "/64", "dev", "veth0", "nodad")
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


def expect_all(truth, traced):
    """With system-call stops a connection's first packets have gone by before its port is in the filter: the remote that
    it was waited for is another on the wire."""
    packets, captured = truth.packets(), traced.packets()
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
    expect_all(truth, lab.launch(talk(SERVICE, SERVICE6, "80")))


def from_another_address(lab):
    echo_server(lab)
    other_sources(lab)
    truth = lab.truth()
    traced = lab.launch(talk(FAR, FAR6, PORT))
    expect_same(truth.packets(), traced.packets())


def strangers_to_the_same(lab):
    """Another process uses the same service meanwhile."""
    echo_server(lab)
    services(lab)
    truth = lab.truth()
    exchanged = 0
    traced = lab.tracedump(["--", *talk(SERVICE, SERVICE6, "80")])
    while traced.running() or exchanged < 3:
        with socket_in(lab.near, socket.AF_INET, socket.SOCK_STREAM) as stranger:
            stranger.settimeout(DEADLINE)
            stranger.bind((NEAR, STRANGER_PORTS[exchanged]))
            stranger.connect((SERVICE, 80))
            stranger.sendall(b"stranger")
            assert stranger.recv(100) == b"stranger"
        exchanged += 1
    expect_all(truth, traced)


main(to_a_service, from_another_address, strangers_to_the_same)
