# SPDX-License-Identifier: Apache-2.0
"""cocotb's Verilator runner, with the flags that make it fast and with errors that can be read."""

import logging
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path

import cocotb_tools.config
import find_libpython
from cocotb_tools.runner import Verilator, VerilatorControlFile

from sim import build_flags as flags
from sim import build_objects as objects
from sim.build_flags import BuildError

LOG = "build.log"


class TupeloVerilator(Verilator):
    """Verilator runner without --public-flat-rw, Perl, or a runtime of its own for each bench."""

    def __init__(
        self,
        *,
        extra_args: Sequence[str] = (),
        include_dirs: Sequence[str] = (),
        macros: Mapping[str, str] | None = None,
        generics: Mapping[str, str] | None = None,
        waves: bool = False,
        main: Path | None = None,
    ) -> None:
        super().__init__()
        self.log = logging.getLogger("tupelo.build")
        self.log.setLevel(logging.WARNING)
        self._extra_args = list(extra_args)
        self._include_dirs = list(include_dirs)
        self._macros = dict(macros or {})
        self._generics = dict(generics or {})
        self.with_waves = waves
        self.main = main
        self.link_with: list[Path] = []
        self.libraries: list[str] = []

    def fingerprint(self) -> str:
        """Return a text that changes with any option of this runner."""
        return repr((self._extra_args, self._include_dirs, self._macros, self._generics, self.main is None))

    def build_simulator(self, top: str, directory: Path, sources: Sequence[Path]) -> None:
        """Verilate, compile and link into directory; BuildError with the first compiler messages."""
        log = directory / LOG
        tagged = [VerilatorControlFile(s) if s.suffix == ".vlt" else s for s in sources]
        try:
            self.build(
                sources=tagged,
                hdl_toplevel=top,
                build_dir=directory,
                defines=self._macros,
                parameters=self._generics,
                includes=self._include_dirs,
                waves=self.with_waves,
                log_file=log,
            )
        except (RuntimeError, SystemExit) as error:
            text = objects.first_errors(log.read_text(errors="replace")) if log.is_file() else str(error)
            raise BuildError(f"building {top} failed (all of it: {log})\n{text}") from None

    def run_tests(
        self,
        top: str,
        directory: Path,
        modules: Sequence[str],
        folder: Path,
        results: Path,
        log: Path | None,
        testcase: str | Sequence[str] | None,
        seed: int | None,
        env: Mapping[str, str],
        plusargs: Sequence[str],
    ) -> str:
        """Run cocotb test modules; return what the simulator died of, or an empty text."""
        try:
            self.test(
                modules,
                hdl_toplevel=top,
                build_dir=directory,
                hdl_toplevel_lang="verilog",
                test_dir=folder,
                results_xml=str(results),
                testcase=testcase,
                seed=seed,
                extra_env=env,
                plusargs=plusargs,
                waves=self.with_waves,
                log_file=log,
            )
        except (RuntimeError, SystemExit) as error:
            return str(error) or "simulation failed"
        return ""

    def test_command(
        self,
        top: str,
        directory: Path,
        modules: Sequence[str],
        folder: Path,
        results: Path,
        seed: int,
        env: Mapping[str, str],
    ) -> tuple[list[str], dict[str, str]]:
        """Return the command and the environment that run cocotb test modules, without running them."""
        self.build_dir, self.test_dir = directory, folder
        self.sim_hdl_toplevel, self.hdl_toplevel_lang = top, "verilog"
        self.test_module = ",".join(modules)
        self.pre_cmd, self.gui, self.waves = None, False, self.with_waves
        self.test_args, self.plusargs = [], []
        self.env = dict(env)
        self._set_env_test()
        self.env |= {"COCOTB_RESULTS_FILE": str(results), "COCOTB_RANDOM_SEED": str(seed)}
        return self._test_command()[0], self.env

    def _set_env_common(self) -> None:
        if self.main is None and find_libpython.find_libpython() is None:
            raise BuildError("this Python has no shared libpython (Debian: `apt-get install libpython3-dev`)")
        super()._set_env_common()
        # The caller's sys.path may hold '' for its working folder, which is not the simulator's.
        self.env["PYTHONPATH"] = os.pathsep.join([str(flags.ROOT), self.env["PYTHONPATH"]])
        self.env.setdefault(
            "OPENBLAS_NUM_THREADS", "1"
        )  # numpy's idle threads would spin beside the simulator
        self.env["VERILATOR_ROOT"] = str(flags.verilator_root())
        for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):  # the outer make's job server is not ours
            self.env.pop(name, None)

    def _simulator_in_path_build_only(self) -> None:
        self.executable = str(flags.verilator_binary())

    def _test_command(self) -> list[list[str]]:
        self.waves = self.with_waves  # the base class lets WAVES overrule how the simulator was built
        return super()._test_command()

    def _waves_file(self) -> str:
        return "dump.fst"

    def _build_command(self) -> list[list[str]]:
        self._simulator_in_path_build_only()
        assert self.hdl_toplevel is not None  # build_simulator always passes it
        share = cocotb_tools.config.share_dir / "lib" / "verilator" / "verilator.cpp"
        verilate = [self.executable, "--cc", "--exe", "-Mdir", str(self.build_dir)]
        verilate += ["--top-module", self.hdl_toplevel, "--prefix", "Vtop", "-o", self.hdl_toplevel]
        verilate += ["--vpi"] if self.main is None else []
        verilate += self._extra_args + self._get_define_options(self.defines)
        verilate += self._get_include_options(self.includes) + self._get_parameter_options(self.parameters)
        verilate += [str(share if self.main is None else self.main)]
        verilate += [str(source.value) for source in self._sources]
        return [verilate, self._make_command()]

    def _make_command(self) -> list[str]:
        libs = cocotb_tools.config.libs_dir
        link = [str(path) for path in self.link_with] + self.libraries
        if self.main is None:
            link += [f"-Wl,-rpath,{libs}", f"-L{libs}", "-Wl,--no-as-needed", "-lcocotbvpi_verilator"]
        command = ["make", "-j", str(flags.MAKE_JOBS), "-C", str(self.build_dir), "-f", "Vtop.mk"]
        command += [*flags.MAKE_VARIABLES, "VK_GLOBAL_OBJS=", f"VM_TRACE={int(self.with_waves)}"]
        folders = [] if self.main is None else [str(self.main.parent), *map(str, self.includes)]
        include = " ".join(f"-I{folder}" for folder in folders)
        return [*command, f"USER_CPPFLAGS={include}", f"USER_LDLIBS={' '.join(link)}", "LDFLAGS=-rdynamic"]


def check_results(results: Path, problem: str) -> list[str]:
    """Return one text for each failed test, and one if the simulator died before it wrote results."""
    if not results.is_file():
        return [f"the simulator died before it wrote results ({problem})"]
    failures = []
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        for kind in ("failure", "error"):
            for node in case.findall(kind):
                message = node.get("error_msg") or node.get("message") or (node.text or "").strip()
                failures.append(f"{case.get('classname')}.{case.get('name')}: {message}")
    return failures or ([problem] if problem else [])
