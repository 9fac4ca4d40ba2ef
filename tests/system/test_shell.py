"""Shells under tracedump: pipelines, background children, subshells, and children that outlive the command."""

from harness import FAR, expect_same, main

URL = f"http://{FAR}:8080/hello"


def shell(lab, script, status=0, options=()):
    lab.web_server(lab.far)
    truth = lab.truth()
    traced = lab.launch(["sh", "-c", script], options=options, status=status)
    return truth.packets(), traced


def pipeline(lab):
    truth, traced = shell(lab, f"curl -sS {URL} | tr a-z A-Z | tee shouted | wc -l; grep -q HELLO shouted")
    expect_same(truth, traced.packets())


def background_children(lab):
    truth, traced = shell(lab, f"for i in 1 2 3 4 5; do curl -sS -o /dev/null {URL} & done; wait")
    expect_same(truth, traced.packets())


def subshells(lab):
    truth, traced = shell(lab, f"(curl -sS -o /dev/null {URL}; (exec curl -sS -o /dev/null {URL})); x=$(curl -sS {URL})"
                               "; exit 7", status=7)
    expect_same(truth, traced.packets())


def child_that_outlives_the_command(lab):
    """The command ends at once; its daemon talks later, and is captured to its end."""
    truth, traced = shell(lab, "(while kill -0 $$ 2>/dev/null; do :; done; setsid curl -sS -o /dev/null " + URL
                               + ") & exit 3", status=3)
    expect_same(truth, traced.packets())
    assert "the command has ended" in traced.stderr(), traced.stderr()


def without_seccomp(lab):
    truth, traced = shell(lab, f"curl -sS {URL} | cat; curl -sS -o /dev/null {URL} & wait", options=["--no-seccomp"])
    expect_same(truth, traced.packets())


main(pipeline, background_children, subshells, child_that_outlives_the_command, without_seccomp)
