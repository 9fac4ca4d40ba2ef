"""A packet that crosses several devices of the host is recorded once: bridge, macvlan, VLAN, bond.

The truth is what the device that has the address saw; the capture sees that one and those beneath it."""

import subprocess
import sys

from harness import FAR, FAR6, HERE, NEAR, NEAR6, expect_same, main, program


def ip(namespace, *words):
    subprocess.run(["ip", "-n", namespace, *words], check=True, capture_output=True)


def addresses(namespace, device, v4, v6):
    ip(namespace, "address", "add", v4 + "/24", "dev", device)
    ip(namespace, "address", "add", v6 + "/64", "dev", device, "nodad")
    ip(namespace, "link", "set", device, "up")


def exchange(lab, device):
    """Connections and datagrams by every call, with fragments, through `device`."""
    lab.start([sys.executable, "-B", HERE / "asyncio_echo.py", "serve", "7000"], namespace=lab.far)
    lab.await_port(7000, "tcp", lab.far)
    lab.await_port(7000, "udp", lab.far)
    truth = lab.truth(device)
    calls = [program("tcp_calls"), FAR, FAR6, "7000", "7001", "5"]
    datagrams = [program("udp_calls"), FAR, FAR6, "7000"]
    talk = [sys.executable, "-B", HERE / "asyncio_echo.py", "talk", FAR, FAR6, "7000"]
    traced = lab.launch(["sh", "-c", " && ".join(" ".join(map(str, command)) for command in (calls, datagrams, talk))])
    expect_same(truth.packets(), traced.packets())


def bridge(lab):
    ip(lab.near, "link", "add", "br0", "type", "bridge")
    ip(lab.near, "address", "flush", "dev", "veth0")
    ip(lab.near, "link", "set", "veth0", "master", "br0")
    addresses(lab.near, "br0", NEAR, NEAR6)
    exchange(lab, "br0")


def macvlan(lab):
    ip(lab.near, "address", "flush", "dev", "veth0")
    ip(lab.near, "link", "add", "link", "veth0", "name", "mac0", "type", "macvlan", "mode", "bridge")
    addresses(lab.near, "mac0", NEAR, NEAR6)
    exchange(lab, "mac0")


def vlan(lab):
    for namespace, v4, v6 in ((lab.near, NEAR, NEAR6), (lab.far, FAR, FAR6)):
        ip(namespace, "address", "flush", "dev", "veth0")
        ip(namespace, "link", "add", "link", "veth0", "name", "vlan5", "type", "vlan", "id", "5")
        addresses(namespace, "vlan5", v4, v6)
    exchange(lab, "vlan5")


def bond(lab):
    ip(lab.near, "link", "add", "bond0", "type", "bond", "mode", "active-backup")
    ip(lab.near, "link", "set", "veth0", "down")
    ip(lab.near, "address", "flush", "dev", "veth0")
    ip(lab.near, "link", "set", "veth0", "master", "bond0")
    addresses(lab.near, "bond0", NEAR, NEAR6)
    exchange(lab, "bond0")


def supported(kind):
    """Some kernels are built without a kind of device; then there is nothing to see."""
    base = "ip link add base type veth"
    probe = "ip link add link base name probe type vlan id 5" if kind == "vlan" else f"ip link add probe type {kind}"
    namespace = ["unshare", "--net", "sh", "-c", f"{base} && {probe}"]
    return subprocess.run(namespace, capture_output=True, check=False).returncode == 0


main(bridge, macvlan, *[test for test in (vlan, bond) if supported(test.__name__)])
