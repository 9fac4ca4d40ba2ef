"""Each system call by which a socket can get its port: the first packet is in the file, and nobody else's is."""

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


def many_connections(lab):
    traced_calls(lab, [program("tcp_calls"), FAR, FAR6, "7000", "7001", "50"])


def loopback_round_trips(lab):
    """The shortest way from connect to the first packet: both ends on one host."""
    lab.start(["python3", "-B", HERE / "asyncio_echo.py", "serve", "7000"])
    lab.await_port(7000)
    truth = lab.truth()
    traced = lab.launch([program("tcp_calls"), "127.0.0.1", "::1", "7000", "7001", "20"])
    expect_same(truth.packets(), traced.packets())


main(udp, udp_without_seccomp, tcp, tcp_without_seccomp, many_connections, loopback_round_trips)
