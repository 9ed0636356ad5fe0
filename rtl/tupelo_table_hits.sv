// SPDX-License-Identifier: Apache-2.0
// tupelo_table_hits - hit counters of a table, 64 bits each, indexed by the entries' ids
// Guarantees: counts a hit a cycle, whatever the ids. A counter is read or cleared at once: each hit counts before or
//   after.
// Clock/reset: clk; rst synchronous, active high, forgets what is on its way; the counters are cleared by c_walk.
// Contract: c_valid holds with its data until c_ready (see tupelo_table_count for how long that lasts); the answer to
//   a read is in c_count in the next cycle and stays until the next. With c_walk no hit comes, and the counters
//   c_index * 8 .. + 7 are cleared.
`default_nettype none
module tupelo_table_hits
  import tupelo_table_pkg::SlotsPerIndex;
#(
    parameter integer ENTRIES = 16384,  // counters, a power of two 16..65536
    localparam integer IdW = $clog2(ENTRIES),
    localparam integer LaneW = $clog2(SlotsPerIndex),
    localparam integer IndexW = IdW - LaneW
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               hit_valid,
    input  wire  [   IdW-1:0] hit_id,
    input  wire               c_valid,
    output wire               c_ready,
    input  wire               c_clear,
    input  wire  [   IdW-1:0] c_id,
    input  wire               c_walk,
    input  wire  [IndexW-1:0] c_index,
    output wire  [      63:0] c_count
);
  logic [SlotsPerIndex-1:0] ready;
  logic [SlotsPerIndex-1:0][63:0] count;

  assign c_ready = ready[c_id[LaneW-1:0]];
  assign c_count = count[c_id[LaneW-1:0]];

  for (genvar n = 0; n < SlotsPerIndex; n++) begin : g_lane
    tupelo_table_count #(
        .DEPTH(ENTRIES / SlotsPerIndex)
    ) u_count (
        .clk      (clk),
        .rst      (rst),
        .hit_valid(hit_valid && hit_id[LaneW-1:0] == LaneW'(n)),
        .hit_index(hit_id[IdW-1:LaneW]),
        .c_valid  (c_valid && c_id[LaneW-1:0] == LaneW'(n)),
        .c_ready  (ready[n]),
        .c_clear  (c_clear),
        .c_walk   (c_walk),
        .c_index  (c_walk ? c_index : c_id[IdW-1:LaneW]),
        .c_count  (count[n])
    );
  end
endmodule
`default_nettype wire
