// SPDX-License-Identifier: Apache-2.0
// tupelo_rx_lists - the frames that wait in the receive buffer, a list a queue
// Guarantees: first in, first out a list; a frame added and one taken a cycle, of the same list or of two. A frame that
//   is added is seen in some_o a cycle later. Lists take nothing from each other: there is an entry for each beat of
//   the buffer, and a frame's is that of its first beat.
// Clock/reset: clk; rst synchronous, active high, empties all lists.
// Contract: load_i and pop_i name lists with a frame (some_o). load_i looks at the first frame: it is on frame_o from
//   the next cycle on until the next load_i. pop_i takes it off its list; pop_* tell about it in the same cycle.
// How: tail_mem, link_mem as usual. The first frame of a list is in first_mem if it came when there was none, in
//   then_mem if the one before it has been taken: so each memory has one writer.
`default_nettype none
module tupelo_rx_lists
  import tupelo_pkg::*;
#(
    parameter integer LISTS   = 9,    // >= 2
    parameter integer BEATS   = 512,  // of the buffer, a power of two
    parameter integer BEATS_W = 8,    // bits of a frame's length in beats
    localparam integer ListW = $clog2(LISTS),
    localparam integer AddrW = $clog2(BEATS)
) (
    input  wire                clk,
    input  wire                rst,
    output wire  [  LISTS-1:0] some_o,
    input  wire                add_i,
    input  wire  [  ListW-1:0] add_list_i,
    input  wire  [  AddrW-1:0] add_slot_i,
    input  wire  rx_frame_t    add_frame_i,
    input  wire  [BEATS_W-1:0] add_beats_i,
    input  wire                load_i,
    input  wire  [  ListW-1:0] load_list_i,
    output rx_frame_t          frame_o,
    input  wire                pop_i,
    input  wire  [  ListW-1:0] pop_list_i,
    output wire  [  AddrW-1:0] pop_slot_o,
    output wire  [BEATS_W-1:0] pop_beats_o,
    output vq_t                pop_vq_o,
    output wire                pop_last_o     // it is the only frame of its list
);
  // What is needed of a frame that is taken off; the rest is read with load_i.
  typedef struct packed {
    vq_t vq;
    logic [BEATS_W-1:0] beats;
  } note_t;

  rx_frame_t frame_mem[BEATS];
  note_t note_mem[BEATS];
  logic [AddrW-1:0] link_mem[BEATS];
  logic [AddrW-1:0] first_mem[LISTS], then_mem[LISTS], tail_mem[LISTS];
  logic [LISTS-1:0] some_q;
  logic [LISTS-1:0] then_q;  // the first frame is in then_mem

  wire [AddrW-1:0] load_slot = then_q[load_list_i] ? then_mem[load_list_i] : first_mem[load_list_i];
  assign pop_slot_o = then_q[pop_list_i] ? then_mem[pop_list_i] : first_mem[pop_list_i];
  wire note_t note = note_mem[pop_slot_o];
  assign pop_beats_o = note.beats;
  assign pop_vq_o    = note.vq;
  assign some_o      = some_q;

  assign pop_last_o = pop_slot_o == tail_mem[pop_list_i];
  wire pop_all = pop_i && pop_last_o;
  wire add_first = !some_q[add_list_i] || (pop_all && pop_list_i == add_list_i);

  always_ff @(posedge clk) begin
    if (load_i) frame_o <= frame_mem[load_slot];
    if (pop_i) begin
      then_mem[pop_list_i] <= link_mem[pop_slot_o];
      then_q[pop_list_i]   <= 1'b1;
      if (pop_all) some_q[pop_list_i] <= 1'b0;
    end
    if (add_i) begin
      frame_mem[add_slot_i] <= add_frame_i;
      note_mem[add_slot_i]  <= '{vq: add_frame_i.vq, beats: add_beats_i};
      tail_mem[add_list_i]  <= add_slot_i;
      some_q[add_list_i]    <= 1'b1;
      if (add_first) begin
        first_mem[add_list_i] <= add_slot_i;
        then_q[add_list_i]    <= 1'b0;
      end else link_mem[tail_mem[add_list_i]] <= add_slot_i;
    end
    if (rst) some_q <= '0;
  end

`ifdef TUPELO_CHECKS
  always @(posedge clk) if (!rst) begin
    if (pop_i && !some_q[pop_list_i]) $fatal(1, "%m empty: a frame was taken from list %0d at %0t", pop_list_i, $time);
    if (load_i && !some_q[load_list_i]) $fatal(1, "%m empty: list %0d was looked at at %0t", load_list_i, $time);
  end
`endif
endmodule
`default_nettype wire
