"""Chromium, with its sandbox: many processes, namespaces and seccomp filters of its own. It loads a page as untraced."""

import pathlib
import signal
import socket

from harness import FAR, expect_equal, expect_same, main, socket_in, wait_for

PAGE = b"<html><body><h1>hello browser</h1></body></html>"
AS_NOBODY = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]


def browser(lab, *arguments):
    home = lab.folder / "home"
    home.mkdir(exist_ok=True)
    home.chmod(0o777)
    return ["env", f"HOME={home}", f"TMPDIR={home}", "chromium", "--headless", "--no-first-run", "--disable-gpu",
            "--disable-component-update", f"--user-data-dir={home}/profile", *arguments]


def launched(lab):
    lab.web_server(lab.far, files={"page.html": PAGE})
    truth = lab.truth()
    traced = lab.launch(browser(lab, "--dump-dom", f"http://{FAR}:8080/page.html"), ["-u", "nobody"])
    assert "hello browser" in traced.stdout(), traced.stdout()
    captured = traced.packets()
    assert any(b"GET /page.html" in p.ip for p in captured), "the request is not in the file"
    expect_same(truth.packets(), captured)


def descendants(pid):
    found = [pid]
    for parent in found:
        for task in pathlib.Path(f"/proc/{parent}/task").glob("*/children"):
            found += map(int, task.read_text().split())
    return found


def roles(pid):
    """What its processes are for, as their command lines say."""
    words = " ".join(pathlib.Path(f"/proc/{child}/cmdline").read_text() for child in descendants(pid))
    return {role for role in ("NetworkService", "StorageService", "renderer", "zygote") if role in words}


def attached(lab):
    """To all of its processes; then a page is opened through its debugging port, and the browser ended."""
    server = lab.web_server(lab.far, files={"page.html": PAGE})
    program = lab.start([*AS_NOBODY, *browser(lab, "--remote-debugging-port=9333", "about:blank")], name="chromium")
    lab.await_port(9333)
    wait_for("its processes", lambda: roles(program.pid) >= {"NetworkService", "StorageService", "renderer", "zygote"})
    traced = lab.attach(*descendants(program.pid))
    truth = lab.truth()
    with socket_in(lab.near, socket.AF_INET, socket.SOCK_STREAM) as client:
        client.settimeout(40)
        client.connect(("127.0.0.1", 9333))
        client.sendall(f"PUT /json/new?http://{FAR}:8080/page.html HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert b"200 OK" in client.recv(4096)
        wait_for("the page to be loaded", lambda: "GET /page.html" in server.stderr())
        wait_for("the favicon", lambda: "GET /favicon.ico" in server.stderr())
    program.signal(signal.SIGTERM)  # it keeps connections open as long as it lives
    program.wait()
    expect_equal(traced.wait(), 0, "status")
    packets = truth.packets()
    captured = traced.packets()
    assert any(b"GET /page.html" in p.ip for p in captured), "the request is not in the file"
    expect_same(packets, captured)


main(launched, attached)
