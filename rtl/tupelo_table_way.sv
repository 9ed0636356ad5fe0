// SPDX-License-Identifier: Apache-2.0
// tupelo_table_way - memory of a table: one reading port, one port that reads or writes
// Guarantees: the word at *_addr is in *_q in the next cycle and stays there until the port's next read. A read that
//   meets a write of the same word gives the old word, whole.
// Clock/reset: clk; no reset: who needs empty words writes them.
// Contract: b_en with b_we writes, b_en without reads.
// How: maps to block RAM with two ports (checked by `make synth`).
`default_nettype none
module tupelo_table_way #(
    parameter integer WIDTH = 338,  // bits
    parameter integer DEPTH = 2048,  // words, a power of two >= 2
    localparam integer AddrW = $clog2(DEPTH)
) (
    input  wire              clk,
    input  wire              a_en,
    input  wire  [AddrW-1:0] a_addr,
    output logic [WIDTH-1:0] a_q,
    input  wire              b_en,
    input  wire              b_we,
    input  wire  [AddrW-1:0] b_addr,
    input  wire  [WIDTH-1:0] b_data,
    output logic [WIDTH-1:0] b_q
);
  logic [WIDTH-1:0] mem[DEPTH];

  always_ff @(posedge clk) if (a_en) a_q <= mem[a_addr];

  always_ff @(posedge clk) begin
    if (b_en) begin
      if (b_we) mem[b_addr] <= b_data;
      else b_q <= mem[b_addr];
    end
  end
endmodule
`default_nettype wire
