# SPDX-License-Identifier: Apache-2.0
"""The tests of the transmit offloads on trial: tupelo_tx_offload with one fault put in must fail them."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from cocotb_tests.mutation import with_fault
from cocotb_tests.test_offload_block import SOURCES, TOP
from sim.build import SimulationFailed, build, run
from sim.build_flags import ROOT

DATA_W = 512
RANDOM = "frames_leave_as_the_model_says/source=0.4/check=0.5/sink=0.3"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One edit of one RTL file, and the test that must fail with it."""

    name: str
    file: str
    old: str
    new: str
    case: str = RANDOM

    def __str__(self) -> str:
        return self.name


MUTANTS = [
    Mutant(
        "next_frame_before_the_headers_are_through",
        "tupelo_tx_plan.sv",
        "(state_q == StIdle || hdr_ready_i);",
        "(state_q == StIdle || hdr_ready_i || 1'b1);",
        "a_chain_given_up_spoils_no_other",
    ),
    Mutant("carry_lost", "tupelo_csum_sum.sv", "+ 18'(acc_q[47:32])", "+ 18'(acc_q[47:32] & 16'hfff8)"),
    Mutant("odd_start_not_swapped", "tupelo_csum_sum.sv", "odd2_q ? sum :", "odd2_q && 1'b0 ? sum :"),
    Mutant("zero_written", "tupelo_csum_sum.sv", "turned == '0 && no_zero2_q ?", "1'b0 && no_zero2_q ?"),
    Mutant("one_octet_of_two_beats", "tupelo_tx_egress.sv", "next_pos[13:PosW] == idx_q", "next_pos == '0"),
    Mutant(
        "no_beat_read_ahead", "tupelo_tx_plan.sv", "job.prime     = rot != '0 &&", "job.prime     = 1'b0 &&"
    ),
    Mutant(
        "full_last_segment_not_last", "tupelo_tx_plan.sv", "18'(h_bytes) <= ends;", "18'(h_bytes) < ends;"
    ),
    Mutant(
        "segment_before_more_is_known",
        "tupelo_tx_plan.sv",
        "18'(h_bytes) > ends)",
        "18'(h_bytes) >= ends)",
        "frames_leave_as_the_model_says/source=0.4/check=0.0/sink=0.0",
    ),
    Mutant("cwr_in_all_segments", "tupelo_tx_header.sv", "seg_job.first_seg ? 8'h00 : FlagCwr", "8'h00"),
    Mutant("identification_stays", "tupelo_tx_header.sv", "id_q + seg_job.number", "id_q + 16'd0"),
    Mutant(
        "verdict_over_read_error",
        "tupelo_tx_plan.sv",
        "if (h_ended && h_drop) drop_stat",
        "if (h_ended && h_drop && !v_verdict.drop) drop_stat",
    ),
    Mutant(
        "tail_not_cleared",
        "tupelo_tx_segment.sv",
        "filled = {StrbW{1'b1}} >> (BytesW'(StrbW) - b_bytes);",
        "filled = '1;",
    ),
    Mutant("walk_ends_a_part_early", "tupelo_tx_header.sv", "2'((end_q + 8'd1) >>", "2'((end_q - 8'd31) >>"),
    Mutant(
        "released_early",
        "tupelo_tx_plan.sv",
        "job.rel_end = 11'(PtrW'(base_q + PtrW'(ends >> PosW)));",
        "job.rel_end = 11'(PtrW'(base_q + PtrW'(ends >> PosW) + PtrW'(1)));",
        "largest_frames",
    ),
    Mutant(
        "released_at_the_end_only",
        "tupelo_tx_plan.sv",
        "rel_valid = drain || (issue && (final_op || early));",
        "rel_valid = drain || (issue && (final_op || (early && 1'b0)));",
        "large_frames_pass_without_a_gap/size=9728",
    ),
    Mutant(
        "notes_flushed_by_device_reset",
        "tupelo_tx_segment.sv",
        ") u_sum (\n      .clk       (clk),\n      .rst       (rst),",
        ") u_sum (\n      .clk       (clk),\n      .rst       (reset),",
        "device_reset_forgets_what_is_not_whole/stall=0.0",
    ),
    Mutant(
        "frame_in_the_cycle_of_reset_taken_back",
        "tupelo_tx_offload.sv",
        "dev_rst && !(s_valid && s_last)",
        "dev_rst",
        "device_reset_forgets_what_is_not_whole/stall=0.0",
    ),
    Mutant(
        "a_cycle_between_jobs",
        "tupelo_tx_plan.sv",
        "load      = h_ended && slot_free;\n        done      = load;\n        out_bytes",
        "load      = h_ended && !job_valid_q;\n        done      = load;\n        out_bytes",
        "small_frames_pass_one_a_cycle",
    ),
]


def mutated_sources(mutant: Mutant) -> list[Path]:
    """Write the changed file to the build tree; return the block's files with it in place."""
    sources = [ROOT / source for source in SOURCES]
    return with_fault(sources, mutant.name, mutant.file, mutant.old, mutant.new)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_mutant_is_found(mutant: Mutant, seed: int) -> None:
    built = build(TOP, sources=mutated_sources(mutant), params={"DATA_W": DATA_W})
    chosen = {"COCOTB_TEST_FILTER": rf"\.{mutant.case}$"}
    with pytest.raises(SimulationFailed):
        run(built, "cocotb_tests.test_offload_block", seed=seed, extra_env=chosen)


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_mutant_still_applies(mutant: Mutant) -> None:
    assert len(mutated_sources(mutant)) == len(SOURCES)
