// SPDX-License-Identifier: Apache-2.0
// tupelo_rd_slots - puts data reads that return in any order back into the order in which they were asked for
// Guarantees: one slot handed out and one beat given out a cycle; beats in slot order, each with what its slot was
//   given (note); a slot's error marks all of its beats. Latency from the last beat in to the first out: 2 cycles.
// Clock/reset: clk; rst synchronous, active high (only while no read is under way).
// Contract: r_* carries the slot number as its ID, beats of one ID in order, IDs interleaved at will.
//   m_* has no back-pressure; m_go_i permits one more beat to be given out, 2 cycles ahead.
`default_nettype none
module tupelo_rd_slots #(
    parameter integer DATA_W = 512,   // bits, 128, 256, 512
    parameter integer SLOTS  = 128,   // reads in flight, a power of two 4..128
    parameter integer NOTE_W = 8,     // bits kept for each slot
    localparam integer SlotW = $clog2(SLOTS),
    localparam integer Beats = 2048 / DATA_W,  // beats of 256 bytes
    localparam integer BeatW = $clog2(Beats)
) (
    input  wire               clk,
    input  wire               rst,
    // a slot is taken
    input  wire               s_valid,
    output wire               s_ready,
    output wire  [ SlotW-1:0] s_slot,
    input  wire               s_read,       // it waits for data; else it is complete at once and has one empty beat
    input  wire  [ BeatW-1:0] s_last_beat,  // beats expected, less one
    input  wire  [NOTE_W-1:0] s_note,
    // read data
    input  wire               r_valid,
    input  wire  [ SlotW-1:0] r_slot,
    input  wire  [DATA_W-1:0] r_data,
    input  wire               r_last,
    input  wire               r_err,
    // in order; one cycle before the data: which beat it will be
    input  wire               m_go_i,
    output wire               n_valid,
    output wire  [NOTE_W-1:0] n_note,
    output wire               n_first,      // first beat of its slot
    output wire               n_last,       // last beat of its slot
    output wire               n_err,
    output wire  [DATA_W-1:0] m_data        // data of the beat announced in the cycle before
);
  logic [DATA_W-1:0] data_mem[SLOTS*Beats];
  logic [NOTE_W-1:0] note_mem[SLOTS];
  logic [BeatW-1:0] last_mem[SLOTS];
  logic [BeatW-1:0] fill_mem[SLOTS];
  logic [SLOTS-1:0] done_q, err_q;
  logic [SlotW:0] head_q, tail_q;
  logic [BeatW-1:0] beat_q;
  logic [DATA_W-1:0] data_q;

  wire [SlotW:0] level = head_q - tail_q;
  wire [SlotW-1:0] head = head_q[SlotW-1:0];
  wire [SlotW-1:0] tail = tail_q[SlotW-1:0];

  assign s_ready = !level[SlotW];
  assign s_slot  = head;
  wire take = s_valid && s_ready;

  assign n_valid = level != '0 && done_q[tail] && m_go_i;
  assign n_note  = note_mem[tail];
  assign n_first = beat_q == '0;
  assign n_last  = beat_q == last_mem[tail];
  assign n_err   = err_q[tail];
  assign m_data  = data_q;

  always_ff @(posedge clk) begin
    if (take) begin
      head_q         <= head_q + 1'b1;
      note_mem[head] <= s_note;
      last_mem[head] <= s_last_beat;
      fill_mem[head] <= '0;
      done_q[head]   <= !s_read;
      err_q[head]    <= 1'b0;
    end
    if (r_valid) begin
      data_mem[{r_slot, fill_mem[r_slot]}] <= r_data;
      fill_mem[r_slot] <= fill_mem[r_slot] + 1'b1;
      if (r_last) done_q[r_slot] <= 1'b1;
      if (r_err) err_q[r_slot] <= 1'b1;
    end
    if (n_valid) begin
      data_q <= data_mem[{tail, beat_q}];
      beat_q <= n_last ? '0 : beat_q + 1'b1;
      if (n_last) tail_q <= tail_q + 1'b1;
    end
    if (rst) begin
      head_q <= '0;
      tail_q <= '0;
      beat_q <= '0;
    end
  end

  initial begin
    if (SLOTS < 4 || SLOTS > 128 || (SLOTS & (SLOTS - 1)) != 0)
      $fatal(1, "%m: SLOTS must be a power of two 4..128, not %0d", SLOTS);
  end
`ifdef TUPELO_CHECKS
  always @(posedge clk)
    if (!rst && r_valid && r_last != (fill_mem[r_slot] == last_mem[r_slot]))
      $fatal(1, "%m length: slot %0d has RLAST at beat %0d, not %0d, at %0t", r_slot, fill_mem[r_slot],
             last_mem[r_slot], $time);
`endif
endmodule
`default_nettype wire
