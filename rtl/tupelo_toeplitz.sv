// SPDX-License-Identifier: Apache-2.0
// tupelo_toeplitz - Toeplitz hash of a word of fixed width, one a cycle, result in the next cycle
// Guarantees: m_hash = XOR, over the input bits i that are set, of key bits i .. i + OUT_W - 1. Bit 0 of the input
//   and of the key is the most significant one of its vector, and the first key bit of a window lands in
//   m_hash[OUT_W-1]: the definition of Microsoft's receive side scaling, at any width. A shorter input goes to the
//   top of s_data with zeros below it. m_hash holds until the next s_valid.
// Clock/reset: clk; no state but the output register; rst clears m_valid.
// Contract: key_i is quiet while s_valid (a change takes effect with the next word).
// How: with vectors written most significant bit first, input bit i is s_data[b], b = IN_W - 1 - i, and its window is
//   key_i[b +: OUT_W]. Words of 32 input bits that are zero (the unused part of an IPv4 address) cost no simulation.
`default_nettype none
module tupelo_toeplitz #(
    parameter integer IN_W = 288,  // bits of input, >= 1
    parameter integer OUT_W = 32,  // bits of the hash, >= 1
    localparam integer KeyW = IN_W + OUT_W - 1
) (
    input  wire              clk,
    input  wire              rst,
    input  wire  [ KeyW-1:0] key_i,
    input  wire              s_valid,
    input  wire  [ IN_W-1:0] s_data,
    output logic             m_valid,
    output logic [OUT_W-1:0] m_hash
);
  localparam integer Step = 32;

  function automatic logic [OUT_W-1:0] toeplitz(input logic [IN_W-1:0] data, input logic [KeyW-1:0] key);
    // No cost in simulation while no frame passes:
    /* verilator no_inline_task */
    toeplitz = '0;
    for (int base = 0; base < IN_W; base += Step)
    if (|(data >> base & IN_W'({Step{1'b1}})))
      for (int b = base; b < base + Step && b < IN_W; b++) toeplitz ^= {OUT_W{data[b]}} & key[b+:OUT_W];
  endfunction

  always_ff @(posedge clk) begin
    m_valid <= s_valid && !rst;
    if (s_valid) m_hash <= toeplitz(s_data, key_i);
  end
endmodule
`default_nettype wire
