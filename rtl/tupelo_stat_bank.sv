// SPDX-License-Identifier: Apache-2.0
// tupelo_stat_bank - 64-bit counters of one kind in a memory, and their values at one moment of the past
// Guarantees: one event a cycle, none is missed; after snap_i (a pulse) reads with hold_i give the values from before
//   the events of that cycle, while counting goes on.
// Clock/reset: clk; rst synchronous, active high, all counters 0.
// Contract: reads are combinational.
// How: the first event after the pulse saves the counter's old value; one that has not changed since needs no copy.
`default_nettype none
module tupelo_stat_bank #(
    parameter integer N     = 16,  // counters, >= 1
    parameter integer ADD_W = 24,  // bits of what is added
    localparam integer IdxW = N > 1 ? $clog2(N) : 1
) (
    input  wire              clk,
    input  wire              rst,
    input  wire              snap_i,
    input  wire              hold_i,
    input  wire              valid_i,
    input  wire [  IdxW-1:0] idx_i,
    input  wire [ ADD_W-1:0] add_i,
    input  wire [  IdxW-1:0] rd_idx_i,
    output wire [      63:0] rd_data_o
);
  logic [63:0] mem[N];
  logic [63:0] old_mem[N];
  logic [N-1:0] known_q, saved_q;  // counters that hold something; old values that do

  wire [63:0] value = known_q[idx_i] ? mem[idx_i] : 64'd0;
  wire [63:0] now = known_q[rd_idx_i] ? mem[rd_idx_i] : 64'd0;
  assign rd_data_o = hold_i && saved_q[rd_idx_i] ? old_mem[rd_idx_i] : now;

  always_ff @(posedge clk) begin
    if (snap_i) saved_q <= '0;
    if (valid_i) begin
      mem[idx_i]     <= value + 64'(add_i);
      known_q[idx_i] <= 1'b1;
      if (snap_i || !saved_q[idx_i]) old_mem[idx_i] <= value;
      saved_q[idx_i] <= 1'b1;
    end
    if (rst) begin
      known_q <= '0;
      saved_q <= '0;
    end
  end
endmodule
`default_nettype wire
