// SPDX-License-Identifier: Apache-2.0
// tupelo_rx_queues - received frames between the classifier and their queues' buffers
// Guarantees: see tupelo_rx_store (the data), tupelo_rx_lists (a list a queue) and tupelo_rx_choose (which frame goes
//   on, which has to go), which it joins. Of an idle receive path, a frame is on offer two cycles behind its record.
// Clock/reset: clk; rst synchronous, active high, forgets all frames.
// Contract: records (add_i) come in the order of the frames' ends, behind them. f_* carries the frames taken (take_i),
//   in that order. The frame on offer and hold_i..busy_drop_i: as tupelo_rx_choose's.
`default_nettype none
module tupelo_rx_queues
  import tupelo_pkg::*;
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES  = 16,   // virtqueues, 2..128
    parameter integer DATA_W  = 512,  // bits, 128, 256, 512
    parameter integer BEATS   = 512,  // held, a power of two
    parameter integer CLASSING = 32,  // frames in the classifier, at most, a power of two
    parameter integer READS   = 16,   // frames taken whose data has not been read, a power of two
    localparam integer QidxW = $clog2(QUEUES),
    localparam integer AddrW = $clog2(BEATS)
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               halt_i,
    input  wire  [QUEUES-1:0] active_i,
    input  wire  [QUEUES-1:0] stopped_i,
    input  wire  [QUEUES-1:0] awake_i,
    input  wire  [QUEUES-1:0] chain_ready_i,
    input  wire               grow_i,
    input  wire  [ QidxW-1:0] grow_queue_i,
    // data, from tupelo_rx_ingress
    input  wire  [DATA_W-1:0] s_data,
    input  wire               s_last,
    input  wire               s_valid,
    input  wire               s_abort,
    output wire  [   AddrW:0] free_beats_o,
    // records
    input  wire               add_i,
    input  wire  rx_frame_t   add_frame_i,
    // the frame on offer
    output wire               offer_valid,
    output rx_frame_t         offer_o,
    output wire               offer_resume_o,
    output wire  [ QidxW-1:0] next_queue_o,
    output wire               next_resume_o,
    input  wire               hold_i,
    input  wire               take_i,
    input  wire               refuse_i,
    input  wire               back_i,
    input  wire               dry_i,
    input  wire  [ QidxW-1:0] dry_queue_i,
    input  wire               busy_drop_i,
    // frames taken
    output wire  [DATA_W-1:0] f_data,
    output wire               f_last,
    output wire               f_valid,
    input  wire               f_ready,
    // statistics, never with busy_drop_i
    output wire               drop_o,
    output wire  [       5:0] drop_stat_o,
    output wire  [ QidxW-1:0] drop_queue_o
);
  localparam integer StrbW = DATA_W / 8;
  localparam integer BeatsW = $clog2(FrameMaxBytes / StrbW + 1);  // of a frame
  // Room is made when fewer are free: that takes some cycles, a beat may come in each.
  localparam integer LowBeats = 32;
  localparam integer ScarceBeats = 16;
  localparam integer Pairs = QUEUES / 2;
  localparam integer ListW = $clog2(Pairs + 1);

  wire commit, toss_valid, toss_ready;
  wire [AddrW-1:0] commit_slot, pop_slot, toss_slot;
  wire [BeatsW-1:0] pop_beats, toss_beats;

  tupelo_rx_store #(
      .DATA_W (DATA_W),
      .BEATS  (BEATS),
      .BEATS_W(BeatsW),
      .READS  (READS)
  ) u_store (
      .clk          (clk),
      .rst          (rst),
      .s_data       (s_data),
      .s_last       (s_last),
      .s_valid      (s_valid),
      .s_abort      (s_abort),
      .free_beats_o (free_beats_o),
      .commit_o     (commit),
      .commit_slot_o(commit_slot),
      .rd_valid     (take_i),
      .rd_slot      (pop_slot),
      .rd_beats     (pop_beats),
      .toss_valid   (toss_valid),
      .toss_ready   (toss_ready),
      .toss_slot    (toss_slot),
      .toss_beats   (toss_beats),
      .m_data       (f_data),
      .m_last       (f_last),
      .m_valid      (f_valid),
      .m_ready      (f_ready)
  );

  // ---- it waits in its queue's list
  wire [ListW-1:0] add_list = add_frame_i.drop ? ListW'(Pairs) : ListW'(add_frame_i.vq >> 1);
  wire [14:0] add_up = {1'b0, add_frame_i.bytes} + 15'(StrbW - 1);
  wire [BeatsW-1:0] add_beats = BeatsW'(add_up >> $clog2(StrbW));
  wire away;
  wire slots_ready, slot_valid;
  wire [AddrW-1:0] slot;
  wire [$clog2(CLASSING):0] slots_level;

  tupelo_fifo #(
      .WIDTH(AddrW),
      .DEPTH(CLASSING)
  ) u_slots (
      .clk    (clk),
      .rst    (rst),
      .s_data (commit_slot),
      .s_valid(commit),
      .s_ready(slots_ready),
      .m_data (slot),
      .m_valid(slot_valid),
      .m_ready(add_i),
      .level_o(slots_level)
  );

  // Beats that each queue holds: when room runs short, who has more than a like part of the buffer gets no more.
  localparam logic [AddrW:0] Share = (AddrW + 1)'(BEATS / Pairs);
  logic [Pairs-1:0][AddrW:0] held_q;
  logic [Pairs-1:0] greedy_q;
  wire greedy = !add_frame_i.drop && ((Pairs + 1)'({1'b0, greedy_q}) >> add_list & (Pairs + 1)'(1)) != '0;

  wire [Pairs:0] some;
  wire load, pop, pop_last;
  wire [ListW-1:0] load_list, pop_list;
  vq_t pop_vq;

  tupelo_rx_lists #(
      .LISTS  (Pairs + 1),
      .BEATS  (BEATS),
      .BEATS_W(BeatsW)
  ) u_lists (
      .clk        (clk),
      .rst        (rst),
      .some_o     (some),
      .add_i      (add_i && !away),
      .add_list_i (add_list),
      .add_slot_i (slot),
      .add_frame_i(add_frame_i),
      .add_beats_i(add_beats),
      .load_i     (load),
      .load_list_i(load_list),
      .frame_o    (offer_o),
      .pop_i      (pop),
      .pop_list_i (pop_list),
      .pop_slot_o (pop_slot),
      .pop_beats_o(pop_beats),
      .pop_vq_o   (pop_vq),
      .pop_last_o (pop_last)
  );

  logic [Pairs-1:0][AddrW:0] held;
  always_comb begin
    held = held_q;
    if (add_i || pop) begin
      for (int p = 0; p < Pairs; p++)
        held[p] = held_q[p] + (add_i && !away && add_list == ListW'(p) ? (AddrW + 1)'(add_beats) : '0)
            - (pop && pop_list == ListW'(p) ? (AddrW + 1)'(pop_beats) : '0);
    end
  end
  always_ff @(posedge clk) begin
    held_q <= held;
    for (int p = 0; p < Pairs; p++) greedy_q[p] <= held[p] >= Share;
    if (rst) begin
      held_q   <= '0;
      greedy_q <= '0;
    end
  end

  // ---- until it can be delivered, or has to go
  wire toss;
  wire [QidxW-1:0] offer_queue;
  wire [5:0] toss_stat;
  wire toss_s_ready;
  wire [2:0] toss_level;

  tupelo_rx_choose #(
      .QUEUES(QUEUES)
  ) u_choose (
      .clk           (clk),
      .rst           (rst),
      .halt_i        (halt_i),
      .active_i      (active_i),
      .stopped_i     (stopped_i),
      .awake_i       (awake_i),
      .chain_ready_i (chain_ready_i),
      .grow_i        (grow_i),
      .grow_queue_i  (grow_queue_i),
      .low_i         (free_beats_o < (AddrW + 1)'(LowBeats)),
      .scarce_i      (free_beats_o < (AddrW + 1)'(ScarceBeats)),
      .some_i        (some),
      .offer_valid   (offer_valid),
      .offer_queue_o (offer_queue),
      .offer_resume_o(offer_resume_o),
      .next_queue_o  (next_queue_o),
      .next_resume_o (next_resume_o),
      .hold_i        (hold_i),
      .take_i        (take_i),
      .drop_i        (refuse_i),
      .back_i        (back_i),
      .dry_i         (dry_i),
      .dry_queue_i   (dry_queue_i),
      .busy_drop_i   (busy_drop_i),
      .load_o        (load),
      .load_list_o   (load_list),
      .pop_o         (pop),
      .pop_list_o    (pop_list),
      .pop_last_i    (pop_last),
      .toss_ready    (toss_level < 3'd3),
      .add_i         (add_i),
      .add_list_i    (add_list),
      .add_greedy_i  (greedy),
      .away_o        (away),
      .toss_o        (toss),
      .toss_stat_o   (toss_stat)
  );

  tupelo_fifo #(
      .WIDTH(AddrW + BeatsW),
      .DEPTH(4)
  ) u_toss (
      .clk    (clk),
      .rst    (rst),
      .s_data (away ? {slot, add_beats} : {pop_slot, pop_beats}),
      .s_valid(toss || refuse_i || away),
      .s_ready(toss_s_ready),
      .m_data ({toss_slot, toss_beats}),
      .m_valid(toss_valid),
      .m_ready(toss_ready),
      .level_o(toss_level)
  );

  assign drop_o       = toss || away;
  assign drop_stat_o  = away ? 6'(STAT_RX_DROP_NO_BUFFER) : toss_stat;
  assign drop_queue_o = away ? add_frame_i.vq[QidxW-1:0] : pop_vq[QidxW-1:0];

`ifdef TUPELO_CHECKS
  always @(posedge clk) if (!rst) begin
    if (commit && !slots_ready) $fatal(1, "%m overflow: more frames in the classifier than thought at %0t", $time);
    if (add_i && !slot_valid) $fatal(1, "%m lost: a record without a frame at %0t", $time);
    if ((toss || refuse_i || away) && !toss_s_ready) $fatal(1, "%m overflow: too many to throw away at %0t", $time);
    if ((toss || away) && busy_drop_i) $fatal(1, "%m two drops in one cycle at %0t", $time);
    if (take_i && offer_o.vq[QidxW-1:0] != offer_queue) $fatal(1, "%m mixed up: queue and frame at %0t", $time);
  end
`endif
  wire unused = &{1'b0, add_up, pop_vq, slots_ready, slot_valid, slots_level, offer_queue, toss_s_ready};
endmodule
`default_nettype wire
