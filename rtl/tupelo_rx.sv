// SPDX-License-Identifier: Apache-2.0
// tupelo_rx - the receive path: wire -> whole frames -> buffers -> writes -> completions
// Guarantees: takes a beat a cycle from the wire at all times; only whole, good frames get to memory; frames of a queue
//   in order; each frame is delivered or counted with a reason, from the classifier on for its queue, too.
//   A queue without buffers holds up nobody and takes nobody's room: its frames stay in the buffer while nobody else
//   needs it, as long as descriptors may come; when some do, the first frame goes on at once (tupelo_rx_choose).
// Clock/reset: clk; rst the device's, dev_rst also on a device reset: it forgets all frames inside (reset_drops_o), not
//   the steering registers.
// Contract: mrg_i, guest_csum_i and hash_report_i (negotiated features) change only while the device is in reset.
// How: data waits whole in the buffer, and a record of each frame goes round it through the classifier into its queue's
//   list (tupelo_rx_queues).
`default_nettype none
module tupelo_rx
  import tupelo_pkg::*;
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES         = 16,   // virtqueues, 2..128
    parameter integer DATA_W         = 512,  // bits, 128, 256, 512
    parameter integer DESC_CACHE     = 64,   // descriptors cached a queue
    parameter integer LOOKUP_LATENCY = 5,    // of the tables, cycles
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
    input  wire  [ QUEUES-1:0] awake_i,
    input  wire  [ QUEUES-1:0] chain_ready_i,
    input  wire                grow_i,           // more whole chains are cached for grow_queue_i
    input  wire  [  QidxW-1:0] grow_queue_i,
    // negotiated
    input  wire                mrg_i,            // VIRTIO_NET_F_MRG_RXBUF
    input  wire                guest_csum_i,     // VIRTIO_NET_F_GUEST_CSUM
    input  wire                hash_report_i,    // VIRTIO_NET_F_HASH_REPORT
    // steering: registers, and the question to the tables
    input  wire tupelo_axil_pkg::axil_bus_t bus_i,
    output wire  [       31:0] rd_data_o,
    input  wire  [       47:0] mac_i,
    output wire                lk_valid,
    output wire  tuple_t       lk_tuple,
    input  wire                lk_result_valid_i,
    input  wire  lookup_t      lk_result_i,
    // the wire
    input  wire  [ DATA_W-1:0] s_axis_rx_tdata,
    input  wire  [  StrbW-1:0] s_axis_rx_tkeep,
    input  wire                s_axis_rx_tlast,
    input  wire                s_axis_rx_tuser,
    input  wire                s_axis_rx_tvalid,
    output wire                s_axis_rx_tready,
    // cached descriptors
    output wire  [  QidxW-1:0] desc_queue_o,
    output wire  [        7:0] desc_offset_o,
    input  wire  desc_t        desc_i,
    input  wire                desc_indirect_i,
    input  wire  [        7:0] desc_level_i,     // descriptors of whole chains from the head on
    output wire                desc_pop_o,
    output wire  [        7:0] desc_pop_descs_o,
    // writes
    output wire                m_valid,
    input  wire                m_ready,
    output wire                m_first,
    output wire                m_last,
    output wire  [       63:0] m_addr,
    output wire  [        8:0] m_bytes,
    output wire  [  QidxW-1:0] m_queue,
    output wire  [ DATA_W-1:0] m_data,
    output wire  [  StrbW-1:0] m_strb,
    // completions
    output wire                comp_valid,
    input  wire                comp_ready,
    output wire  completion_t  comp_o,
    output wire                comp_more_o,      // the frame goes on in the next chain
    // statistics
    output wire                in_o,
    output wire                in_drop_o,
    output wire  [        5:0] in_drop_stat_o,
    output wire                drop_o,
    output wire  [        5:0] drop_stat_o,
    output wire  [  QidxW-1:0] drop_queue_o,
    output wire                done_o,
    output wire  [  QidxW-1:0] done_queue_o,
    output wire  [       13:0] done_bytes_o,
    output wire                buffer_o,         // a chain was given back with (part of) a frame
    output wire  rx_class_stat_t class_o,
    output wire  [       15:0] reset_drops_o,
    // queue reset
    input  wire  [  QidxW-1:0] busy_queue_i,
    output wire                busy_o
);
  localparam integer Beats = 32768 / StrbW;
  localparam integer AddrW = $clog2(Beats);
  localparam integer Classing = 32;  // frames in the classifier, at most
  localparam integer CmdDepth = 8;
  localparam integer CmdW = 64 + 9 + 4 + $bits(completion_t) + $bits(rx_frame_t) + 8;

  wire i_valid, i_last, i_abort;
  wire [DATA_W-1:0] i_data;
  wire [BytesW-1:0] i_bytes;
  wire [AddrW:0] free_beats;
  wire head_valid;
  wire [8*WindowBytes-1:0] head_window;
  wire [13:0] head_bytes;
  wire [15:0] head_sum;

  tupelo_rx_ingress #(
      .DATA_W(DATA_W),
      .BEATS (Beats)
  ) u_ingress (
      .clk             (clk),
      .rst             (rst),
      .flush_i         (dev_rst),
      .s_axis_rx_tdata (s_axis_rx_tdata),
      .s_axis_rx_tkeep (s_axis_rx_tkeep),
      .s_axis_rx_tlast (s_axis_rx_tlast),
      .s_axis_rx_tuser (s_axis_rx_tuser),
      .s_axis_rx_tvalid(s_axis_rx_tvalid),
      .s_axis_rx_tready(s_axis_rx_tready),
      .free_beats_i    (free_beats),
      .m_valid         (i_valid),
      .m_data          (i_data),
      .m_bytes         (i_bytes),
      .m_last          (i_last),
      .m_abort         (i_abort),
      .head_valid      (head_valid),
      .head_window     (head_window),
      .head_bytes      (head_bytes),
      .head_sum        (head_sum),
      .in_o            (in_o),
      .drop_o          (in_drop_o),
      .drop_stat_o     (in_drop_stat_o)
  );

  // ---- what the frame is about, and where it goes
  wire class_valid;
  rx_frame_t class_frame;

  tupelo_rx_classify #(
      .QUEUES        (QUEUES),
      .LOOKUP_LATENCY(LOOKUP_LATENCY)
  ) u_classify (
      .clk              (clk),
      .rst              (rst),
      .bus_i            (bus_i),
      .rd_data_o        (rd_data_o),
      .mac_i            (mac_i),
      .s_valid          (head_valid && !dev_rst),
      .s_window         (head_window),
      .s_bytes          (head_bytes),
      .s_sum            (head_sum),
      .lk_valid         (lk_valid),
      .lk_tuple         (lk_tuple),
      .lk_result_valid_i(lk_result_valid_i),
      .lk_result_i      (lk_result_i),
      .m_valid          (class_valid),
      .m_frame          (class_frame),
      .stat_o           (class_o)
  );

  // The classifier keeps its registers in a device reset, so what was inside still comes out and is passed over.
  logic [4:0] classing_q, stale_q;
  wire [4:0] classing = classing_q + 5'(head_valid && !dev_rst) - 5'(class_valid);
  wire stale = stale_q != '0;

  always_ff @(posedge clk) begin
    classing_q <= classing;
    if (dev_rst) stale_q <= classing;
    else if (class_valid && stale) stale_q <= stale_q - 1'b1;
    if (rst) begin
      classing_q <= '0;
      stale_q    <= '0;
    end
  end

  // ---- it waits until it can be delivered, or has to go
  wire f_valid, f_ready, f_last, offer_valid, offer_resume, next_resume, hold, take, refuse, back, dry, split_drop;
  wire gone;
  wire [DATA_W-1:0] f_data;
  wire [QidxW-1:0] next_queue, dry_queue, split_drop_queue, gone_queue;
  wire [5:0] gone_stat;
  rx_frame_t offer;

  tupelo_rx_queues #(
      .QUEUES  (QUEUES),
      .DATA_W  (DATA_W),
      .BEATS   (Beats),
      .CLASSING(Classing),
      .READS   (2 * CmdDepth)
  ) u_queues (
      .clk           (clk),
      .rst           (rst || dev_rst),
      .halt_i        (halt_i),
      .active_i      (active_i),
      .stopped_i     (stopped_i),
      .awake_i       (awake_i),
      .chain_ready_i (chain_ready_i),
      .grow_i        (grow_i),
      .grow_queue_i  (grow_queue_i),
      .s_data        (i_data),
      .s_last        (i_last),
      .s_valid       (i_valid),
      .s_abort       (i_abort),
      .free_beats_o  (free_beats),
      .add_i         (class_valid && !stale),
      .add_frame_i   (class_frame),
      .offer_valid   (offer_valid),
      .offer_o       (offer),
      .offer_resume_o(offer_resume),
      .next_queue_o  (next_queue),
      .next_resume_o (next_resume),
      .hold_i        (hold),
      .take_i        (take),
      .refuse_i      (refuse),
      .back_i        (back),
      .dry_i         (dry),
      .dry_queue_i   (dry_queue),
      .busy_drop_i   (split_drop),
      .f_data        (f_data),
      .f_last        (f_last),
      .f_valid       (f_valid),
      .f_ready       (f_ready),
      .drop_o        (gone),
      .drop_stat_o   (gone_stat),
      .drop_queue_o  (gone_queue)
  );

  assign drop_o       = gone || split_drop;  // never both
  assign drop_stat_o  = split_drop ? 6'(STAT_RX_DROP_TOO_SMALL) : gone_stat;
  assign drop_queue_o = split_drop ? split_drop_queue : gone_queue;

  wire split_busy;
  wire p_valid, p_ready, p_eof, p_comp, p_end, p_abort, c_valid, c_ready, c_eof, c_comp, c_end, c_abort;
  wire [63:0] p_addr, c_addr;
  wire [8:0] p_bytes, c_bytes;
  completion_t p_chain, c_chain;
  rx_frame_t p_frame, c_frame;
  wire [7:0] p_buffers, c_buffers;
  wire [3:0] cmd_level;

  tupelo_rx_split #(
      .QUEUES    (QUEUES),
      .DESC_CACHE(DESC_CACHE)
  ) u_split (
      .clk             (clk),
      .rst             (rst || dev_rst),
      .halt_i          (halt_i),
      .mrg_i           (mrg_i),
      .hdr_bytes_i     (hash_report_i ? 5'(HashHdrBytes) : 5'(HdrBytes)),
      .active_i        (active_i),
      .awake_i         (awake_i),
      .frame_valid     (offer_valid),
      .frame_i         (offer),
      .resume_i        (offer_resume),
      .next_queue_i    (next_queue),
      .next_resume_i   (next_resume),
      .hold_o          (hold),
      .take_o          (take),
      .refuse_o        (refuse),
      .back_o          (back),
      .dry_o           (dry),
      .dry_queue_o     (dry_queue),
      .desc_queue_o    (desc_queue_o),
      .desc_offset_o   (desc_offset_o),
      .desc_i          (desc_i),
      .desc_indirect_i (desc_indirect_i),
      .desc_level_i    (desc_level_i),
      .desc_pop_o      (desc_pop_o),
      .desc_pop_descs_o(desc_pop_descs_o),
      .cmd_valid       (p_valid),
      .cmd_ready       (p_ready),
      .cmd_addr_o      (p_addr),
      .cmd_bytes_o     (p_bytes),
      .cmd_eof_o       (p_eof),
      .cmd_comp_o      (p_comp),
      .cmd_end_o       (p_end),
      .cmd_abort_o     (p_abort),
      .cmd_chain_o     (p_chain),
      .cmd_frame_o     (p_frame),
      .cmd_buffers_o   (p_buffers),
      .drop_o          (split_drop),
      .drop_queue_o    (split_drop_queue),
      .busy_queue_i    (busy_queue_i),
      .busy_o          (split_busy)
  );

  tupelo_fifo #(
      .WIDTH(CmdW),
      .DEPTH(CmdDepth)
  ) u_cmd (
      .clk    (clk),
      .rst    (rst || dev_rst),
      .s_data ({p_addr, p_bytes, p_eof, p_comp, p_end, p_abort, p_chain, p_frame, p_buffers}),
      .s_valid(p_valid),
      .s_ready(p_ready),
      .m_data ({c_addr, c_bytes, c_eof, c_comp, c_end, c_abort, c_chain, c_frame, c_buffers}),
      .m_valid(c_valid),
      .m_ready(c_ready),
      .level_o(cmd_level)
  );

  wire done_valid, done_ready;
  completion_t done;
  localparam integer DoneDepth = DESC_CACHE < 8 ? 8 : DESC_CACHE;  // chains of a frame
  localparam integer DoneW = $clog2(DoneDepth);
  wire [DoneW:0] done_level;

  tupelo_rx_scatter #(
      .QUEUES(QUEUES),
      .DATA_W(DATA_W)
  ) u_scatter (
      .clk          (clk),
      .rst          (rst || dev_rst),
      .guest_csum_i (guest_csum_i),
      .hash_report_i(hash_report_i),
      .cmd_valid    (c_valid),
      .cmd_ready    (c_ready),
      .cmd_addr_i   (c_addr),
      .cmd_bytes_i  (c_bytes),
      .cmd_eof_i    (c_eof),
      .cmd_comp_i   (c_comp),
      .cmd_abort_i  (c_abort),
      .cmd_chain_i  (c_chain),
      .cmd_frame_i  (c_frame),
      .cmd_buffers_i(c_buffers),
      .f_valid      (f_valid),
      .f_ready      (f_ready),
      .f_data       (f_data),
      .f_last       (f_last),
      .m_valid      (m_valid),
      .m_ready      (m_ready),
      .m_first      (m_first),
      .m_last       (m_last),
      .m_addr       (m_addr),
      .m_bytes      (m_bytes),
      .m_queue      (m_queue),
      .m_data       (m_data),
      .m_strb       (m_strb),
      .comp_valid   (done_valid),
      .comp_ready   (done_ready),
      .comp_o       (done)
  );
  assign buffer_o     = done_valid && done_ready;
  assign done_o       = buffer_o && c_end;
  assign done_queue_o = done.vq[QidxW-1:0];
  assign done_bytes_o = c_frame.bytes;

  // A frame's completions wait for its last one: a driver that sees the first looks for all of them (num_buffers).
  wire held_valid, held_end;
  logic [DoneW:0] ends_q;  // frames whose completions are all there
  wire comp_go = comp_valid && comp_ready;
  assign comp_valid = held_valid && ends_q != '0;
  assign comp_more_o = !held_end;

  tupelo_fifo #(
      .WIDTH(1 + $bits(completion_t)),
      .DEPTH(DoneDepth)
  ) u_done (
      .clk    (clk),
      .rst    (rst || dev_rst),
      .s_data ({c_end, done}),
      .s_valid(done_valid),
      .s_ready(done_ready),
      .m_data ({held_end, comp_o}),
      .m_valid(held_valid),
      .m_ready(comp_go),
      .level_o(done_level)
  );
  always_ff @(posedge clk) begin
    ends_q <= ends_q + (DoneW + 1)'(done_o) - (DoneW + 1)'(comp_go && held_end);
    if (rst || dev_rst) ends_q <= '0;
  end
  // Commands and completions in the FIFOs are not told apart by queue: both drain by themselves.
  assign busy_o = split_busy || c_valid || held_valid;

  // Frames that have entered and are neither delivered nor dropped are lost in a device reset.
  logic [15:0] inside_q;
  assign reset_drops_o = dev_rst ? inside_q - 16'(drop_o) - 16'(done_o) : 16'd0;
  always_ff @(posedge clk) begin
    inside_q <= inside_q + 16'(in_o && !in_drop_o) - 16'(drop_o) - 16'(done_o);
    if (rst) inside_q <= '0;
    else if (dev_rst) inside_q <= 16'(in_o && !in_drop_o);
  end
  wire unused = &{1'b0, i_bytes, cmd_level, done_level};
endmodule
`default_nettype wire
