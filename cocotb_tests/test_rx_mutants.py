# SPDX-License-Identifier: Apache-2.0
"""The tests of the receive path's queues on trial: one fault put in must fail them."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from cocotb_tests import test_rx_queues
from cocotb_tests.mutation import with_fault
from sim.build import SimulationFailed, build, run
from sim.build_flags import ROOT

RANDOM = "every_frame_is_delivered_in_order_or_counted"
DRY = "a_dry_queue_costs_the_others_not_a_cycle"
SLOW = "a_slow_queue_costs_its_own_frames_only"
MANY = "a_frame_in_many_buffers_waits_for_the_rest_of_them"
ROOM = "room_is_made_where_it_has_been_dry_longest"
REASON = "drops_have_the_right_reason"
AGAIN = "frames_that_wait_go_on_as_soon_as_buffers_come"
RESETS = "resets_with_frames_waiting"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One edit of one RTL file, and the test that must fail with it."""

    name: str
    file: str
    old: str
    new: str
    case: str

    def __str__(self) -> str:
        return self.name


STORE, LISTS, CHOOSE, SPLIT = (f"tupelo_rx_{name}.sv" for name in ("store", "lists", "choose", "split"))
MUTANTS = [
    Mutant("abort_gives_nothing_back", STORE, "s_abort ? start_q : at_next", "at_next", RANDOM),
    Mutant("chains_are_not_joined", STORE, "if (!first) next_mem", "if (!first && fresh) next_mem", RANDOM),
    Mutant("last_taken_as_one_comes", LISTS, "|| (pop_all && pop_list_i == add_list_i)", "", RANDOM),
    Mutant("second_is_the_first", LISTS, "pop_list_i]   <= 1'b1", "pop_list_i]   <= 1'b0", RANDOM),
    Mutant("first_offered_twice", CHOOSE, "ready & ~one(pop_o, pop_list_o)", "ready", RANDOM),
    Mutant("offer_stands_for_ever", CHOOSE, "(hold_i || (ready & offered) != '0)", "1'b1", AGAIN),
    Mutant("nobody_gives_way", CHOOSE, "if (low_i) begin", "if (1'b0) begin", ROOM),
    Mutant("anybody_gives_way", CHOOSE, "waiting & old_q & left;", "waiting & left;", ROOM),
    Mutant("a_trickle_protects_a_pile", CHOOSE, "away_thin = scarce_i", "away_thin = 1'b0", SLOW),
    Mutant("asleep_with_too_little", CHOOSE, "(~awake & ~supplied)", "(~awake & ~chains)", MANY),
    Mutant("progress_outlives_its_frame", CHOOSE,
           "(begun_q | (back_i ? offered : '0)) & active & ~one(pop_o, pop_list_o)",
           "(begun_q | (back_i ? offered : '0)) & active", MANY),
    Mutant("never_enough", CHOOSE, "short_q & ~grown", "short_q", MANY),
    Mutant("stopped_is_no_reason", CHOOSE, "& stopped) != '0", "& stopped & ~stopped) != '0", REASON),
    Mutant("drops_while_halted", CHOOSE, "may[reap_list_q] && !halt_i", "may[reap_list_q] && 1'b1", RESETS),
    Mutant("counted_from_the_start_again", SPLIT, "resume_i ? progress.need", "1'b0 ? progress.need", MANY),
    Mutant("last_descriptor_instead_of_first", SPLIT, "counted ? {7'd0, !resumed_q}", "counted ? 8'd1", MANY),
]  # fmt: skip


def mutated_sources(mutant: Mutant) -> list[Path]:
    """Write the changed file to the build tree; return the block's files with it in place."""
    sources = [ROOT / source for source in test_rx_queues.SOURCES]
    return with_fault(sources, mutant.name, mutant.file, mutant.old, mutant.new)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_mutant_is_found(mutant: Mutant, seed: int) -> None:
    built = build(test_rx_queues.TOP, sources=mutated_sources(mutant), params={"DATA_W": 512, "QUEUES": 8})
    chosen = {"COCOTB_TEST_FILTER": rf"\.{mutant.case}(/|$)"}
    with pytest.raises(SimulationFailed):
        run(built, "cocotb_tests.test_rx_queues", seed=seed, extra_env=chosen)


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_mutant_still_applies(mutant: Mutant) -> None:
    assert mutated_sources(mutant)
