// SPDX-License-Identifier: Apache-2.0
// tupelo_tx_egress - whole frames to the wire, the checksum written into each as it passes
// Guarantees: a frame that has begun to leave is never interrupted by this side; one beat a cycle; the first beat is
//   out three cycles after the last came in.
// Clock/reset: clk; rst synchronous, active high, empties it. s_abort takes back the unfinished frame.
// Contract: the writer looks at free_beats_o. Each frame has a note, at most two cycles after its last beat.
`default_nettype none
module tupelo_tx_egress
  import tupelo_pkg::*;
#(
    parameter integer DATA_W = 512,  // bits, 128, 256, 512
    parameter integer BEATS  = 256,  // of the frame FIFO, a power of two
    localparam integer StrbW  = DATA_W / 8,
    localparam integer BytesW = $clog2(StrbW) + 1,
    localparam integer FreeW  = $clog2(BEATS) + 1
) (
    input  wire                clk,
    input  wire                rst,
    input  wire                s_valid,
    input  wire  [ DATA_W-1:0] s_data,
    input  wire  [ BytesW-1:0] s_bytes,
    input  wire                s_last,
    input  wire                s_abort,
    output wire  [  FreeW-1:0] free_beats_o,
    input  wire                note_valid,
    input  wire  egress_note_t note_i,
    output wire  [ DATA_W-1:0] m_axis_tx_tdata,
    output wire  [  StrbW-1:0] m_axis_tx_tkeep,
    output wire                m_axis_tx_tlast,
    output wire                m_axis_tx_tvalid,
    input  wire                m_axis_tx_tready
);
  localparam integer PosW = $clog2(StrbW);

  wire [DATA_W-1:0] data;
  wire [BytesW-1:0] bytes;
  wire [13:0] len;
  wire len_valid, note_ready, note_here;
  wire [FreeW-1:0] note_level;
  egress_note_t note;
  wire moves = m_axis_tx_tvalid && m_axis_tx_tready;

  tupelo_frame_fifo #(
      .DATA_W(DATA_W),
      .BEATS (BEATS)
  ) u_fifo (
      .clk         (clk),
      .rst         (rst),
      .s_data      (s_data),
      .s_bytes     (s_bytes),
      .s_last      (s_last),
      .s_valid     (s_valid),
      .s_abort     (s_abort),
      .free_beats_o(free_beats_o),
      .m_len       (len),
      .m_len_valid (len_valid),
      .m_len_ready (len_valid),
      .m_data      (data),
      .m_bytes     (bytes),
      .m_last      (m_axis_tx_tlast),
      .m_valid     (m_axis_tx_tvalid),
      .m_ready     (m_axis_tx_tready)
  );

  tupelo_fifo #(
      .WIDTH($bits(egress_note_t)),
      .DEPTH(BEATS)
  ) u_notes (
      .clk    (clk),
      .rst    (rst),
      .s_data (note_i),
      .s_valid(note_valid),
      .s_ready(note_ready),
      .m_data (note),
      .m_valid(note_here),
      .m_ready(moves && m_axis_tx_tlast),
      .level_o(note_level)
  );

  // The two octets may lie in two beats.
  logic [13-PosW:0] idx_q;  // of the beat in the frame
  wire [13:0] next_pos = note.pos + 14'd1;
  logic [DATA_W-1:0] patched;
  logic [StrbW-1:0] first_here, second_here;  // one hot
  always_comb begin
    patched     = data;
    first_here  = '0;
    second_here = '0;
    if (m_axis_tx_tvalid && note.insert) begin
      first_here  = StrbW'(note.pos[13:PosW] == idx_q) << note.pos[PosW-1:0];
      second_here = StrbW'(next_pos[13:PosW] == idx_q) << next_pos[PosW-1:0];
      for (int n = 0; n < StrbW; n++) begin
        if (first_here[n]) patched[8*n+:8] = note.value[15:8];
        if (second_here[n]) patched[8*n+:8] = note.value[7:0];
      end
    end
  end
  assign m_axis_tx_tdata = patched;
  assign m_axis_tx_tkeep = ~({StrbW{1'b1}} << bytes);

  always_ff @(posedge clk) begin
    if (moves) idx_q <= m_axis_tx_tlast ? '0 : idx_q + 1'b1;
    if (rst) idx_q <= '0;
  end

`ifdef TUPELO_CHECKS
  always @(posedge clk) begin
    if (!rst && note_valid && !note_ready) $fatal(1, "%m overflow: no room for a note at %0t", $time);
    if (!rst && m_axis_tx_tvalid && !note_here) $fatal(1, "%m note: a frame leaves before its note at %0t", $time);
  end
`endif
  wire unused = &{1'b0, len, note_ready, note_here, note_level};
endmodule
`default_nettype wire
