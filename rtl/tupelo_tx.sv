// SPDX-License-Identifier: Apache-2.0
// tupelo_tx - the transmit path: scheduler -> chains -> reads -> reordering -> gather -> check -> offloads -> wire
// Guarantees: frames of a queue leave in ring order; a frame that has begun to leave is never interrupted by this
//   side; a device reset takes back what is not whole and lets the rest out. What is checked is what is sent: the
//   check looks at the bytes that were read, not at memory.
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
    // what was negotiated, and the interface
    input  wire                hash_hdr_i,
    input  wire                csum_i,
    input  wire                tso4_i,
    input  wire                tso6_i,
    input  wire                ecn_i,
    input  wire  [       47:0] mac_i,
    input  wire  [QUEUES/2-1:0] guard_i,         // of each pair
    // registers of the scheduler
    input  wire  tupelo_axil_pkg::axil_bus_t bus_i,
    output wire  [       31:0] rd_data_o,
    output wire                waiting_o,        // a queue waits for nothing but its rate
    // the guard's look-ups
    output wire                lk_valid,
    input  wire                lk_ready,
    output wire  tuple_t       lk_tuple,
    input  wire                lk_result_valid,
    input  wire  lookup_t      lk_result,
    // cached descriptors: of the queue named a cycle before
    input  wire  [ QUEUES-1:0] chain_ready_i,
    output wire  [  QidxW-1:0] desc_queue_o,
    input  wire  desc_t        desc_i,
    input  wire                desc_valid_i,
    input  wire                desc_indirect_i,
    output wire                desc_pop_o,
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
    output wire                out_valid,        // a frame is on its way to the wire
    output wire  vq_t          out_vq_o,
    output wire  [       13:0] out_bytes_o,
    output wire                fate_valid,       // a chain is over
    output wire  tx_fate_t     fate_o,
    output wire  [        8:0] reset_drops_o,
    // queue reset
    input  wire  [  QidxW-1:0] busy_queue_i,
    output wire                busy_o
);
  localparam integer SlotW = $clog2(RD_SLOTS);
  localparam integer BeatShift = $clog2(StrbW);
  localparam integer BeatW = 8 - BeatShift;  // beats of a 256-byte line
  localparam integer NoteW = $bits(completion_t) + 64 + 9 + 4;
  localparam integer FramesMost = 56;  // begun and not checked: the check can note 64, and up to 4 are on their way

  wire slot_valid, slot_ready, slot_read, slot_sof, slot_eof, slot_short, slot_long;
  wire [63:0] slot_addr;
  wire [8:0] slot_bytes;
  completion_t slot_chain;
  wire [SlotW-1:0] slot;
  wire walk_busy, begin_p;

  wire pick_valid, charge;
  wire [QidxW-1:0] fate_queue = fate_o.vq[QidxW-1:0];
  wire [QidxW-1:0] pick, show, charge_queue, begin_queue;
  wire [16:0] charge_bytes;
  wire [7:0] read_cost;

  tupelo_tx_sched #(
      .QUEUES(QUEUES)
  ) u_sched (
      .clk           (clk),
      .rst           (rst || dev_rst),
      .cfg_rst       (rst),
      .bus_i         (bus_i),
      .rd_data_o     (rd_data_o),
      .ready_i       (chain_ready_i & active_i),
      .pick_valid_o  (pick_valid),
      .pick_o        (pick),
      .show_o        (show),
      .take_i        (begin_p),
      .charge_i      (charge),
      .charge_queue_i(charge_queue),
      .charge_bytes_i(charge_bytes),
      .more_i        (fate_valid && fate_o.repeated != '0),
      .more_queue_i  (fate_queue),
      .more_bytes_i  (fate_o.repeated),
      .read_cost_o   (read_cost),
      .waiting_o     (waiting_o)
  );

  tupelo_tx_read #(
      .QUEUES(QUEUES)
  ) u_read (
      .clk             (clk),
      .rst             (rst || dev_rst),
      .halt_i          (halt_i),
      .hash_hdr_i      (hash_hdr_i),
      .read_cost_i     (read_cost),
      .tso_i           (tso4_i || tso6_i),
      .pick_valid      (pick_valid),
      .pick_i          (pick),
      .show_i          (show),
      .charge_o        (charge),
      .charge_queue_o  (charge_queue),
      .charge_bytes_o  (charge_bytes),
      .desc_queue_o    (desc_queue_o),
      .desc_i          (desc_i),
      .desc_valid_i    (desc_valid_i),
      .desc_indirect_i (desc_indirect_i),
      .desc_pop_o      (desc_pop_o),
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
      .begin_o         (begin_p),
      .begin_queue_o   (begin_queue)
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

  wire g_valid, g_first, g_last, g_drop, done_valid, done_ready;
  wire [DATA_W-1:0] g_data;
  wire [BytesW-1:0] g_bytes;
  vnet_hdr_t g_hdr;
  vq_t g_vq;
  wire [5:0] g_drop_stat;
  completion_t done;
  wire [4:0] done_level;
  wire room;

  tupelo_tx_gather #(
      .QUEUES(QUEUES),
      .DATA_W(DATA_W)
  ) u_gather (
      .clk          (clk),
      .rst          (rst || dev_rst),
      .hash_hdr_i   (hash_hdr_i),
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
      .fifo_ok_i    (room),
      .m_valid      (g_valid),
      .m_data       (g_data),
      .m_bytes      (g_bytes),
      .m_first      (g_first),
      .m_last       (g_last),
      .m_hdr        (g_hdr),
      .m_vq         (g_vq),
      .m_drop       (g_drop),
      .m_drop_stat  (g_drop_stat),
      .comp_valid   (done_valid),
      .comp_ok_i    (done_level < 5'd12),
      .comp_o       (done),
      .error_o      (error_o)
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

  wire verdict_valid, verdict_ready;
  tx_verdict_t verdict;

  tupelo_tx_check #(
      .QUEUES(QUEUES),
      .DATA_W(DATA_W)
  ) u_check (
      .clk              (clk),
      .rst              (rst || dev_rst),
      .mac_i            (mac_i),
      .guard_i          (guard_i),
      .feat_csum_i      (csum_i),
      .feat_tso4_i      (tso4_i),
      .feat_tso6_i      (tso6_i),
      .feat_ecn_i       (ecn_i),
      .g_valid          (g_valid),
      .g_data           (g_data),
      .g_bytes          (g_bytes),
      .g_first          (g_first),
      .g_last           (g_last),
      .g_hdr            (g_hdr),
      .g_vq             (g_vq),
      .lk_valid         (lk_valid),
      .lk_ready         (lk_ready),
      .lk_tuple         (lk_tuple),
      .lk_result_valid_i(lk_result_valid),
      .lk_result_i      (lk_result),
      .m_valid          (verdict_valid),
      .m_ready          (verdict_ready),
      .m_verdict        (verdict)
  );

  localparam integer BufferW = $clog2(16384 / StrbW);
  wire [BufferW:0] free_beats;
  wire [6:0] frames;

  tupelo_tx_offload #(
      .DATA_W(DATA_W)
  ) u_offload (
      .clk             (clk),
      .rst             (rst),
      .dev_rst         (dev_rst),
      .g_valid         (g_valid),
      .g_data          (g_data),
      .g_bytes         (g_bytes),
      .g_first         (g_first),
      .g_last          (g_last),
      .g_drop          (g_drop),
      .g_drop_stat     (g_drop_stat),
      .free_beats_o    (free_beats),
      .frames_o        (frames),
      .v_valid         (verdict_valid),
      .v_ready         (verdict_ready),
      .v_verdict       (verdict),
      .m_axis_tx_tdata (m_axis_tx_tdata),
      .m_axis_tx_tkeep (m_axis_tx_tkeep),
      .m_axis_tx_tlast (m_axis_tx_tlast),
      .m_axis_tx_tvalid(m_axis_tx_tvalid),
      .m_axis_tx_tready(m_axis_tx_tready),
      .out_valid       (out_valid),
      .out_vq          (out_vq_o),
      .out_bytes       (out_bytes_o),
      .fate_valid      (fate_valid),
      .fate            (fate_o)
  );

  assign room = free_beats >= (BufferW + 1)'(8) && frames < 7'(FramesMost);

  // Chains begun and not ended, a queue and in all; ring state of a queue is only asked for while it is set up.
  logic [7:0] begun_mem[QUEUES];
  logic [7:0] ended_mem[QUEUES];
  logic [8:0] inside_q;

  assign reset_drops_o = dev_rst ? inside_q - 9'(fate_valid) : 9'd0;
  assign busy_o = walk_busy || begun_mem[busy_queue_i] != ended_mem[busy_queue_i] || comp_valid;

  always_ff @(posedge clk) begin
    if (begin_p) begun_mem[begin_queue] <= begun_mem[begin_queue] + 8'd1;
    if (fate_valid) ended_mem[fate_queue] <= ended_mem[fate_queue] + 8'd1;
    inside_q <= inside_q + 9'(begin_p) - 9'(fate_valid);
    if (start_i) begin
      begun_mem[start_queue_i] <= '0;
      ended_mem[start_queue_i] <= '0;
    end
    if (rst || dev_rst) inside_q <= '0;
  end

`ifdef TUPELO_CHECKS
  tupelo_stream_check #(
      .WIDTH(DATA_W + StrbW + 1)
  ) u_wire_check (
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
  wire unused = &{1'b0, last_byte[BeatShift-1:0], done_ready, r_slot, last_byte[8]};
endmodule
`default_nettype wire
