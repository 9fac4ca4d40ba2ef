"""Each system call by which a socket can get its port: the first packet is in the file, and nobody else's is."""

import platform

from harness import FAR, FAR6, HERE, expect_same, main, program


def echo_server(lab):
    lab.start(["python3", "-B", HERE / "asyncio_echo.py", "serve", "7000"], namespace=lab.far)
    lab.await_port(7000, "tcp", lab.far)
    lab.await_port(7000, "udp", lab.far)


def traced_calls(lab, command, options=()):
    echo_server(lab)
    truth = lab.truth()
    traced = lab.launch(command, options)
    expect_same(truth.packets(), traced.packets())
    return traced


def udp(lab):
    traced_calls(lab, [program("udp_calls"), FAR, FAR6, "7000"])


def udp_without_seccomp(lab):
    traced_calls(lab, [program("udp_calls"), FAR, FAR6, "7000"], ["--no-seccomp"])


def tcp(lab):
    traced_calls(lab, [program("tcp_calls"), FAR, FAR6, "7000", "7001"])


def tcp_without_seccomp(lab):
    traced_calls(lab, [program("tcp_calls"), FAR, FAR6, "7000", "7001"], ["--no-seccomp"])


def thirty_two_bit(lab):
    """i386 programs: direct calls and socketcall(2); and int 0x80 from a 64-bit program."""
    if platform.machine() != "x86_64":
        return
    echo_server(lab)
    truth = lab.truth()
    script = "; ".join([f"{program('tcp_calls_32')} {FAR} {FAR6} 7000 7001", f"{program('udp_calls_32')} {FAR} {FAR6} 7000",
                        f"{program('ways_into_the_kernel_32')} {FAR} 7000", f"{program('ways_into_the_kernel')} {FAR} 7000"])
    traced = lab.launch(["sh", "-ec", script])
    expect_same(truth.packets(), traced.packets())


def many_connections(lab):
    traced_calls(lab, [program("tcp_calls"), FAR, FAR6, "7000", "7001", "50"])


def loopback_round_trips(lab):
    """The shortest way from connect to the first packet: both ends on one host."""
    lab.start(["python3", "-B", HERE / "asyncio_echo.py", "serve", "7000"])
    lab.await_port(7000)
    truth = lab.truth()
    traced = lab.launch([program("tcp_calls"), "127.0.0.1", "::1", "7000", "7001", "20"])
    expect_same(truth.packets(), traced.packets())


main(udp, udp_without_seccomp, tcp, tcp_without_seccomp, thirty_two_bit, many_connections, loopback_round_trips)
