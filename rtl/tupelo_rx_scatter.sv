// SPDX-License-Identifier: Apache-2.0
// tupelo_rx_scatter - puts the header before each received frame and shifts the bytes to where the buffers want them
// Guarantees: one beat written a cycle; writes and completions in the order of the commands; a completion is given
//   after the last write of its chain has been accepted by the write master, so the used descriptor follows the data.
// Clock/reset: clk; rst synchronous, active high.
// Contract: commands come from tupelo_rx_split, frames whole from tupelo_frame_fifo, in the same order.
//   A frame's commands all carry the same cmd_frame_i and cmd_buffers_i; hash_report_i does not change inside.
// How: the header (VIRTIO 1.2 section 5.1.6, 12 bytes, with a hash 20) is the end of an imagined beat before the frame,
//   or of two. A written beat is made of the beat in hand and the next one.
`default_nettype none
module tupelo_rx_scatter
  import tupelo_pkg::*;
#(
    parameter integer QUEUES = 16,   // virtqueues, 2..128
    parameter integer DATA_W = 512,  // bits, 128, 256, 512
    localparam integer QidxW  = $clog2(QUEUES),
    localparam integer StrbW  = DATA_W / 8,
    localparam integer PosW   = $clog2(StrbW)
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               guest_csum_i,   // the driver wants to know that a checksum is right
    input  wire               hash_report_i,  // the header has a hash
    input  wire               cmd_valid,
    output wire               cmd_ready,
    input  wire  [      63:0] cmd_addr_i,
    input  wire  [       8:0] cmd_bytes_i,
    input  wire               cmd_eof_i,
    input  wire               cmd_comp_i,
    input  wire               cmd_abort_i,
    input  wire  completion_t cmd_chain_i,
    input  wire  rx_frame_t   cmd_frame_i,
    input  wire  [       7:0] cmd_buffers_i,
    // the frame
    input  wire               f_valid,
    output wire               f_ready,
    input  wire  [DATA_W-1:0] f_data,
    input  wire               f_last,
    // to the write master
    output wire               m_valid,
    input  wire               m_ready,
    output wire               m_first,
    output wire               m_last,
    output wire  [      63:0] m_addr,
    output wire  [       8:0] m_bytes,
    output wire  [ QidxW-1:0] m_queue,
    output logic [DATA_W-1:0] m_data,
    output wire  [ StrbW-1:0] m_strb,
    // to the used writer
    output wire               comp_valid,
    input  wire               comp_ready,
    output wire  completion_t comp_o
);
  localparam logic [PosW:0] Full = (PosW + 1)'(StrbW);
  localparam bit TwoBeats = StrbW < HashHdrBytes;  // the header with a hash is longer than a beat

  logic [DATA_W-1:0] cur_q;
  logic [PosW:0] pos_q;  // first byte of cur_q not written yet, StrbW when it is spent
  logic fresh_q;  // nothing of the frame has been written: the header is in hand, not cur_q
  logic second_q;  // the header's second beat is next
  logic ended_q;  // the frame's last beat has been taken from the FIFO
  logic begun_q;  // the command's first beat has been written
  logic [8:0] left_q;

  // struct virtio_net_hdr of a frame without offloads, then the hash. First byte lowest.
  wire [7:0] flags = {6'd0, cmd_frame_i.csum_ok && guest_csum_i, 1'b0};  // DATA_VALID
  wire [8*HashHdrBytes-1:0] header = {
    16'd0, 8'd0, cmd_frame_i.hash_report, cmd_frame_i.hash, 8'd0, cmd_buffers_i, 72'd0, flags
  };
  logic [DATA_W-1:0] hash_beat, hash_beat2;
  logic [PosW:0] hash_pos;
  if (TwoBeats) begin : gen_two
    assign hash_pos   = (PosW + 1)'(2 * StrbW - HashHdrBytes);
    assign hash_beat  = {header[8*HashHdrBytes-DATA_W-1:0], {(2 * DATA_W - 8 * HashHdrBytes) {1'b0}}};
    assign hash_beat2 = header[8*HashHdrBytes-1-:DATA_W];
  end else begin : gen_one
    assign hash_pos   = (PosW + 1)'(StrbW - HashHdrBytes);
    assign hash_beat  = {header, {(DATA_W - 8 * HashHdrBytes) {1'b0}}};
    assign hash_beat2 = '0;
  end
  wire [DATA_W-1:0] plain_beat = {header[8*HdrBytes-1:0], {(DATA_W - 8 * HdrBytes) {1'b0}}};
  wire [DATA_W-1:0] cur = !fresh_q ? cur_q : hash_report_i ? hash_beat : plain_beat;
  wire [PosW:0] pos = !fresh_q ? pos_q : hash_report_i ? hash_pos : (PosW + 1)'(StrbW - HdrBytes);
  wire second = TwoBeats && hash_report_i && (fresh_q || second_q);
  wire [DATA_W-1:0] next = second ? hash_beat2 : f_data;

  wire data_cmd = cmd_bytes_i != 9'd0;
  wire [PosW-1:0] off = begun_q ? '0 : cmd_addr_i[PosW-1:0];
  wire [8:0] left = begun_q ? left_q : cmd_bytes_i;
  wire [PosW:0] space = Full - {1'b0, off};
  wire [PosW:0] n = left < 9'(space) ? left[PosW:0] : space;
  wire [PosW+1:0] pos_after = {1'b0, pos} + {1'b0, n};
  wire need_next = pos_after > {1'b0, Full};
  wire beat_last = left == 9'(n);

  wire comp_now = cmd_comp_i && (!data_cmd || beat_last);
  wire ready_in = !need_next || second || f_valid;
  // Room for the completion is made sure of before the first beat: a burst that has begun never waits for it, so the
  // write master can always be drained.
  assign m_valid = cmd_valid && data_cmd && ready_in && (begun_q || !cmd_comp_i || comp_ready);
  assign m_first = !begun_q;
  assign m_last  = beat_last;
  assign m_addr  = cmd_addr_i;
  assign m_bytes = cmd_bytes_i;
  assign m_queue = cmd_chain_i.vq[QidxW-1:0];
  assign m_strb  = ~({StrbW{1'b1}} << n) << off;

  wire signed [PosW+1:0] turn = $signed({1'b0, pos}) - $signed({2'b00, off});
  wire [PosW+3:0] right_bits = {turn[PosW:0], 3'b000};
  wire [PosW+3:0] left_bits = (PosW + 4)'(DATA_W) - right_bits;
  wire [PosW+3:0] up_bits = {(PosW + 1)'(-turn), 3'b000};
  always_comb begin
    m_data = '0;
    if (m_valid) begin
      if (turn[PosW+1]) m_data = cur << up_bits;
      else m_data = (cur >> right_bits) | (next << left_bits);
    end
  end

  wire beat = m_valid && m_ready;
  wire drain = cmd_valid && cmd_abort_i && !ended_q;
  wire abort_done = cmd_valid && cmd_abort_i && (ended_q || (f_valid && f_last));
  wire comp_only = cmd_valid && !data_cmd && cmd_comp_i;

  assign f_ready    = (beat && need_next && !second) || drain;
  assign cmd_ready  = (beat && beat_last) || abort_done || (comp_only && comp_ready);
  assign comp_valid = (beat && comp_now) || comp_only;
  assign comp_o     = cmd_chain_i;

  wire unused = &{1'b0, cmd_frame_i};
  wire frame_over = (beat && beat_last && cmd_eof_i) || abort_done;

  always_ff @(posedge clk) begin
    if (f_valid && f_ready) ended_q <= f_last;
    if (beat) begin
      begun_q <= !beat_last;
      left_q  <= left - 9'(n);
      pos_q   <= need_next ? (PosW + 1)'(pos_after - {1'b0, Full}) : pos_after[PosW:0];
      if (need_next) cur_q <= next;
      else if (fresh_q) cur_q <= cur;
      fresh_q  <= 1'b0;
      second_q <= second && !need_next;
    end
    if (frame_over) begin
      fresh_q <= 1'b1;
      ended_q <= 1'b0;
    end
    if (rst) begin
      fresh_q <= 1'b1;
      ended_q <= 1'b0;
      begun_q <= 1'b0;
    end
  end

`ifdef TUPELO_CHECKS
  always @(posedge clk)
    if (!rst && beat && beat_last && cmd_eof_i && !(need_next ? f_last : ended_q))
      $fatal(1, "%m frame: end of the command is not the end of the frame at %0t", $time);
`endif
endmodule
`default_nettype wire
