"""The command line of scripts/bench: which comparisons, how often, and where the figures go."""

import argparse
import json
import os
import pathlib
import sys

import capture_loads
import filter_loads
import measure
import monitor_loads
import sweep_loads


def arguments():
    parser = argparse.ArgumentParser(prog="bench", description="compares tracedump with its peers on this machine")
    parser.add_argument("names", nargs="*", help="comparisons, all if none are named")
    parser.add_argument("--list", action="store_true", help="names the comparisons")
    parser.add_argument("--rounds", type=int, help="runs of each contender")
    parser.add_argument("--json", type=pathlib.Path, help="a file for all figures, those of each round too")
    return parser.parse_args()


def main():
    options = arguments()
    known = {comparison.name: comparison for comparison in
             [*capture_loads.comparisons(), *filter_loads.comparisons(), *monitor_loads.comparisons(),
              *sweep_loads.comparisons()]}
    if options.list:
        for name, comparison in known.items():
            print(f"{name:20} {comparison.about}")
        return 0
    if unknown := [name for name in options.names if name not in known]:
        sys.exit(f"bench: no comparison is called {', '.join(unknown)}; --list names them")
    if os.geteuid() != 0:
        sys.exit("bench: network namespaces and captures need root")
    machine = measure.machine()
    results = []
    for name in options.names or known:
        results.append(known[name].run(options.rounds))
        print(measure.table(results[-1]), flush=True)
        if options.json:
            options.json.write_text(json.dumps({"machine": machine, "comparisons": results}, indent=1) + "\n")
    print(f"On {machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_gib']} GiB, Linux {machine['kernel']}, "
          f"virtual: {machine['virtual']}, {machine['date']}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
