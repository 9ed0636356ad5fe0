// SPDX-License-Identifier: Apache-2.0
// tupelo_rx_ingress - takes frames from the wire into the receive FIFO and throws bad ones away, with a reason
// Guarantees: always ready, one beat a cycle (a MAC does not wait); each frame that enters gives one in_o pulse at
//   its end, with drop_o and the counter's index if it was not kept: bad (tuser), too short, too long, FIFO full,
//   or the device was reset while it came in.
// Clock/reset: clk; rst synchronous, active high; flush_i (device reset) forgets the frame that is coming in but
//   not the place in the stream.
// Contract: tkeep is full but in the last beat and has no holes.
`default_nettype none
module tupelo_rx_ingress
  import tupelo_pkg::*;
  import tupelo_regs_pkg::*;
#(
    parameter integer DATA_W = 512,  // bits, 128, 256, 512
    parameter integer BEATS  = 512,  // of the FIFO behind
    localparam integer BytesW = $clog2(DATA_W / 8) + 1
) (
    input  wire                   clk,
    input  wire                   rst,
    input  wire                   flush_i,
    input  wire  [    DATA_W-1:0] s_axis_rx_tdata,
    input  wire  [  DATA_W/8-1:0] s_axis_rx_tkeep,
    input  wire                   s_axis_rx_tlast,
    input  wire                   s_axis_rx_tuser,
    input  wire                   s_axis_rx_tvalid,
    output wire                   s_axis_rx_tready,
    // to the frame FIFO
    input  wire  [$clog2(BEATS):0] free_beats_i,
    output logic                  m_valid,
    output logic [    DATA_W-1:0] m_data,
    output logic [    BytesW-1:0] m_bytes,
    output logic                  m_last,
    output logic                  m_abort,
    // statistics
    output wire                   in_o,
    output wire                   drop_o,
    output logic [           5:0] drop_stat_o
);
  logic [13:0] bytes_q;  // of the frame before this beat, held at the limit
  logic full_q, flushed_q, mid_q;

  wire [BytesW-1:0] beat_bytes = s_axis_rx_tlast ? BytesW'($countones(s_axis_rx_tkeep)) : BytesW'(DATA_W / 8);
  wire [13:0] bytes = bytes_q + 14'(beat_bytes);
  wire too_long = bytes > 14'(FrameMaxBytes);
  // One beat may be on its way in the register below.
  wire no_room = free_beats_i < ($clog2(BEATS) + 1)'(2);
  wire full = full_q || (no_room && !too_long);
  wire end_now = s_axis_rx_tvalid && s_axis_rx_tlast;
  wire flushed = flushed_q || flush_i;
  wire drop = s_axis_rx_tuser || too_long || bytes < 14'(FrameMinBytes) || full || flushed;

  assign s_axis_rx_tready = 1'b1;
  assign in_o   = end_now;
  assign drop_o = end_now && drop;

  always_comb begin
    if (flushed) drop_stat_o = 6'(STAT_RX_DROP_RESET);
    else if (s_axis_rx_tuser) drop_stat_o = 6'(STAT_RX_DROP_BAD);
    else if (too_long) drop_stat_o = 6'(STAT_RX_DROP_LONG);
    else if (bytes < 14'(FrameMinBytes)) drop_stat_o = 6'(STAT_RX_DROP_SHORT);
    else drop_stat_o = 6'(STAT_RX_DROP_OVERFLOW);
  end

  always_ff @(posedge clk) begin
    m_valid <= s_axis_rx_tvalid && !too_long && !full && !flushed && !(end_now && drop);
    m_abort <= (end_now && drop) || flush_i;
    m_last  <= s_axis_rx_tlast;
    m_bytes <= beat_bytes;
    if (s_axis_rx_tvalid) m_data <= s_axis_rx_tdata;
    if (s_axis_rx_tvalid) begin
      mid_q     <= !s_axis_rx_tlast;
      bytes_q   <= s_axis_rx_tlast ? '0 : too_long ? bytes_q : bytes;
      full_q    <= !s_axis_rx_tlast && full;
      flushed_q <= !s_axis_rx_tlast && flushed;
    end else if (flush_i) flushed_q <= mid_q;
    if (rst) begin
      m_valid   <= 1'b0;
      m_abort   <= 1'b0;
      mid_q     <= 1'b0;
      bytes_q   <= '0;
      full_q    <= 1'b0;
      flushed_q <= 1'b0;
    end
  end

`ifdef TUPELO_CHECKS
  always @(posedge clk)
    if (!rst && s_axis_rx_tvalid && (s_axis_rx_tkeep & (s_axis_rx_tkeep + 1'b1)) != '0)
      $fatal(1, "%m keep: holes in tkeep %h at %0t", s_axis_rx_tkeep, $time);
`endif
endmodule
`default_nettype wire
