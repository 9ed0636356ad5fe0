// SPDX-License-Identifier: Apache-2.0
// tupelo_rx_ingress - takes frames from the wire into the receive FIFO and throws bad ones away, with a reason
// Guarantees: always ready, one beat a cycle (a MAC does not wait); each frame that enters gives one in_o pulse at
//   its end, with drop_o and the counter's index if it was not kept: bad (tuser), too short, too long, FIFO full,
//   or the device was reset while it came in. Two cycles behind the last beat of a kept frame comes one pulse
//   head_valid with its first 128 bytes, its length and the ones'-complement sum of all its bytes.
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
    // what the frame is about: byte i in [8i+:8], stale behind the frame's end; the sum is of big-endian 16-bit words
    output logic                  head_valid,
    output logic [8*WindowBytes-1:0] head_window,
    output logic [          13:0] head_bytes,
    output logic [          15:0] head_sum,
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

  // ---- window and sum. Stage 1 adds up the beat's 16-bit words, stage 2 adds the beats.
  localparam integer Words = DATA_W / 16;
  localparam integer SumW = 16 + $clog2(Words);
  localparam integer WindowBeats = 8 * WindowBytes / DATA_W;
  localparam integer PlaceW = $clog2(WindowBeats) + 1;

  logic [8*WindowBytes-1:0] window_q;
  logic [PlaceW-1:0] place_q;  // beats of the window that are there
  logic sum_valid_q, sum_last_q;
  logic [SumW-1:0] beat_sum_q;
  logic [13:0] length_q;  // before this beat
  logic [13:0] head_bytes_q;
  logic [15:0] sum_q;  // before this beat, as little-endian words

  function automatic logic [SumW-1:0] add_words(input logic [DATA_W-1:0] data, input logic [BytesW-1:0] n_bytes);
    logic [Words-1:0][SumW-1:0] node;
    for (int w = 0; w < Words; w++)
      node[w] = SumW'({2 * w + 1 < int'(n_bytes) ? data[16*w+8+:8] : 8'd0,
                       2 * w < int'(n_bytes) ? data[16*w+:8] : 8'd0});
    for (int n = Words / 2; n > 0; n /= 2) for (int w = 0; w < n; w++) node[w] = node[2*w] + node[2*w+1];
    add_words = node[0];
  endfunction

  wire [21:0] sum_wide = {6'd0, sum_q} + 22'(beat_sum_q);
  wire [16:0] sum_fold = {1'b0, sum_wide[15:0]} + {11'd0, sum_wide[21:16]};
  wire [15:0] sum = sum_fold[15:0] + {15'd0, sum_fold[16]};
  wire [13:0] length = length_q + 14'(m_bytes);

  always_ff @(posedge clk) begin
    sum_valid_q <= m_valid && !m_abort && !flush_i;
    sum_last_q  <= m_last;
    if (m_valid) begin
      beat_sum_q <= add_words(m_data, m_bytes);
      length_q   <= m_last ? '0 : length;
      if (!place_q[PlaceW-1]) window_q[DATA_W*place_q[PlaceW-2:0]+:DATA_W] <= m_data;
      if (m_last) place_q <= '0;
      else if (!place_q[PlaceW-1]) place_q <= place_q + 1'b1;
      if (m_last) head_bytes_q <= length;
    end
    head_valid <= sum_valid_q && sum_last_q && !flush_i;
    if (sum_valid_q) sum_q <= sum_last_q ? '0 : sum;
    if (sum_valid_q && sum_last_q) begin
      head_window <= window_q;
      head_bytes  <= head_bytes_q;
      head_sum    <= {sum[7:0], sum[15:8]};
    end
    if (m_abort) begin
      place_q  <= '0;
      length_q <= '0;
    end
    if (m_abort || rst) sum_q <= '0;
    if (rst) begin
      sum_valid_q <= 1'b0;
      head_valid  <= 1'b0;
      place_q     <= '0;
      length_q    <= '0;
    end
  end

`ifdef TUPELO_CHECKS
  always @(posedge clk)
    if (!rst && s_axis_rx_tvalid && (s_axis_rx_tkeep & (s_axis_rx_tkeep + 1'b1)) != '0)
      $fatal(1, "%m keep: holes in tkeep %h at %0t", s_axis_rx_tkeep, $time);
`endif
endmodule
`default_nettype wire
