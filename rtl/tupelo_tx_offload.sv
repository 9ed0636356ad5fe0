// SPDX-License-Identifier: Apache-2.0
// tupelo_tx_offload - from the gathered frames to the wire: checked frames only, checksums and segmentation done
// Guarantees: frames leave in the order in which they came; a frame that has begun to leave is never interrupted by
//   this side. Frames pass at one beat a cycle, segments likewise; the first beat of a frame of one beat is on the
//   wire six cycles after its verdict. out_* is one pulse for each frame that is going to leave, fate_* one for each
//   chain, in order. A device reset lets out what is whole and behind the segmenter and forgets the rest.
// Clock/reset: clk; rst synchronous, active high, empties it; dev_rst the device reset.
// Contract: there is no back-pressure towards the gather: it looks at free_beats_o and frames_o, which tell of the
//   beats before this cycle's; frames_o must not pass 64. A verdict for each frame, in order. A frame with g_drop is
//   dropped; segments of it that have left stay out. Contracts of the verdict: tupelo_tx_plan, tupelo_tx_header.
`default_nettype none
module tupelo_tx_offload
  import tupelo_pkg::*;
#(
    parameter integer DATA_W = 512,  // bits, 128, 256, 512
    localparam integer StrbW  = DATA_W / 8,
    localparam integer BytesW = $clog2(StrbW) + 1,
    localparam integer Beats  = 16384 / StrbW,  // of the buffer and of the frame FIFO: more than one largest frame
    localparam integer FreeW  = $clog2(Beats) + 1
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               dev_rst,
    // from the gather
    input  wire               g_valid,
    input  wire  [DATA_W-1:0] g_data,
    input  wire  [BytesW-1:0] g_bytes,
    input  wire               g_first,
    input  wire               g_last,
    input  wire               g_drop,
    input  wire  [       5:0] g_drop_stat,
    output wire  [ FreeW-1:0] free_beats_o,
    output wire  [       6:0] frames_o,
    // verdicts
    input  wire               v_valid,
    output wire               v_ready,
    input  wire  tx_verdict_t v_verdict,
    // the wire
    output wire  [DATA_W-1:0] m_axis_tx_tdata,
    output wire  [ StrbW-1:0] m_axis_tx_tkeep,
    output wire               m_axis_tx_tlast,
    output wire               m_axis_tx_tvalid,
    input  wire               m_axis_tx_tready,
    // statistics
    output wire               out_valid,
    output wire  vq_t         out_vq,
    output wire  [      13:0] out_bytes,
    output wire               fate_valid,
    output wire  tx_fate_t    fate
);
  wire h_ended, h_drop, h_pop, rd_valid, rel_valid;
  wire [16:0] h_bytes;
  wire [5:0] h_drop_stat;
  wire [FreeW-1:0] h_end, rd_ptr, rel_ptr, free_out;
  wire [DATA_W-1:0] rd_data, s_data;
  wire [BytesW-1:0] s_bytes;
  wire s_valid, s_last, note_valid;
  egress_note_t note;

  tupelo_tx_buffer #(
      .DATA_W(DATA_W),
      .BEATS (Beats),
      .FRAMES(64)
  ) u_buffer (
      .clk         (clk),
      .rst         (rst || dev_rst),
      .s_valid     (g_valid),
      .s_data      (g_data),
      .s_bytes     (g_bytes),
      .s_first     (g_first),
      .s_last      (g_last),
      .s_drop      (g_drop),
      .s_drop_stat (g_drop_stat),
      .free_beats_o(free_beats_o),
      .frames_o    (frames_o),
      .h_ended     (h_ended),
      .h_bytes     (h_bytes),
      .h_end       (h_end),
      .h_drop      (h_drop),
      .h_drop_stat (h_drop_stat),
      .h_pop       (h_pop),
      .rd_valid    (rd_valid),
      .rd_ptr      (rd_ptr),
      .rd_data     (rd_data),
      .rel_valid   (rel_valid),
      .rel_ptr     (rel_ptr)
  );

  tupelo_tx_segment #(
      .DATA_W(DATA_W),
      .BEATS (Beats),
      .FREE_W(FreeW)
  ) u_segment (
      .clk         (clk),
      .rst         (rst),
      .flush_i     (dev_rst),
      .h_ended     (h_ended),
      .h_bytes     (h_bytes),
      .h_end       (h_end),
      .h_drop      (h_drop),
      .h_drop_stat (h_drop_stat),
      .h_pop       (h_pop),
      .rd_valid    (rd_valid),
      .rd_ptr      (rd_ptr),
      .rd_data     (rd_data),
      .rel_valid   (rel_valid),
      .rel_ptr     (rel_ptr),
      .v_valid     (v_valid),
      .v_ready     (v_ready),
      .v_verdict   (v_verdict),
      .free_beats_i(free_out),
      .m_valid     (s_valid),
      .m_data      (s_data),
      .m_bytes     (s_bytes),
      .m_last      (s_last),
      .note_valid  (note_valid),
      .note_o      (note),
      .frame_valid (out_valid),
      .frame_vq    (out_vq),
      .frame_bytes (out_bytes),
      .fate_valid  (fate_valid),
      .fate_o      (fate)
  );

  tupelo_tx_egress #(
      .DATA_W(DATA_W),
      .BEATS (Beats)
  ) u_egress (
      .clk             (clk),
      .rst             (rst),
      .s_valid         (s_valid),
      .s_data          (s_data),
      .s_bytes         (s_bytes),
      .s_last          (s_last),
      .s_abort         (dev_rst && !(s_valid && s_last)),  // a frame that ends now counts as sent
      .free_beats_o    (free_out),
      .note_valid      (note_valid),
      .note_i          (note),
      .m_axis_tx_tdata (m_axis_tx_tdata),
      .m_axis_tx_tkeep (m_axis_tx_tkeep),
      .m_axis_tx_tlast (m_axis_tx_tlast),
      .m_axis_tx_tvalid(m_axis_tx_tvalid),
      .m_axis_tx_tready(m_axis_tx_tready)
  );

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
`endif
endmodule
`default_nettype wire
