// SPDX-License-Identifier: Apache-2.0
// tupelo_used - writes used descriptors, several of a queue in one beat where they share it
// Guarantees: used descriptors of a queue are written in order at the place of their chain's first descriptor
//   (VIRTIO 1.2 section 2.8.2, 2.8.6); one completion a cycle. One that could share its beat with the next waits for
//   it, but no longer than 8 cycles in which the write master has nothing else to do, and at most 1,024 cycles.
//   Only bytes 8..15 of a descriptor are written (length, id, flags). Of a frame in several chains the beat with the
//   first used descriptor is written last, so that a driver that sees it sees all (section 5.1.6.4, num_buffers).
// Clock/reset: clk; rst synchronous, active high. start_i sets up one queue's state.
// Contract: completions of one queue come in ring order, those of a frame (all but the last with s_more_i) with none of
//   another frame in several chains between them. m_pos is the position behind the last one written; a beat with
//   m_quiet is one of several, to be told of with the last.
`default_nettype none
module tupelo_used
  import tupelo_pkg::*;
#(
    parameter integer QUEUES = 16,   // virtqueues, 2..128
    parameter integer DATA_W = 512,  // bits, 128, 256, 512
    localparam integer QidxW = $clog2(QUEUES)
) (
    input  wire                 clk,
    input  wire                 rst,
    input  wire                 start_i,
    input  wire  [   QidxW-1:0] start_queue_i,
    input  wire                 s_valid,
    output wire                 s_ready,
    input  wire  completion_t   s_comp,
    input  wire                 s_more_i,       // the frame goes on in the queue's next chain
    input  wire                 loaded_i,       // the write master has frame data to write
    // queue table
    output wire  [   QidxW-1:0] cfg_queue_o,
    input  wire  queue_cfg_t    cfg_i,
    // one beat to write
    output wire                 m_valid,
    input  wire                 m_ready,
    output wire  [   QidxW-1:0] m_queue,
    output wire  [        63:0] m_addr,         // of the beat
    output logic [  DATA_W-1:0] m_data,
    output logic [DATA_W/8-1:0] m_strb,
    output wire  ring_pos_t     m_pos,
    output wire                 m_quiet,
    output wire  [         2:0] m_count,        // used descriptors in the beat
    // queue reset
    input  wire  [   QidxW-1:0] busy_queue_i,
    output wire                 busy_o
);
  localparam integer Lanes = DATA_W / 128;
  localparam integer LaneW = Lanes > 1 ? $clog2(Lanes) : 1;
  localparam integer BeatShift = $clog2(DATA_W / 8);
  localparam integer StepW = 9 - QidxW;  // a turn over all queues takes at most 512 cycles

  ring_pos_t pos_mem[QUEUES];
  // What waits to be written, a beat a queue.
  logic [63-BeatShift:0] line_mem[QUEUES];
  logic [Lanes-1:0] lanes_mem[QUEUES];
  logic [Lanes*64-1:0] data_mem[QUEUES];
  logic [QUEUES-1:0] held_q, flush_q, touched_q;
  logic [QUEUES-1:0] mid_q;  // the chain taken last was not the last of its frame
  // The beat with the first used descriptor of a frame that did not fit into it, set aside.
  logic first_q, end_q;  // there is one; the frame's end has come, too
  logic [QidxW-1:0] first_queue_q;
  logic [63-BeatShift:0] first_line_q;
  logic [Lanes-1:0] first_lanes_q;
  logic [Lanes*64-1:0] first_data_q;
  logic [QidxW-1:0] scan_q, last_q;
  logic [2:0] idle_q;
  logic [StepW-1:0] step_q;

  wire [QidxW-1:0] queue = s_comp.vq[QidxW-1:0];
  assign cfg_queue_o = queue;
  wire ring_pos_t pos = pos_mem[queue];
  wire ring_pos_t pos_after = ring_advance(pos, s_comp.chain_descs, cfg_i.size);
  wire [63:0] addr = cfg_i.desc + {45'd0, pos.idx, 4'd0};
  wire [63-BeatShift:0] line = addr[63:BeatShift];
  wire [LaneW-1:0] lane = Lanes > 1 ? addr[4+:LaneW] : '0;
  wire [15:0] flags = (16'(pos.wrap) << DescAvail) | (16'(pos.wrap) << DescUsed)
      | (16'(s_comp.len_bytes != 32'd0) << DescWrite);
  wire [63:0] entry = {flags, s_comp.id, s_comp.len_bytes};

  wire held = held_q[queue];
  wire same = line_mem[queue] == line && !lanes_mem[queue][lane];
  wire mine = first_q && first_queue_q == queue;
  wire leave = s_valid && !end_q && held && !same;  // what is held makes room, in this cycle
  wire aside = leave && mid_q[queue] && !mine;
  wire displace = leave && !aside;

  wire pick_valid;
  wire [QidxW-1:0] pick;
  tupelo_rr_pick #(
      .N(QUEUES)
  ) u_pick (
      .req_i  ((idle_q == 3'd7 ? held_q : flush_q) & ~mid_q),
      .last_i (last_q),
      .valid_o(pick_valid),
      .idx_o  (pick)
  );
  wire flush = !displace && !end_q && pick_valid && !(s_valid && pick == queue);
  wire last = end_q && !held_q[first_queue_q];  // the beat set aside
  wire [Lanes-1:0] lanes = last ? first_lanes_q : lanes_mem[m_queue];

  assign s_ready = !end_q && (!displace || m_ready);
  assign m_valid = displace || flush || end_q;
  assign m_queue = end_q ? first_queue_q : displace ? queue : pick;
  assign m_addr  = {last ? first_line_q : line_mem[m_queue], {BeatShift{1'b0}}};
  assign m_pos   = pos_mem[m_queue];
  assign m_quiet = end_q ? !last : displace && mine;
  assign m_count = 3'($countones(lanes));

  always_comb begin
    m_data = '0;
    m_strb = '0;
    if (m_valid) begin
      for (int l = 0; l < Lanes; l++) begin
        m_data[128*l+64+:64] = last ? first_data_q[64*l+:64] : data_mem[m_queue][64*l+:64];
        m_strb[16*l+8+:8]    = {8{lanes[l]}};
      end
    end
  end

  wire take = s_valid && s_ready;

  always_ff @(posedge clk) begin
    step_q <= step_q + 1'b1;
    if (step_q == '0) begin
      scan_q <= scan_q == QidxW'(QUEUES - 1) ? '0 : scan_q + 1'b1;
      touched_q[scan_q] <= 1'b0;
      if (held_q[scan_q] && !touched_q[scan_q]) flush_q[scan_q] <= 1'b1;
    end
    idle_q <= s_valid || loaded_i ? 3'd0 : (idle_q == 3'd7 ? idle_q : idle_q + 1'b1);

    if (flush && m_ready) begin
      held_q[pick]  <= 1'b0;
      flush_q[pick] <= 1'b0;
      last_q        <= pick;
    end
    if (end_q && m_ready) begin
      held_q[first_queue_q]  <= 1'b0;
      flush_q[first_queue_q] <= 1'b0;
      if (last) begin
        first_q <= 1'b0;
        end_q   <= 1'b0;
      end
    end
    if (aside) begin
      first_q       <= 1'b1;
      first_queue_q <= queue;
      first_line_q  <= line_mem[queue];
      first_lanes_q <= lanes_mem[queue];
      first_data_q  <= data_mem[queue];
    end
    if (take) begin
      mid_q[queue] <= s_more_i;
      if (!s_more_i && (mine || aside)) end_q <= 1'b1;
      pos_mem[queue]   <= pos_after;
      held_q[queue]    <= 1'b1;
      touched_q[queue] <= 1'b1;
      flush_q[queue]   <= lane == LaneW'(Lanes - 1) || pos_after.idx == '0;
      line_mem[queue]  <= line;
      lanes_mem[queue] <= (held && same ? lanes_mem[queue] : '0) | (Lanes'(1) << lane);
      data_mem[queue][64*lane+:64] <= entry;
    end
    if (start_i) pos_mem[start_queue_i] <= RingStart;
    if (rst) begin
      held_q    <= '0;
      flush_q   <= '0;
      touched_q <= '0;
      mid_q     <= '0;
      first_q   <= 1'b0;
      end_q     <= 1'b0;
      scan_q    <= '0;
      step_q    <= '0;
      last_q    <= '0;
      idle_q    <= '0;
    end
  end

  assign busy_o = held_q[busy_queue_i] || (first_q && first_queue_q == busy_queue_i);

`ifdef TUPELO_CHECKS
  always @(posedge clk)
    if (!rst && aside && first_q) $fatal(1, "%m frame: chains of two frames of several are mixed at %0t", $time);
`endif
  wire unused = &{1'b0, cfg_i.vector, cfg_i.driver, cfg_i.device, addr[3:0]};
endmodule
`default_nettype wire
