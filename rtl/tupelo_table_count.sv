// SPDX-License-Identifier: Apache-2.0
// tupelo_table_count - one eighth of a table's hit counters
// Guarantees: counts a hit a cycle, also of the same counter again and again. A command takes its turn in the second
//   cycle at the latest, unless hits of Waiting or more different counters of this eighth come without a gap.
// Clock/reset: clk; rst synchronous, active high, forgets what is on its way; the counters are cleared by c_walk.
// Contract: c_valid holds with its data until c_ready; the answer to a read is in c_count in the next cycle and stays
//   until the next. c_walk clears the counter c_index and comes without hits.
// How: read, add, write in two cycles; what was written last is kept, as the next read comes too early to see it. A
//   command that finds the writing port taken stops the next hit for a cycle: hits wait, the oldest first, and those
//   of one counter together, so that a flood of a few flows does not fill the places.
`default_nettype none
module tupelo_table_count #(
    parameter  integer DEPTH = 2048,  // counters, a power of two >= 2
    localparam integer IndexW = $clog2(DEPTH)
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               hit_valid,
    input  wire  [IndexW-1:0] hit_index,
    input  wire               c_valid,
    output wire               c_ready,
    input  wire               c_clear,
    input  wire               c_walk,
    input  wire  [IndexW-1:0] c_index,
    output wire  [      63:0] c_count
);
  localparam integer Waiting = 4;

  typedef struct packed {
    logic [IndexW-1:0] index;
    logic [3:0]        hits;
  } wait_t;

  // ---- hits that wait, the oldest in place 0
  logic [Waiting-1:0] wait_q;
  wait_t [Waiting-1:0] place_q;
  logic add_q;  // a counter was read, and is written now

  wire stop = c_valid && add_q && !wait_q[Waiting-1];
  wire go = wait_q[0] && !stop;

  logic [Waiting-1:0] rest;
  wait_t [Waiting-1:0] places;
  logic joined;
  always_comb begin
    rest   = wait_q;
    places = place_q;
    joined = 1'b0;
    if (hit_valid || wait_q[0]) begin
      if (go) begin
        rest   = wait_q >> 1;
        places = place_q >> $bits(wait_t);
      end
      for (int unsigned n = 0; n < Waiting; n++)
      if (hit_valid && rest[n] && places[n].index == hit_index && !(&places[n].hits)) begin
        places[n].hits += 4'd1;
        joined = 1'b1;
      end
      for (int unsigned n = 0; n < Waiting; n++)
      if (hit_valid && !joined && !rest[n]) begin
        rest[n]   = 1'b1;
        places[n] = '{index: hit_index, hits: 4'd1};
        joined    = 1'b1;
      end
    end
  end

  // ---- read, add, write
  logic last_q;
  wait_t now_q;
  logic [IndexW-1:0] last_index_q;
  logic [63:0] last_count_q;
  wire  [63:0] a_count;

  wire take = c_valid && c_ready;
  wire write = add_q || (take && c_clear);
  wire [IndexW-1:0] index = add_q ? now_q.index : c_index;
  wire seen = last_q && last_index_q == now_q.index;
  wire [63:0] count = !add_q || c_walk ? 64'd0 : (seen ? last_count_q : a_count) + 64'(now_q.hits);

  assign c_ready = !add_q && !c_walk;

  tupelo_table_way #(
      .WIDTH(64),
      .DEPTH(DEPTH)
  ) u_way (
      .clk   (clk),
      .a_en  (go),
      .a_addr(place_q[0].index),
      .a_q   (a_count),
      .b_en  (c_walk || write || take),
      .b_we  (c_walk || write),
      .b_addr(c_walk ? c_index : index),
      .b_data(count),
      .b_q   (c_count)
  );

  always_ff @(posedge clk) begin
    wait_q <= rst ? '0 : rest;
    if (hit_valid || wait_q[0]) place_q <= places;
    add_q  <= go && !rst;
    last_q <= write && !rst;
    if (go) now_q <= place_q[0];
    if (write) begin
      last_index_q <= index;
      last_count_q <= count;
    end
  end

`ifdef TUPELO_CHECKS
  always @(posedge clk) begin
    if (!rst && hit_valid && !joined) $fatal(1, "%m lost: no place for a hit at %0t", $time);
    if (!rst && c_walk && (hit_valid || wait_q[0])) $fatal(1, "%m walk: a hit while all are cleared at %0t", $time);
  end
`endif
endmodule
`default_nettype wire
