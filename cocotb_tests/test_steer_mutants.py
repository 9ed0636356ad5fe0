# SPDX-License-Identifier: Apache-2.0
"""The tests of the steering tables and of the transmit check on trial: one fault put in must fail them."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from cocotb_tests import test_tables, test_tx_check
from cocotb_tests.mutation import with_fault
from sim.build import SimulationFailed, build, run
from sim.build_flags import ROOT

CHURN = "churn"
FRAMES = "random_frames/stalls=0.3"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One edit of one RTL file, and the test that must fail with it."""

    name: str
    file: str
    old: str
    new: str
    case: str
    flows: int = 64  # slots of the flow table

    def __str__(self) -> str:
        return self.name

    @property
    def of_tables(self) -> bool:
        return self.file.startswith("tupelo_table")


MUTANTS = [
    Mutant(
        "one_way_is_not_looked_at", "tupelo_table_match.sv", "s < SlotsPerIndex; s++", "s < 7; s++", CHURN
    ),
    Mutant(
        "last_bit_not_compared",
        "tupelo_table_match.sv",
        "== {1'b1, s_key}",
        "== {1'b1, s_key[KEY_W-1:1], s_entries[s][InfoW]}",
        "every_bit_of_a_key_counts",
    ),
    Mutant(
        "only_one_bank_is_written",
        "tupelo_table_store.sv",
        "c_use && c_write[s]",
        "c_use && c_write[s] && s < Ways",
        CHURN,
    ),
    Mutant(
        "command_does_not_hold",
        "tupelo_table_ctl.sv",
        "hold_o = state_q inside {StCheck, StUse}",
        "hold_o = 1'b0",
        CHURN,
    ),
    Mutant(
        "last_count_forgotten", "tupelo_table_count.sv", "wire seen = last_q &&", "wire seen = 1'b0 &&", CHURN
    ),
    Mutant("any_for_everybody", "tupelo_table_lookup.sv", "(local_q[1] || group_q[1])", "1'b1", CHURN),
    Mutant(
        "listener_before_flow",
        "tupelo_table_lookup.sv",
        "flow_match_i) m_lookup",
        "flow_match_i && !own_match_i) m_lookup",
        CHURN,
    ),
    Mutant(
        "walk_does_not_hide",
        "tupelo_tables.sv",
        ".blind_i     (walk || !enable)",
        ".blind_i     (!enable)",
        "rst_empties_everything",
        1024,
    ),
    Mutant(
        "walk_stops_early",
        "tupelo_table_ctl.sv",
        "if (&walk_q) state_q",
        "if (walk_q[WalkW-2:0] == '1) state_q",
        "rst_empties_everything",
    ),
    Mutant(
        "any_with_an_address",
        "tupelo_table_ctl.sv",
        "!(is_listener && any_q &&",
        "!(1'b0 && any_q &&",
        "bad_commands_change_nothing",
    ),
    Mutant("pair_0_is_guarded", "tupelo_tx_check.sv", "pair != '0 && guard_i[pair]", "guard_i[pair]", FRAMES),
    Mutant("header_of_the_last_beat", "tupelo_tx_check.sv", "g_first ? first : first_q", "first", FRAMES),
    Mutant(
        "csum_anywhere",
        "tupelo_tx_guard.sv",
        "unsound |= verdict.csum && !(",
        "unsound |= 1'b0 && !(",
        FRAMES,
    ),
    Mutant(
        "any_address_as_source", "tupelo_tx_guard.sv", "MATCH_ANY && answer.local_ok", "MATCH_ANY", FRAMES
    ),
    Mutant(
        "host_entries_are_everybodys",
        "tupelo_tx_guard.sv",
        "answer.target == TARGET_QUEUE &&",
        "1'b1 &&",
        FRAMES,
    ),
    Mutant(
        "train_survives_a_frame",
        "tupelo_tx_guard.sv",
        "if (take) active_q[pair] <= goes_on;",
        "if (take && head.more) active_q[pair] <= goes_on;",
        FRAMES,
    ),
    Mutant(
        "train_of_a_dropped_first",
        "tupelo_tx_guard.sv",
        "head.more && !m_verdict.drop;",
        "head.more;",
        FRAMES,
    ),
    Mutant(
        "tiny_first_fragment", "tupelo_tx_guard.sv", "torn = !parsed.later && (", "torn = 1'b0 && (", FRAMES
    ),
    Mutant("beyond_the_largest_packet", "tupelo_tx_guard.sv", "17'd65515", "17'd65535", FRAMES),
    Mutant(
        "results_only_at_once",
        "tupelo_tx_guard.sv",
        ".s_valid(lk_result_valid_i && !straight),",
        ".s_valid(1'b0),",
        "many_wait",
    ),
]


def mutated_sources(mutant: Mutant) -> list[Path]:
    """Write the changed file to the build tree; return the block's files with it in place."""
    sources = [ROOT / source for source in (test_tables if mutant.of_tables else test_tx_check).SOURCES]
    return with_fault(sources, mutant.name, mutant.file, mutant.old, mutant.new)


@pytest.mark.sim
@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_mutant_is_found(mutant: Mutant, seed: int) -> None:
    top, parameters = "tupelo_tx_check", {"DATA_W": 128, "QUEUES": 8}
    if mutant.of_tables:
        top, parameters = "tupelo_tables", {"FLOWS": mutant.flows, "LISTENERS": 32}
    built = build(top, sources=mutated_sources(mutant), params=parameters)
    chosen = {"COCOTB_TEST_FILTER": rf"\.{mutant.case}$", "LOOKUPS": "50000"}
    module = "test_tables" if mutant.of_tables else "test_tx_check"
    with pytest.raises(SimulationFailed):
        run(built, f"cocotb_tests.{module}", seed=seed, extra_env=chosen)


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_mutant_still_applies(mutant: Mutant) -> None:
    assert mutated_sources(mutant)
