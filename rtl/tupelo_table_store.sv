// SPDX-License-Identifier: Apache-2.0
// tupelo_table_store - hash table of two banks of buckets of four ways: two look-ups a cycle, or one and a command
// Guarantees: *_match and *_info come 2 cycles behind *_valid. All slots of a look-up are read in the same cycle, and a
//   slot is written in one, so a look-up sees the table as it was at one moment.
// Clock/reset: clk; rst synchronous, active high, forgets look-ups; entries stay until they are overwritten.
// Contract: the key lies in bucket hash[63 -: B] of bank 0 or hash[31 -: B] of bank 1, B = log2(ENTRIES / 8).
//   c_use takes the place of a look-up at port B: no b_valid in its cycle. c_write says which slots of bucket c_index
//   are written, bit {bank, way}; none: they are read and c_entries has them in the next cycle.
`default_nettype none
module tupelo_table_store
  import tupelo_table_pkg::*;
#(
    parameter integer KEY_W = 297,  // bits
    parameter integer ENTRIES = 16384,  // slots, a power of two 16..65536
    localparam integer IndexW = $clog2(ENTRIES / SlotsPerIndex),
    localparam integer EntryW = 1 + KEY_W + $bits(info_t)
) (
    input  wire                                  clk,
    input  wire                                  rst,
    input  wire                                  a_valid,
    input  wire  [Banks-1:0][IndexW-1:0]         a_index,
    input  wire  [    KEY_W-1:0]                 a_key,
    output wire                                  a_match,
    output wire info_t                           a_info,
    input  wire                                  b_valid,
    input  wire  [Banks-1:0][IndexW-1:0]         b_index,
    input  wire  [    KEY_W-1:0]                 b_key,
    output wire                                  b_match,
    output wire info_t                           b_info,
    input  wire                                  c_use,
    input  wire  [SlotsPerIndex-1:0]             c_write,
    input  wire  [   IndexW-1:0]                 c_index,
    input  wire  [   EntryW-1:0]                 c_entry,
    output wire  [SlotsPerIndex-1:0][EntryW-1:0] c_entries
);
  logic [SlotsPerIndex-1:0][EntryW-1:0] a_entries, b_entries;
  assign c_entries = b_entries;

  for (genvar s = 0; s < SlotsPerIndex; s++) begin : g_slot
    tupelo_table_way #(
        .WIDTH(EntryW),
        .DEPTH(ENTRIES / SlotsPerIndex)
    ) u_way (
        .clk   (clk),
        .a_en  (a_valid),
        .a_addr(a_index[s/Ways]),
        .a_q   (a_entries[s]),
        .b_en  (b_valid || c_use),
        .b_we  (c_use && c_write[s]),
        .b_addr(c_use ? c_index : b_index[s/Ways]),
        .b_data(c_entry),
        .b_q   (b_entries[s])
    );
  end

  logic a_read_q, b_read_q;
  logic [KEY_W-1:0] a_key_q, b_key_q;

  always_ff @(posedge clk) begin
    a_read_q <= a_valid && !rst;
    b_read_q <= b_valid && !rst;
    if (a_valid) a_key_q <= a_key;
    if (b_valid) b_key_q <= b_key;
  end

  tupelo_table_match #(
      .KEY_W(KEY_W)
  ) u_match_a (
      .clk      (clk),
      .s_valid  (a_read_q),
      .s_key    (a_key_q),
      .s_entries(a_entries),
      .m_match  (a_match),
      .m_info   (a_info)
  );

  tupelo_table_match #(
      .KEY_W(KEY_W)
  ) u_match_b (
      .clk      (clk),
      .s_valid  (b_read_q),
      .s_key    (b_key_q),
      .s_entries(b_entries),
      .m_match  (b_match),
      .m_info   (b_info)
  );

`ifdef TUPELO_CHECKS
  always @(posedge clk)
    if (!rst && c_use && b_valid) $fatal(1, "%m port_b: look-up and command at once at %0t", $time);
`endif
endmodule
`default_nettype wire
