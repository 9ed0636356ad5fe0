# SPDX-License-Identifier: Apache-2.0
"""The command `tupelo`. Exit status 0: all went well; 1: it did not; 2: wrong use or input."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click

from sim.build import SimulationFailed
from sim.build_flags import ROOT, BuildError, build_root
from sim.capture import CaptureError
from sim.report import shown_path

BAD_INPUT = 2
DEMO_BYTES = 4 << 20
Size = click.IntRange(1, 1 << 30)
Seed = click.IntRange(0, (1 << 63) - 1)
Folder = click.Path(path_type=Path, file_okay=False)
File = click.Path(path_type=Path, dir_okay=False)


def _stop(status: int, text: str) -> NoReturn:
    click.echo(f"tupelo: {text}", err=True)
    sys.exit(status)


@contextlib.contextmanager
def _friendly() -> Iterator[None]:
    """Turn what a user can meet into one line and an exit status, without a traceback."""
    try:
        yield
    except CaptureError as error:
        _stop(BAD_INPUT, str(error))
    except (BuildError, SimulationFailed) as error:
        _stop(1, str(error))
    except KeyboardInterrupt:
        _stop(130, "interrupted")


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="tupelo", prog_name="tupelo")
def main() -> None:
    """Tupelo: a SmartNIC's RTL, driven by a real driver and real programs."""


@main.command()
@click.option(
    "--bytes", "size_bytes", type=Size, default=DEMO_BYTES, show_default=True, help="Size of the file."
)
@click.option(
    "--seed", type=Seed, default=1, show_default=True, help="Makes the file and all random numbers."
)
@click.option("--out", type=Folder, default=None, help="Folder of the results.  [default: build/demo]")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON instead of a table.")
def demo(size_bytes: int, seed: int, out: Path | None, as_json: bool) -> None:
    """Download a file over HTTPS through the NIC and check its SHA-256."""
    from sim import demo as work

    folder = out or build_root() / "demo"
    with _friendly():
        summary = work.run_demo(folder, size_bytes, seed)
    if as_json:
        click.echo(json.dumps(summary, indent=2))
    else:
        work.print_summary(summary)
        verdict = "OK" if summary["ok"] else "FAILED"
        equal = "equal" if summary["sha256_ok"] else "DIFFERENT"
        files = f"{shown_path(folder / 'wire.pcap')}, {shown_path(folder / 'summary.json')}"
        click.echo(f"demo: {verdict}, {summary['bytes']:,} bytes over HTTPS, SHA-256 {equal}; {files}")
    sys.exit(0 if summary["ok"] else 1)


@main.command()
@click.argument("file", type=File)
@click.option(
    "--direction",
    type=click.Choice(["rx", "tx"]),
    default="rx",
    show_default=True,
    help="rx: into the wire, out of the driver; tx: into the driver, out of the wire.",
)
@click.option("--out", type=File, default=None, help="Write what came out to this pcap file.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
@click.option("--allow-snapped", is_flag=True, help="Take frames that were cut when captured as they are.")
def replay(file: Path, direction: str, out: Path | None, as_json: bool, allow_snapped: bool) -> None:
    """Send each frame of a pcap or pcapng FILE through the NIC and compare what comes out.

    Exit status 0: every frame came out once, unchanged and in order; 1: not so; 2: FILE cannot be used.
    """
    from sim import replay as work

    with _friendly():
        result = work.run_replay(file, direction, out, allow_snapped)
    if as_json:
        click.echo(json.dumps(result, indent=2))
    else:
        work.print_result(result)
    sys.exit(0 if result["ok"] else 1)


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print all as JSON.")
@click.option("--queue", default=None, help="Only the counters of rx0, tx3, ..., or of both of pair 2.")
@click.option("--all", "everything", is_flag=True, help="Counters of queues also if they are 0.")
@click.option("--flows", is_flag=True, help="Print the flow and listener table too.")
@click.option("--from", "file", type=File, default=None, help="Show an earlier run's stats.json instead.")
@click.option("--out", type=Folder, default=None, help="Folder of the results.  [default: build/stats]")
def stats(
    as_json: bool, queue: str | None, everything: bool, flows: bool, file: Path | None, out: Path | None
) -> None:
    """Run a little of all traffic through the NIC and print its counters as `ethtool -S` does.

    Exit status 1: frames were lost or made up (a conservation equation does not hold); 2: wrong use.
    """
    from sim import stats_view as view

    folder = out or build_root() / "stats"
    with _friendly():
        try:
            view.prefixes(queue)
            result = view.run_stats(folder) if file is None else view.load(file)
            shown = view.pick(result["statistics"], queue, everything)
        except view.StatsError as error:
            _stop(BAD_INPUT, str(error))
    if as_json:
        tables = {"tables": result["tables"]} if flows else {}
        click.echo(json.dumps({"statistics": shown, **tables, "violations": result["violations"]}, indent=2))
    else:
        view.print_statistics(shown)
        if flows:
            view.print_tables(result["tables"])
        for violation in result["violations"]:
            click.echo(f"stats: {violation}", err=True)
        verdict = f"FAILED, {len(result['violations'])} equations violated" if result["violations"] else "OK"
        click.echo(f"stats: {verdict}; {shown_path(file or folder / 'stats.json')}")
    sys.exit(1 if result["violations"] else 0)


@main.command()
@click.option("--out", type=File, default=None, help="File of the figures.  [default: build/bench.json]")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON instead of a table.")
@click.option("--no-bounds", is_flag=True, help="Exit with 0 also if a figure misses its bound.")
@click.option("--quick", is_flag=True, help="A tenth of the frames: to try out, not to quote.")
def bench(out: Path | None, as_json: bool, no_bounds: bool, quick: bool) -> None:
    """Measure how fast the simulated NIC is, in wall time and in cycles."""
    from sim import bench as work

    with _friendly():
        figures = work.run_bench(out or build_root() / "bench.json", quick)
    missed = work.missed(figures)
    if as_json:
        click.echo(json.dumps(figures, indent=2))
    else:
        work.print_figures(figures)
        click.echo(
            f"bench: FAILED, bounds missed by {', '.join(missed)}"
            if missed
            else "bench: OK, all bounds reached"
        )
    sys.exit(1 if missed and not no_bounds else 0)


@main.command()
@click.option("--out", type=File, default=None, help="File of the figures.  [default: build/synth.json]")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON instead of tables.")
@click.option(
    "--jobs", "-j", default=2, show_default=True, type=click.IntRange(1, 8), help="Configurations at a time."
)
def synth(out: Path | None, as_json: bool, jobs: int) -> None:
    """Synthesise the NIC for two FPGAs: area by module, memories, clock frequency.

    Exit status 1: a tool failed, or a memory of more than 16 kbit became flip-flops.
    """
    from sim import synth as work

    file = out or build_root() / "synth.json"
    with _friendly():
        outcome = work.run_synth(file, build_root() / "synth", jobs)
    problems = outcome.problems()
    if as_json:
        click.echo(json.dumps(work.figures(outcome), indent=2))
    else:
        work.print_outcome(outcome)
    for problem in problems:
        click.echo(f"synth: {problem}", err=True)
    if not as_json:
        verdict = (
            f"FAILED, {len(problems)} problems" if problems else "OK, no memory above 16 kbit in flip-flops"
        )
        click.echo(f"synth: {verdict}; {shown_path(file)}")
    sys.exit(1 if problems else 0)


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments: tuple[str, ...]) -> None:
    """Run the tests that `make test` runs; ARGUMENTS go to pytest."""
    chosen = arguments or ("-m", "not slow and not tap", "-n", "2")
    sys.exit(subprocess.run([sys.executable, "-m", "pytest", *chosen], cwd=ROOT, check=False).returncode)


@main.command()
@click.argument("steps", nargs=-1)
def lint(steps: tuple[str, ...]) -> None:
    """Run the static checks, or only those whose name starts with one of STEPS."""
    sys.exit(subprocess.run([sys.executable, "-m", "sim.lint", *steps], cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
