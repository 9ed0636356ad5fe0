# SPDX-License-Identifier: Apache-2.0
"""Small building blocks alone: order under random stalls, full rate by counting cycles, and each header's
claims.
"""

import random
from collections import deque
from typing import Any

import cocotb
import pytest
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, RisingEdge

from cocotb_tests.agents.base import Stall
from cocotb_tests.agents.handles import reader, writer
from cocotb_tests.conftest import RunBench

COUNT = 400
TIMEOUT = {"timeout_time": 2, "timeout_unit": "ms"}


async def reset(dut: Any) -> None:
    """Clock on, two cycles of rst with quiet inputs."""
    for name in ("s_valid", "m_ready", "s_abort", "m_len_ready", "s_last"):
        if hasattr(dut, name):
            getattr(dut, name).value = 0
    dut.rst.value = 1
    Clock(dut.clk, 4, unit="ns").start()
    await ClockCycles(dut.clk, 2)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(source=[0.0, 0.6], sink=[0.0, 0.6])
async def fifo_keeps_order_at_full_rate(dut: Any, source: float, sink: float) -> None:
    """Words in order whatever stalls; without stalls one a cycle; level_o is what is inside."""
    rng = random.Random(f"{cocotb.RANDOM_SEED} {source} {sink}")
    width, depth = len(dut.s_data), 1 << (len(dut.level_o) - 1)
    words = deque(rng.getrandbits(width) for _ in range(COUNT))
    expected, inside, cycles, full = deque(words), 0, 0, False
    go_in, go_out = Stall(rng, source, 6), Stall(rng, sink, 6)
    s_ready, m_valid, m_data, level = (reader(h) for h in (dut.s_ready, dut.m_valid, dut.m_data, dut.level_o))
    s_valid, s_data, m_ready = (writer(h) for h in (dut.s_valid, dut.s_data, dut.m_ready))
    await reset(dut)
    valid = ready = False
    while expected:
        await RisingEdge(dut.clk)
        cycles += 1
        assert level() == inside <= depth
        full |= inside == depth
        if ready and m_valid():
            assert m_data() == expected.popleft()
            inside -= 1
        if valid and s_ready():
            words.popleft()
            inside += 1
            valid = False
        if not valid and words and go_in.go():
            s_data(words[0])
            valid = True
        s_valid(int(valid))
        ready = go_out.go()
        m_ready(int(ready))
    if source == sink == 0.0:
        assert cycles <= COUNT + 3, f"{cycles} cycles for {COUNT} words"
    if sink and not source:
        assert full, "never full: this tested nothing"


@cocotb.test(**TIMEOUT)
@cocotb.parametrize(source=[0.0, 0.4], sink=[0.0, 0.4], aborts=[0.0, 0.3])
async def frame_fifo_hands_on_whole_frames(dut: Any, source: float, sink: float, aborts: float) -> None:
    """Aborted frames leave no trace, the others come out whole and in order with their lengths."""
    rng = random.Random(f"{cocotb.RANDOM_SEED} {source} {sink} {aborts}")
    beat = len(dut.s_data) // 8
    pins = {name: reader(getattr(dut, name)) for name in OUTPUTS}
    put = {name: writer(getattr(dut, name)) for name in INPUTS}
    frames = [rng.randbytes(rng.randint(1, 12 * beat)) for _ in range(80)]
    script, kept = frame_script(rng, frames, beat, aborts)
    go_in, go_out, go_len = Stall(rng, source, 5), Stall(rng, sink, 5), Stall(rng, sink, 5)
    got, lengths, octets, inside_frame = [], [], b"", False
    await reset(dut)
    m_ready = len_ready = cycles = beats = 0
    while len(got) < len(kept) or len(lengths) < len(kept):
        await RisingEdge(dut.clk)
        cycles += 1
        assert not inside_frame or pins["m_valid"](), "m_valid fell inside a frame"
        inside_frame = bool(pins["m_valid"]() and not (m_ready and pins["m_last"]())) and (
            inside_frame or m_ready
        )
        if m_ready and pins["m_valid"]():
            octets += pins["m_data"]().to_bytes(beat, "little")[: pins["m_bytes"]()]
            beats += 1
            if pins["m_last"]():
                got.append(octets)
                octets = b""
        if len_ready and pins["m_len_valid"]():
            lengths.append(pins["m_len"]())
        offer = bool(script) and pins["free_beats_o"]() >= 2 and go_in.go()  # one beat is on its way in
        for name, value in (script.popleft() if offer else IDLE).items():
            put[name](value)
        m_ready, len_ready = int(go_out.go()), int(go_len.go())
        put["m_ready"](m_ready)
        put["m_len_ready"](len_ready)
    assert got == kept and lengths == [len(frame) for frame in kept]
    if source == sink == aborts == 0.0:
        assert cycles <= beats + 12 + 8, f"{cycles} cycles for {beats} beats"


OUTPUTS = ("m_data", "m_bytes", "m_last", "m_valid", "m_len", "m_len_valid", "free_beats_o")
INPUTS = ("s_data", "s_bytes", "s_last", "s_valid", "s_abort", "m_ready", "m_len_ready")
IDLE = {"s_valid": 0, "s_last": 0, "s_abort": 0}


def frame_script(
    rng: random.Random, frames: list[bytes], beat: int, aborts: float
) -> tuple[deque[dict[str, int]], list[bytes]]:
    """Return the beats to drive, and the frames that must come out."""
    script: deque[dict[str, int]] = deque()
    kept = []
    for frame in frames:
        chunks = [frame[n : n + beat] for n in range(0, len(frame), beat)]
        abort = rng.random() < aborts
        for number, chunk in enumerate(chunks):
            last = number + 1 == len(chunks)
            word = {"s_data": int.from_bytes(chunk, "little"), "s_bytes": len(chunk), "s_valid": 1}
            script.append({**word, "s_last": int(last), "s_abort": int(abort and last)})
        if not abort:
            kept.append(frame)
    return script, kept


@cocotb.test(**TIMEOUT)
async def pick_is_fair(dut: Any) -> None:
    """The next requester above the last one served, around the end; so each waits at most N - 1 turns."""
    rng = random.Random(cocotb.RANDOM_SEED)
    count = len(dut.req_i)
    for _ in range(500):
        request, last = rng.getrandbits(count), rng.randrange(count)
        dut.req_i.value, dut.last_i.value = request, last
        await cocotb.triggers.Timer(1, "ns")
        turns = [(last + 1 + n) % count for n in range(count)]
        first = next((n for n in turns if request >> n & 1), 0)
        assert (int(dut.valid_o.value), int(dut.idx_o.value)) == (int(request != 0), first)


@pytest.mark.sim
@pytest.mark.parametrize(("width", "depth"), [(1, 2), (64, 16), (520, 4)])
def test_fifo(run_bench: RunBench, width: int, depth: int) -> None:
    run_bench(
        "tupelo_fifo",
        "fifo_keeps_order_at_full_rate",
        sources=["rtl/tupelo_fifo.sv"],
        WIDTH=width,
        DEPTH=depth,
    )


@pytest.mark.sim
@pytest.mark.parametrize(("data_w", "beats"), [(128, 16), (512, 64)])
def test_frame_fifo(run_bench: RunBench, data_w: int, beats: int) -> None:
    sources = ["rtl/tupelo_fifo.sv", "rtl/tupelo_frame_fifo.sv"]
    run_bench(
        "tupelo_frame_fifo", "frame_fifo_hands_on_whole_frames", sources=sources, DATA_W=data_w, BEATS=beats
    )


@pytest.mark.sim
@pytest.mark.parametrize("n", [2, 16, 128])
def test_rr_pick(run_bench: RunBench, n: int) -> None:
    run_bench("tupelo_rr_pick", "pick_is_fair", sources=["rtl/tupelo_rr_pick.sv"], N=n)
