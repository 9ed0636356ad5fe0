// SPDX-License-Identifier: Apache-2.0
// tupelo_fifo - small synchronous first-word-fall-through FIFO
// Guarantees: one word in and one out a cycle, in order, latency 1 cycle; m_valid never depends on m_ready.
// Clock/reset: clk; rst synchronous, active high, empties it.
// Contract: s_valid and s_data hold until s_ready. level_o counts the words held.
`default_nettype none
module tupelo_fifo #(
    parameter integer WIDTH = 8,  // bits, >= 1
    parameter integer DEPTH = 4,  // words, a power of two >= 2
    localparam integer PtrW = $clog2(DEPTH)
) (
    input  wire               clk,
    input  wire               rst,
    input  wire  [WIDTH-1:0]  s_data,
    input  wire               s_valid,
    output wire               s_ready,
    output wire  [WIDTH-1:0]  m_data,
    output wire               m_valid,
    input  wire               m_ready,
    output wire  [PtrW:0]     level_o
);
  logic [WIDTH-1:0] mem[DEPTH];
  logic [PtrW:0] wr_q, rd_q;

  assign level_o = wr_q - rd_q;
  assign s_ready = !level_o[PtrW];
  assign m_valid = level_o != '0;
  assign m_data  = mem[rd_q[PtrW-1:0]];

  always_ff @(posedge clk) begin
    if (s_valid && s_ready) begin
      mem[wr_q[PtrW-1:0]] <= s_data;
      wr_q <= wr_q + 1'b1;
    end
    if (m_valid && m_ready) rd_q <= rd_q + 1'b1;
    if (rst) begin
      wr_q <= '0;
      rd_q <= '0;
    end
  end

  initial if (DEPTH < 2 || (DEPTH & (DEPTH - 1)) != 0)
    $fatal(1, "%m: DEPTH must be a power of two >= 2, not %0d", DEPTH);
endmodule
`default_nettype wire
