// SPDX-License-Identifier: Apache-2.0
// tupelo_tx - the transmit path: cached chains -> reads -> reordering -> gather -> whole frames to the wire
// Guarantees: frames of a queue leave in ring order; a frame that has begun to leave is never interrupted by this
//   side; a device reset takes back what is not whole and lets the rest out.
// Clock/reset: clk; rst the device's, dev_rst also on a device reset.
`default_nettype none
module tupelo_tx
  import tupelo_pkg::*;
#(
    parameter integer QUEUES   = 16,   // virtqueues, 2..128
    parameter integer DATA_W   = 512,  // bits, 128, 256, 512
    parameter integer RD_SLOTS = 128,  // reads in flight, a power of two 4..128
    localparam integer QidxW = $clog2(QUEUES),
    localparam integer StrbW = DATA_W / 8,
    localparam integer BytesW = $clog2(StrbW) + 1
) (
    input  wire                clk,
    input  wire                rst,
    input  wire                dev_rst,
    input  wire                halt_i,
    input  wire  [ QUEUES-1:0] active_i,
    input  wire  [ QUEUES-1:0] stopped_i,
    input  wire                start_i,
    input  wire  [  QidxW-1:0] start_queue_i,
    // cached descriptors
    input  wire  [ QUEUES-1:0] chain_ready_i,
    output wire  [  QidxW-1:0] desc_queue_o,
    input  wire  desc_t        desc_i,
    output wire                desc_pop_o,
    output wire                desc_chain_end_o,
    // reads
    output wire                ar_valid,
    input  wire                ar_ready,
    output wire  [       63:0] ar_addr,
    output wire  [        8:0] ar_bytes,
    output wire  [        6:0] ar_slot,
    output wire  vq_t          ar_queue,
    input  wire                r_valid,
    input  wire  [        6:0] r_slot,
    input  wire  [ DATA_W-1:0] r_data,
    input  wire                r_last,
    input  wire                r_err,
    // the wire
    output wire  [ DATA_W-1:0] m_axis_tx_tdata,
    output wire  [  StrbW-1:0] m_axis_tx_tkeep,
    output wire                m_axis_tx_tlast,
    output wire                m_axis_tx_tvalid,
    input  wire                m_axis_tx_tready,
    // completions
    output wire                comp_valid,
    input  wire                comp_ready,
    output wire  completion_t  comp_o,
    output wire  queue_error_t error_o,
    // statistics
    output wire                ended_o,
    output wire  [  QidxW-1:0] ended_queue_o,
    output wire  [       13:0] ended_bytes_o,
    output wire                sent_o,
    output wire  [        5:0] drop_stat_o,
    output wire  [        8:0] reset_drops_o,
    // queue reset
    input  wire  [  QidxW-1:0] busy_queue_i,
    output wire                busy_o
);
  localparam integer SlotW = $clog2(RD_SLOTS);
  localparam integer BeatShift = $clog2(StrbW);
  localparam integer BeatW = 8 - BeatShift;  // beats of a 256-byte line
  localparam integer NoteW = $bits(completion_t) + 64 + 9 + 4;
  localparam integer FifoBeats = 16384 / StrbW;  // more than one largest frame
  localparam integer FifoAddrW = $clog2(FifoBeats);

  wire slot_valid, slot_ready, slot_read, slot_sof, slot_eof, slot_short, slot_long;
  wire [63:0] slot_addr;
  wire [8:0] slot_bytes;
  completion_t slot_chain;
  wire [SlotW-1:0] slot;
  wire walk_busy, begin_p;

  tupelo_tx_read #(
      .QUEUES(QUEUES)
  ) u_read (
      .clk             (clk),
      .rst             (rst || dev_rst),
      .halt_i          (halt_i),
      .active_i        (active_i),
      .chain_ready_i   (chain_ready_i),
      .desc_queue_o    (desc_queue_o),
      .desc_i          (desc_i),
      .desc_pop_o      (desc_pop_o),
      .desc_chain_end_o(desc_chain_end_o),
      .slot_valid      (slot_valid),
      .slot_ready      (slot_ready && (ar_ready || !slot_read)),
      .slot_read_o     (slot_read),
      .slot_addr_o     (slot_addr),
      .slot_bytes_o    (slot_bytes),
      .slot_sof_o      (slot_sof),
      .slot_eof_o      (slot_eof),
      .slot_short_o    (slot_short),
      .slot_long_o     (slot_long),
      .slot_chain_o    (slot_chain),
      .busy_queue_i    (busy_queue_i),
      .busy_o          (walk_busy),
      .begin_o         (begin_p)
  );

  assign ar_valid = slot_valid && slot_read && slot_ready;
  assign ar_addr  = slot_addr;
  assign ar_bytes = slot_bytes;
  assign ar_slot  = 7'(slot);
  assign ar_queue = slot_chain.vq;

  wire [8:0] last_byte = {1'b0, slot_addr[7:0]} + slot_bytes - 9'd1;
  wire [BeatW-1:0] last_beat = slot_read ? last_byte[7:BeatShift] - slot_addr[7:BeatShift] : '0;
  wire go, n_valid, n_first, n_last, n_err;
  wire [NoteW-1:0] n_note;
  wire [DATA_W-1:0] beat_data;

  tupelo_rd_slots #(
      .DATA_W(DATA_W),
      .SLOTS (RD_SLOTS),
      .NOTE_W(NoteW)
  ) u_slots (
      .clk        (clk),
      .rst        (rst || dev_rst),
      .s_valid    (slot_valid && (ar_ready || !slot_read)),
      .s_ready    (slot_ready),
      .s_slot     (slot),
      .s_read     (slot_read),
      .s_last_beat(last_beat),
      .s_note     ({slot_chain, slot_addr, slot_bytes, slot_sof, slot_eof, slot_short, slot_long}),
      .r_valid    (r_valid),
      .r_slot     (r_slot[SlotW-1:0]),
      .r_data     (r_data),
      .r_last     (r_last),
      .r_err      (r_err),
      .m_go_i     (go),
      .n_valid    (n_valid),
      .n_note     (n_note),
      .n_first    (n_first),
      .n_last     (n_last),
      .n_err      (n_err),
      .m_data     (beat_data)
  );

  wire g_valid, g_last, g_abort, done_valid, done_ready;
  wire [DATA_W-1:0] g_data;
  wire [BytesW-1:0] g_bytes;
  completion_t done;
  wire [4:0] done_level;
  wire [FifoAddrW:0] free_beats;

  tupelo_tx_gather #(
      .QUEUES(QUEUES),
      .DATA_W(DATA_W)
  ) u_gather (
      .clk          (clk),
      .rst          (rst || dev_rst),
      .start_i      (start_i),
      .start_queue_i(start_queue_i),
      .stopped_i    (stopped_i),
      .go_o         (go),
      .n_valid      (n_valid),
      .n_note       (n_note),
      .n_first      (n_first),
      .n_last       (n_last),
      .n_err        (n_err),
      .data_i       (beat_data),
      .fifo_ok_i    (free_beats >= (FifoAddrW + 1)'(8)),
      .m_valid      (g_valid),
      .m_data       (g_data),
      .m_bytes      (g_bytes),
      .m_last       (g_last),
      .m_abort      (g_abort),
      .comp_valid   (done_valid),
      .comp_ok_i    (done_level < 5'd12),
      .comp_o       (done),
      .error_o      (error_o),
      .ended_o      (ended_o),
      .ended_queue_o(ended_queue_o),
      .ended_bytes_o(ended_bytes_o),
      .sent_o       (sent_o),
      .drop_stat_o  (drop_stat_o)
  );

  tupelo_fifo #(
      .WIDTH($bits(completion_t)),
      .DEPTH(16)
  ) u_done (
      .clk    (clk),
      .rst    (rst || dev_rst),
      .s_data (done),
      .s_valid(done_valid),
      .s_ready(done_ready),
      .m_data (comp_o),
      .m_valid(comp_valid),
      .m_ready(comp_ready),
      .level_o(done_level)
  );

  wire [BytesW-1:0] out_bytes;
  wire [13:0] out_len;
  wire out_len_valid;

  tupelo_frame_fifo #(
      .DATA_W(DATA_W),
      .BEATS (FifoBeats)
  ) u_fifo (
      .clk         (clk),
      .rst         (rst),
      .s_data      (g_data),
      .s_bytes     (g_bytes),
      .s_last      (g_last),
      .s_valid     (g_valid),
      .s_abort     (g_abort || (dev_rst && !(g_valid && g_last))),  // a frame that ends now counts as sent
      .free_beats_o(free_beats),
      .m_len       (out_len),
      .m_len_valid (out_len_valid),
      .m_len_ready (out_len_valid),
      .m_data      (m_axis_tx_tdata),
      .m_bytes     (out_bytes),
      .m_last      (m_axis_tx_tlast),
      .m_valid     (m_axis_tx_tvalid),
      .m_ready     (m_axis_tx_tready)
  );
  assign m_axis_tx_tkeep = ~({StrbW{1'b1}} << out_bytes);

  // Chains begun and not ended, a queue and in all; ring state of a queue is only asked for while it is set up.
  logic [7:0] begun_mem[QUEUES];
  logic [7:0] ended_mem[QUEUES];
  logic [8:0] inside_q;

  assign reset_drops_o = dev_rst ? inside_q - 9'(ended_o) : 9'd0;
  assign busy_o = walk_busy || begun_mem[busy_queue_i] != ended_mem[busy_queue_i] || comp_valid;

  always_ff @(posedge clk) begin
    if (begin_p) begun_mem[desc_queue_o] <= begun_mem[desc_queue_o] + 8'd1;
    if (ended_o) ended_mem[ended_queue_o] <= ended_mem[ended_queue_o] + 8'd1;
    inside_q <= inside_q + 9'(begin_p) - 9'(ended_o);
    if (start_i) begin
      begun_mem[start_queue_i] <= '0;
      ended_mem[start_queue_i] <= '0;
    end
    if (rst || dev_rst) inside_q <= '0;
  end

`ifdef TUPELO_CHECKS
  tupelo_stream_check #(
      .WIDTH(DATA_W + StrbW + 1)
  ) u_check (
      .clk    (clk),
      .rst    (rst),
      .payload({m_axis_tx_tlast, m_axis_tx_tkeep, m_axis_tx_tdata}),
      .valid  (m_axis_tx_tvalid),
      .ready  (m_axis_tx_tready)
  );
  always @(posedge clk)
    if (!rst && done_valid && !done_ready)
      $fatal(1, "%m lost: a completion has no place at %0t", $time);
`endif
  wire unused = &{1'b0, last_byte[BeatShift-1:0], done_ready, out_len, r_slot, last_byte[8]};
endmodule
`default_nettype wire
