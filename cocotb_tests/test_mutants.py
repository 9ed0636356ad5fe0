# SPDX-License-Identifier: Apache-2.0
"""The suite itself on trial: a NIC with one fault put in must fail the tests that claim to see that fault."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from cocotb_tests.mutation import with_fault
from cocotb_tests.nic_tests import PORTS, TOP, WIDE
from sim.build import SimulationFailed, build, rtl_sources, run


@dataclass(frozen=True, slots=True)
class Mutant:
    """One edit of one RTL file, and the test that must fail with it."""

    name: str
    file: str
    old: str
    new: str
    module: str
    case: str

    def __str__(self) -> str:
        return self.name


MUTANTS = [
    Mutant(
        "wrap_counter_never_flips",
        "tupelo_pkg.sv",
        "ring_advance = '{wrap: !pos.wrap, idx: sum[14:0]};",
        "ring_advance = '{wrap: pos.wrap, idx: sum[14:0]};",
        "test_rings",
        "transmit_ring_runs_full_and_empty",
    ),
    Mutant(
        "used_flags_without_write",
        "tupelo_used.sv",
        "| (16'(s_comp.len_bytes != 32'd0) << DescWrite)",
        "| 16'd0",
        "test_rings",
        "every_alignment_of_buffers",
    ),
    Mutant(
        "first_buffer_of_a_frame_given_back_first",
        "tupelo_used.sv",
        "wire aside = leave && mid_q[queue] && !mine;",
        "wire aside = 1'b0;",
        "test_mergeable",
        "frames_take_as_many_buffers_as_they_need",
    ),
    Mutant(
        "ring_read_ahead_by_more_than_a_lap",
        "tupelo_desc_fetch.sv",
        "ask_q.queue_idx] && same_lap &&",
        "ask_q.queue_idx] && (same_lap || 1'b1) &&",
        "test_reset",
        "queue_resets_disturb_no_other_queue",
    ),
    Mutant(
        "no_second_look_after_arming",
        "tupelo_desc_fetch.sv",
        "        poll_q[ewb_queue]   <= 1'b1;\n",
        "",
        "test_events",
        "sender_sleeps_and_is_always_woken",
    ),
    Mutant(
        "stale_chain_begun_as_a_queue_starts",
        "tupelo_queue_ctl.sv",
        "wire [QUEUES-1:0] starting = start_o ?",
        "wire [QUEUES-1:0] starting = start_o && 1'b0 ?",
        "test_reset",
        "queue_resets_disturb_no_other_queue",
    ),
    Mutant(
        "event_structure_not_read_again",
        "tupelo_event.sv",
        "      pending_q[used_queue_i] <= 1'b1;\n",
        "      pending_q[used_queue_i] <= !asked_q[used_queue_i];\n",
        "test_events",
        "receiver_is_woken_by_frames_during_event_reads",
    ),
    Mutant(
        "bad_frames_are_kept",
        "tupelo_rx_ingress.sv",
        "wire drop = s_axis_rx_tuser || too_long",
        "wire drop = too_long",
        "test_wire",
        "bad_short_and_long_frames_are_never_delivered",
    ),
    Mutant(
        "frames_start_a_byte_late",
        "tupelo_tx_gather.sv",
        "PosW'(-HdrBytes);",
        "PosW'(-HdrBytes - 1);",
        "test_rings",
        "every_alignment_of_buffers",
    ),
    Mutant(
        "chains_of_a_stopped_queue_are_not_counted",  # tx_drop_queue_error; seen by the audit alone
        "tupelo_stats.sv",
        "    tx_fate_i && !fate_i.sent,\n    rx_drop_i,\n",
        "    tx_fate_i && !fate_i.sent && fate_i.drop_stat != 6'd15,\n    rx_drop_i,\n",
        "test_hostile",
        "bad_offers_stop_their_queue_only",
    ),
    Mutant(
        "reasons_of_the_guard_swapped",
        "tupelo_tx_guard.sv",
        "found ? 6'(STAT_TX_DROP_GUARD_OWNER) : 6'(STAT_TX_DROP_GUARD_TUPLE)",
        "found ? 6'(STAT_TX_DROP_GUARD_TUPLE) : 6'(STAT_TX_DROP_GUARD_OWNER)",
        "test_drop_reasons",
        "each_reason_is_counted_alone",
    ),
]


def mutated_sources(mutant: Mutant) -> list[Path]:
    """Write the changed file to the build tree; return the RTL's files with it in place."""
    sources = rtl_sources()
    return with_fault(sources, mutant.name, mutant.file, mutant.old, mutant.new)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_mutant_is_found(mutant: Mutant, seed: int) -> None:
    built = build(TOP, sources=mutated_sources(mutant), params=WIDE.parameters, public=PORTS)
    chosen = {"COCOTB_TEST_FILTER": rf"\.{mutant.case}(/|$)"}
    with pytest.raises(SimulationFailed):
        run(built, f"cocotb_tests.{mutant.module}", seed=seed, extra_env=chosen)


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_mutant_still_applies(mutant: Mutant) -> None:
    assert len(mutated_sources(mutant)) == len(rtl_sources())
