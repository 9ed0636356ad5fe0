// SPDX-License-Identifier: Apache-2.0
// tupelo_event - decides after used descriptors whether the driver wants an interrupt
// Guarantees: the driver's event structure is read after the used descriptors are visible, and again for those that
//   become visible meanwhile, so no wake-up is lost (VIRTIO 1.2 sections 2.8.10, 2.8.14). Reserved flag values and a
//   position outside the ring are taken as "interrupt".
// Clock/reset: clk; rst synchronous, active high. start_i sets up one queue's state.
// Contract: ar_* is answered in order on r_*, which has no back-pressure. irq_* holds until ready.
`default_nettype none
module tupelo_event
  import tupelo_pkg::*;
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES = 16,   // virtqueues, 2..128
    parameter integer DATA_W = 512,  // bits, 128, 256, 512
    localparam integer QidxW = $clog2(QUEUES)
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               halt_i,
    input  wire               event_idx_i,    // VIRTIO_F_RING_EVENT_IDX negotiated
    input  wire               start_i,
    input  wire  [ QidxW-1:0] start_queue_i,
    // used descriptors made visible
    input  wire               used_done_i,
    input  wire  [ QidxW-1:0] used_queue_i,
    input  wire  ring_pos_t   used_pos_i,
    // queue table: of the queue to ask for, and of the queue that was asked
    output wire  [ QidxW-1:0] cfg_queue_o,
    input  wire  queue_cfg_t  cfg_i,
    output wire  [ QidxW-1:0] cfg2_queue_o,
    input  wire  queue_cfg_t  cfg2_i,
    // reads of 4 bytes
    output wire               ar_valid,
    input  wire               ar_ready,
    output wire  [      63:0] ar_addr,
    output wire  [ QidxW-1:0] ar_queue,
    input  wire               r_valid,
    input  wire  [DATA_W-1:0] r_data,
    input  wire               r_err,
    // interrupts
    output wire               irq_valid,
    input  wire               irq_ready,
    output wire  [      15:0] irq_vector,
    output wire  [ QidxW-1:0] irq_queue,
    output wire  [      15:0] irq_count,      // used descriptors that it stands for
    output wire  queue_error_t error_o,
    // queue reset
    input  wire  [ QidxW-1:0] busy_queue_i,
    output wire               busy_o
);
  localparam integer Depth = 16;  // questions under way
  localparam integer BeatShift = $clog2(DATA_W / 8);

  ring_pos_t seen_mem[QUEUES];  // behind the last used descriptor that is visible
  ring_pos_t told_mem[QUEUES];  // behind the last one for which the driver's wish was looked at
  logic [QUEUES-1:0] pending_q, asked_q;
  logic [QidxW-1:0] last_q;

  wire pick_valid;
  wire [QidxW-1:0] pick;
  tupelo_rr_pick #(
      .N(QUEUES)
  ) u_pick (
      .req_i  (pending_q & ~asked_q),
      .last_i (last_q),
      .valid_o(pick_valid),
      .idx_o  (pick)
  );

  wire note_ready, note_valid, answer_valid, answer_ready, answer_err;
  wire [QidxW-1:0] queue;
  wire ring_pos_t pos;
  wire [63:0] addr;
  wire [31:0] answer;
  wire [$clog2(Depth):0] note_level, answer_level;

  assign cfg_queue_o = pick;
  assign ar_valid = pick_valid && note_ready && !halt_i;
  assign ar_addr = cfg_i.driver;
  assign ar_queue = pick;
  wire ask = ar_valid && ar_ready;
  wire done;

  tupelo_fifo #(
      .WIDTH(QidxW + 16 + 64),
      .DEPTH(Depth)
  ) u_notes (
      .clk    (clk),
      .rst    (rst),
      .s_data ({pick, seen_mem[pick], cfg_i.driver}),
      .s_valid(ask),
      .s_ready(note_ready),
      .m_data ({queue, pos, addr}),
      .m_valid(note_valid),
      .m_ready(done),
      .level_o(note_level)
  );

  // The answers are narrowed on their way in; the lane is that of the oldest question not answered yet.
  logic [BeatShift-3:0] lane_mem[Depth];
  logic [$clog2(Depth)-1:0] lane_wr_q, lane_rd_q;
  wire [31:0] word = r_data[32*lane_mem[lane_rd_q]+:32];

  tupelo_fifo #(
      .WIDTH(33),
      .DEPTH(Depth)
  ) u_answers (
      .clk    (clk),
      .rst    (rst),
      .s_data ({r_err, word}),
      .s_valid(r_valid),
      .s_ready(answer_ready),
      .m_data ({answer_err, answer}),
      .m_valid(answer_valid),
      .m_ready(done),
      .level_o(answer_level)
  );

  assign cfg2_queue_o = queue;
  wire ring_pos_t want_pos = answer[15:0];
  wire ring_pos_t told = told_mem[queue];
  assign irq_count = ring_distance(told, pos, cfg2_i.size);
  wire passed = {1'b0, want_pos.idx} >= cfg2_i.size
      || ring_distance(told, want_pos, cfg2_i.size) < irq_count;
  wire wanted = answer[17:16] == EventDisable ? 1'b0 : answer[17:16] == EventDesc && event_idx_i ? passed : 1'b1;
  wire have = note_valid && answer_valid;

  assign irq_valid = have && !answer_err && wanted && cfg2_i.vector != 16'hffff;
  assign irq_vector = cfg2_i.vector;
  assign irq_queue = queue;
  assign done = have && (!irq_valid || irq_ready);
  assign error_o = '{valid: done && answer_err, vq: 7'(queue), reason: STOP_REASON_EVENT_READ, pos: '0, addr: addr};

  always_ff @(posedge clk) begin
    if (ask) begin
      pending_q[pick] <= 1'b0;
      asked_q[pick]   <= 1'b1;
      last_q          <= pick;
      lane_mem[lane_wr_q] <= cfg_i.driver[BeatShift-1:2];
      lane_wr_q       <= lane_wr_q + 1'b1;
    end
    if (r_valid) lane_rd_q <= lane_rd_q + 1'b1;
    if (done) begin
      asked_q[queue]  <= 1'b0;
      told_mem[queue] <= pos;
    end
    if (used_done_i) begin
      pending_q[used_queue_i] <= 1'b1;
      seen_mem[used_queue_i]  <= used_pos_i;
    end
    if (start_i) begin
      seen_mem[start_queue_i] <= RingStart;
      told_mem[start_queue_i] <= RingStart;
    end
    if (rst) begin
      pending_q <= '0;
      asked_q   <= '0;
      last_q    <= '0;
      lane_wr_q <= '0;
      lane_rd_q <= '0;
    end
  end

  assign busy_o = pending_q[busy_queue_i] || asked_q[busy_queue_i];

`ifdef TUPELO_CHECKS
  always @(posedge clk)
    if (!rst && r_valid && !answer_ready)
      $fatal(1, "%m overflow: an answer has no place at %0t", $time);
`endif
  wire unused_cfg = &{1'b0, cfg_i.size, cfg_i.vector, cfg_i.desc, cfg_i.device};
  wire unused = &{1'b0, unused_cfg, cfg2_i.desc, cfg2_i.driver, cfg2_i.device, note_level, answer_level,
                  answer_ready, answer[31:18]};
endmodule
`default_nettype wire
