// SPDX-License-Identifier: Apache-2.0
// tupelo_desc_unpack - takes fetched descriptors apart, checks them one a cycle, and offers the available ones
// Guarantees: descriptors are taken in ring order, only while they are available (VIRTIO 1.2 section 2.8.1), each
//   checked: length, direction, flags, chain length. The first bad one is reported and nothing behind it is taken.
// Clock/reset: clk; rst synchronous, active high. start_i sets up one queue's state.
// Contract: bursts are announced on req_* in the order in which r_* answers them; r_* has no back-pressure, the
//   requester limits itself to BURSTS. A chain is at most DESC_CACHE descriptors and at most the ring long.
`default_nettype none
module tupelo_desc_unpack
  import tupelo_pkg::*;
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES     = 16,   // virtqueues, 2..128
    parameter integer DATA_W     = 512,  // bits, 128, 256, 512
    parameter integer DESC_CACHE = 64,   // descriptors cached a queue, a power of two 16..128
    parameter integer BURSTS     = 16,   // bursts in flight, a power of two
    localparam integer QidxW = $clog2(QUEUES)
) (
    input  wire               clk,
    input  wire               rst,
    input  wire  [QUEUES-1:0] active_i,
    input  wire               start_i,
    input  wire  [ QidxW-1:0] start_queue_i,
    // requests made
    input  wire               req_valid,
    output wire               req_ready,
    input  wire  [ QidxW-1:0] req_queue,
    input  wire  [      63:0] req_addr,
    input  wire  [       4:0] req_descs,
    // answers
    input  wire               r_valid,
    input  wire  [DATA_W-1:0] r_data,
    input  wire               r_err,
    // queue table
    output wire  [ QidxW-1:0] cfg_queue_o,
    input  wire  [      15:0] cfg_size_i,
    // to tupelo_desc_fetch
    output wire               done_o,
    output wire  [ QidxW-1:0] done_queue_o,
    output wire               miss_o,
    output wire               miss_mid_chain_o,
    output wire               fail_o,
    output wire               full_o,
    output wire               took_o,
    input  wire               dropping_i,
    input  wire               broken_i,
    input  wire  [ QidxW-1:0] accept_queue_i,
    output wire  ring_pos_t   accept_pos_o,
    output wire  [       7:0] accept_count_o,
    // to the caches
    output wire               put_o,
    output wire  [       7:0] put_count_o,     // descriptors of the queue taken before this one, modulo 256
    output wire  desc_t       put_desc_o,
    output wire               put_chain_end_o,
    output wire  queue_error_t error_o
);
  localparam integer Lanes = DATA_W / 128;
  localparam integer LaneW = Lanes > 1 ? $clog2(Lanes) : 1;
  localparam integer Beats = BurstBytes * 8 / DATA_W;

  ring_pos_t pos_mem[QUEUES];
  logic [7:0] count_mem[QUEUES];
  logic [7:0] chain_mem[QUEUES];  // descriptors of the unfinished chain, 0 between chains

  logic [4:0] left_q;  // descriptors of the burst not looked at yet, once begun_q
  logic [3:0] lane_q;  // place of the next one in its burst's line, in descriptors
  logic begun_q, clean_q;

  wire burst_valid, beat_valid, beat_err;
  wire [QidxW-1:0] queue;
  wire [63:0] burst_addr;
  wire [4:0] burst_descs;
  wire [DATA_W-1:0] beat_data;
  wire [$clog2(BURSTS):0] burst_level;
  wire [$clog2(BURSTS * Beats):0] beat_level;
  wire beat_pop, burst_pop, beat_ready;

  tupelo_fifo #(
      .WIDTH(QidxW + 64 + 5),
      .DEPTH(BURSTS)
  ) u_bursts (
      .clk    (clk),
      .rst    (rst),
      .s_data ({req_queue, req_addr, req_descs}),
      .s_valid(req_valid),
      .s_ready(req_ready),
      .m_data ({queue, burst_addr, burst_descs}),
      .m_valid(burst_valid),
      .m_ready(burst_pop),
      .level_o(burst_level)
  );

  tupelo_fifo #(
      .WIDTH(DATA_W + 1),
      .DEPTH(BURSTS * Beats)
  ) u_beats (
      .clk    (clk),
      .rst    (rst),
      .s_data ({r_err, r_data}),
      .s_valid(r_valid),
      .s_ready(beat_ready),
      .m_data ({beat_err, beat_data}),
      .m_valid(beat_valid),
      .m_ready(beat_pop),
      .level_o(beat_level)
  );

  wire [4:0] left = begun_q ? left_q : burst_descs;
  wire [3:0] lane = begun_q ? lane_q : burst_addr[7:4];
  wire clean = !begun_q || clean_q;  // nothing of this burst has been refused
  wire [LaneW-1:0] lane_in_beat = Lanes > 1 ? lane[LaneW-1:0] : '0;
  wire desc_t desc = beat_data[128*lane_in_beat+:128];

  assign cfg_queue_o = queue;
  wire ring_pos_t pos = pos_mem[queue];
  wire [7:0] chain_descs = chain_mem[queue];
  wire look = burst_valid && beat_valid;
  wire drop = dropping_i || !clean || !active_i[queue];
  wire avail = desc_is_avail(desc.flags, pos.wrap);
  wire next = desc.flags[DescNext];
  wire chain_over = next && (chain_descs + 8'd1 >= 8'(DESC_CACHE) || {8'd0, chain_descs} + 16'd1 >= cfg_size_i);
  wire bad_flags = desc.flags[DescIndirect] || desc.flags[DescWrite] == queue[0];  // odd virtqueues transmit
  wire miss = look && !drop && !beat_err && !avail;

  stop_reason_e reason;
  always_comb begin
    reason = STOP_REASON_NONE;
    if (beat_err) reason = STOP_REASON_DESC_READ;
    else if (!avail) reason = broken_i ? STOP_REASON_CHAIN_BROKEN : STOP_REASON_NONE;
    else if (bad_flags) reason = STOP_REASON_DESC_FLAGS;
    else if (desc.len == 32'd0) reason = STOP_REASON_DESC_LENGTH;
    else if (chain_over) reason = STOP_REASON_CHAIN_LONG;
  end
  wire fail = look && !drop && reason != STOP_REASON_NONE;
  wire take = look && !drop && avail && !fail;

  // What is refused goes a beat a cycle, what is taken a descriptor a cycle.
  wire refuse = drop || miss || fail;
  wire [4:0] in_beat = 5'(Lanes) - {{(5 - LaneW) {1'b0}}, lane_in_beat};
  wire [4:0] step = !refuse ? 5'd1 : in_beat < left ? in_beat : left;
  wire last = left == step;
  wire beat_end = refuse || lane_in_beat == LaneW'(Lanes - 1);

  assign beat_pop  = look && (last || beat_end);
  assign burst_pop = look && last;

  // A refusal is told when it happens; the rest of its burst is then dropped as a burst that lies beyond it.
  logic told_q;
  assign done_queue_o     = queue;
  assign miss_o           = miss;
  assign miss_mid_chain_o = chain_descs != 8'd0;
  assign fail_o           = fail;
  assign full_o           = take && last;
  assign took_o           = take;
  assign done_o           = miss || fail || (look && last && !told_q);

  assign put_o            = take;
  assign put_count_o      = count_mem[queue];
  assign put_desc_o       = desc;
  assign put_chain_end_o  = !next;
  assign accept_pos_o     = pos_mem[accept_queue_i];
  assign accept_count_o   = count_mem[accept_queue_i];
  assign error_o = '{valid: fail, vq: 7'(queue), reason: reason, pos: pos, addr: {burst_addr[63:8], lane, 4'd0}};

  always_ff @(posedge clk) begin
    if (look) begin
      begun_q <= !last;
      left_q  <= left - step;
      lane_q  <= lane + step[3:0];
      clean_q <= clean && !refuse;
      told_q  <= !last && (told_q || miss || fail);
    end
    if (take) begin
      pos_mem[queue]   <= ring_advance(pos, 16'd1, cfg_size_i);
      count_mem[queue] <= count_mem[queue] + 8'd1;
      chain_mem[queue] <= next ? chain_descs + 8'd1 : 8'd0;
    end
    if (start_i) begin
      pos_mem[start_queue_i]   <= RingStart;
      count_mem[start_queue_i] <= '0;
      chain_mem[start_queue_i] <= '0;
    end
    if (rst) begin
      begun_q <= 1'b0;
      told_q  <= 1'b0;
    end
  end

`ifdef TUPELO_CHECKS
  always @(posedge clk)
    if (!rst && r_valid && !beat_ready)
      $fatal(1, "%m overflow: more descriptor beats than asked for at %0t", $time);
`endif
  wire unused = &{1'b0, burst_addr[3:0], burst_level, beat_level, beat_ready, desc.addr[0]};
endmodule
`default_nettype wire
