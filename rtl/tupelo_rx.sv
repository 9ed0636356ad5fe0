// SPDX-License-Identifier: Apache-2.0
// tupelo_rx - the receive path: wire -> whole frames -> buffers -> writes -> completions
// Guarantees: takes a beat a cycle from the wire at all times; frames of a queue in order; each frame is delivered or
//   counted with a reason.
// Clock/reset: clk; rst the device's, dev_rst also on a device reset.
// Limits: every frame goes to the receive queue of pair 0.
`default_nettype none
module tupelo_rx
  import tupelo_pkg::*;
#(
    parameter integer QUEUES = 16,   // virtqueues, 2..128
    parameter integer DATA_W = 512,  // bits, 128, 256, 512
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
    output wire  [       15:0] reset_drops_o,
    // queue reset
    input  wire  [  QidxW-1:0] busy_queue_i,
    output wire                busy_o
);
  localparam integer FifoBeats = 32768 / StrbW;
  localparam integer FifoAddrW = $clog2(FifoBeats);
  localparam integer CmdW = 64 + 9 + 3 + $bits(completion_t);
  localparam logic [QidxW-1:0] HostQueue = '0;

  wire i_valid, i_last, i_abort;
  wire [DATA_W-1:0] i_data;
  wire [BytesW-1:0] i_bytes;
  wire [FifoAddrW:0] free_beats;

  tupelo_rx_ingress #(
      .DATA_W(DATA_W),
      .BEATS (FifoBeats)
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
      .in_o            (in_o),
      .drop_o          (in_drop_o),
      .drop_stat_o     (in_drop_stat_o)
  );

  wire f_valid, f_ready, f_last, len_valid, len_ready;
  wire [DATA_W-1:0] f_data;
  wire [BytesW-1:0] f_bytes;
  wire [13:0] len;

  tupelo_frame_fifo #(
      .DATA_W(DATA_W),
      .BEATS (FifoBeats)
  ) u_fifo (
      .clk         (clk),
      .rst         (rst || dev_rst),
      .s_data      (i_data),
      .s_bytes     (i_bytes),
      .s_last      (i_last),
      .s_valid     (i_valid),
      .s_abort     (i_abort),
      .free_beats_o(free_beats),
      .m_len       (len),
      .m_len_valid (len_valid),
      .m_len_ready (len_ready),
      .m_data      (f_data),
      .m_bytes     (f_bytes),
      .m_last      (f_last),
      .m_valid     (f_valid),
      .m_ready     (f_ready)
  );

  wire split_busy;
  wire p_valid, p_ready, p_eof, p_comp, p_abort, c_valid, c_ready, c_eof, c_comp, c_abort;
  wire [63:0] p_addr, c_addr;
  wire [8:0] p_bytes, c_bytes;
  completion_t p_chain, c_chain;
  wire [3:0] cmd_level;

  tupelo_rx_split #(
      .QUEUES(QUEUES)
  ) u_split (
      .clk             (clk),
      .rst             (rst || dev_rst),
      .halt_i          (halt_i),
      .active_i        (active_i),
      .stopped_i       (stopped_i),
      .awake_i         (awake_i),
      .chain_ready_i   (chain_ready_i),
      .frame_valid     (len_valid),
      .frame_ready     (len_ready),
      .frame_bytes_i   (len),
      .frame_queue_i   (HostQueue),
      .desc_queue_o    (desc_queue_o),
      .desc_offset_o   (desc_offset_o),
      .desc_i          (desc_i),
      .desc_pop_o      (desc_pop_o),
      .desc_pop_descs_o(desc_pop_descs_o),
      .cmd_valid       (p_valid),
      .cmd_ready       (p_ready),
      .cmd_addr_o      (p_addr),
      .cmd_bytes_o     (p_bytes),
      .cmd_eof_o       (p_eof),
      .cmd_comp_o      (p_comp),
      .cmd_abort_o     (p_abort),
      .cmd_chain_o     (p_chain),
      .drop_o          (drop_o),
      .drop_stat_o     (drop_stat_o),
      .busy_queue_i    (busy_queue_i),
      .busy_o          (split_busy)
  );
  assign drop_queue_o = desc_queue_o;

  tupelo_fifo #(
      .WIDTH(CmdW),
      .DEPTH(8)
  ) u_cmd (
      .clk    (clk),
      .rst    (rst || dev_rst),
      .s_data ({p_addr, p_bytes, p_eof, p_comp, p_abort, p_chain}),
      .s_valid(p_valid),
      .s_ready(p_ready),
      .m_data ({c_addr, c_bytes, c_eof, c_comp, c_abort, c_chain}),
      .m_valid(c_valid),
      .m_ready(c_ready),
      .level_o(cmd_level)
  );

  wire done_valid, done_ready;
  completion_t done;
  wire [3:0] done_level;

  tupelo_rx_scatter #(
      .QUEUES(QUEUES),
      .DATA_W(DATA_W)
  ) u_scatter (
      .clk        (clk),
      .rst        (rst || dev_rst),
      .cmd_valid  (c_valid),
      .cmd_ready  (c_ready),
      .cmd_addr_i (c_addr),
      .cmd_bytes_i(c_bytes),
      .cmd_eof_i  (c_eof),
      .cmd_comp_i (c_comp),
      .cmd_abort_i(c_abort),
      .cmd_chain_i(c_chain),
      .f_valid    (f_valid),
      .f_ready    (f_ready),
      .f_data     (f_data),
      .f_last     (f_last),
      .m_valid    (m_valid),
      .m_ready    (m_ready),
      .m_first    (m_first),
      .m_last     (m_last),
      .m_addr     (m_addr),
      .m_bytes    (m_bytes),
      .m_queue    (m_queue),
      .m_data     (m_data),
      .m_strb     (m_strb),
      .comp_valid (done_valid),
      .comp_ready (done_ready),
      .comp_o     (done)
  );
  assign done_o       = done_valid && done_ready;
  assign done_queue_o = done.vq[QidxW-1:0];
  assign done_bytes_o = done.len_bytes[13:0] - 14'(HdrBytes);

  tupelo_fifo #(
      .WIDTH($bits(completion_t)),
      .DEPTH(8)
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
  // Commands and completions in the FIFOs are not told apart by queue: both drain by themselves.
  assign busy_o = split_busy || c_valid || comp_valid;

  // Frames that have entered and are neither delivered nor dropped are lost in a device reset.
  logic [15:0] inside_q;
  assign reset_drops_o = dev_rst ? inside_q - 16'(drop_o) - 16'(done_o) : 16'd0;
  always_ff @(posedge clk) begin
    inside_q <= inside_q + 16'(in_o && !in_drop_o) - 16'(drop_o) - 16'(done_o);
    if (rst) inside_q <= '0;
    else if (dev_rst) inside_q <= 16'(in_o && !in_drop_o);
  end
  wire unused = &{1'b0, f_bytes, cmd_level, done_level, done.len_bytes[31:14]};
endmodule
`default_nettype wire
