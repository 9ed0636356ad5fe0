// SPDX-License-Identifier: Apache-2.0
// tupelo_tx_segment - frames out of the buffer: dropped, passed on with a checksum, or cut into TCP segments
// Guarantees: one beat a cycle without a gap between frames or segments, but for one where the headers do not fill
//   a beat and the payload lies badly, and eight or so at the start of a frame to be segmented. A verdict is
//   followed by its frame's first beat three cycles later. One fate for each chain, in order, in the cycle of
//   its last beat; frame_valid with the last beat of each frame or segment; its note two cycles later.
// Clock/reset: clk; rst empties all. flush_i (device reset) also does, but for notes of frames that have gone on; a
//   last beat in the cycle of flush_i has gone on.
// Contract: free_beats_i counts the place behind, as tupelo_frame_fifo does.
// VIRTIO 1.2 section 5.1.6.2.
`default_nettype none
module tupelo_tx_segment
  import tupelo_pkg::*;
  import tupelo_tx_pkg::*;
#(
    parameter integer DATA_W = 512,  // bits, 128, 256, 512
    parameter integer BEATS  = 256,  // of the buffer
    parameter integer FREE_W = 9,    // bits of free_beats_i
    localparam integer PtrW   = $clog2(BEATS) + 1,
    localparam integer BytesW = $clog2(DATA_W / 8) + 1
) (
    input  wire                clk,
    input  wire                rst,
    input  wire                flush_i,
    // the buffer
    input  wire                h_ended,
    input  wire  [       16:0] h_bytes,
    input  wire  [   PtrW-1:0] h_end,
    input  wire                h_drop,
    input  wire  [        5:0] h_drop_stat,
    output wire                h_pop,
    output wire                rd_valid,
    output wire  [   PtrW-1:0] rd_ptr,
    input  wire  [ DATA_W-1:0] rd_data,
    output wire                rel_valid,
    output wire  [   PtrW-1:0] rel_ptr,
    // verdicts
    input  wire                v_valid,
    output wire                v_ready,
    input  wire  tx_verdict_t  v_verdict,
    // frames
    input  wire  [ FREE_W-1:0] free_beats_i,
    output logic               m_valid,
    output logic [ DATA_W-1:0] m_data,
    output logic [ BytesW-1:0] m_bytes,
    output logic               m_last,
    output wire                note_valid,
    output wire  egress_note_t note_o,
    // what became of them
    output wire                frame_valid,
    output wire  vq_t          frame_vq,
    output wire  [       13:0] frame_bytes,
    output wire                fate_valid,
    output wire  tx_fate_t     fate_o
);
  localparam integer StrbW = DATA_W / 8;
  localparam integer PosW = $clog2(StrbW);
  localparam integer HdrIdxW = $clog2(1024 / DATA_W);
  localparam integer ChainBytesW = 24;  // 65,496 segments of one byte each and their headers

  wire reset = rst || flush_i;

  // ---- stage A: what to read
  wire a_valid, hdr_begin, hdr_ready;
  tx_op_t a_op;
  tx_job_t a_job;

  tupelo_tx_plan #(
      .DATA_W(DATA_W),
      .BEATS (BEATS)
  ) u_plan (
      .clk        (clk),
      .rst        (reset),
      .h_ended    (h_ended),
      .h_bytes    (h_bytes),
      .h_end      (h_end),
      .h_drop     (h_drop),
      .h_drop_stat(h_drop_stat),
      .h_pop      (h_pop),
      .rel_valid  (rel_valid),
      .rel_ptr    (rel_ptr),
      .v_valid    (v_valid),
      .v_ready    (v_ready),
      .v_verdict  (v_verdict),
      .credit_i   (free_beats_i >= FREE_W'(4)),
      .op_valid   (a_valid),
      .op_o       (a_op),
      .job_o      (a_job),
      .op_ptr     (rd_ptr),
      .hdr_begin_o(hdr_begin),
      .hdr_ready_i(hdr_ready)
  );
  assign rd_valid = a_valid && a_job.kind != JOB_FATE;

  // ---- stage B: the beat is here; it is turned, joined with the one before and the headers laid over it
  logic b_valid_q;
  tx_op_t b_op_q;
  tx_job_t b_job_q;
  logic [DATA_W-1:0] hold_q;  // the beat before, turned
  wire [1023:0] header;
  wire [15:0] init;

  tupelo_tx_header #(
      .DATA_W(DATA_W)
  ) u_header (
      .clk       (clk),
      .rst       (reset),
      .begin_i   (hdr_begin),
      .verdict_i (v_verdict),
      .ready_o   (hdr_ready),
      .beat_valid(b_valid_q && b_job_q.kind == JOB_HEADER),
      .beat_last (b_op_q.last),
      .beat_idx  (b_op_q.idx[2:0]),
      .beat_data (rd_data),
      .seg_valid (a_valid && a_op.first && a_job.kind == JOB_FRAME && a_job.hdr_bytes != '0),
      .seg_job   (a_job),
      .hdr_o     (header),
      .sum_o     (init)
  );

  wire [13:0] b_from = 14'({b_op_q.idx, {PosW{1'b0}}});  // first byte of this beat in the frame that leaves
  wire [7:0] b_hdr_left = b_job_q.hdr_bytes - b_from[7:0];  // header bytes from there
  wire [BytesW-1:0] b_bytes = b_op_q.last ? BytesW'(b_job_q.bytes - b_from) : BytesW'(StrbW);
  wire [DATA_W-1:0] header_beat = header[DATA_W*int'(b_op_q.idx[HdrIdxW-1:0])+:DATA_W];
  logic [DATA_W-1:0] turned, beat;
  logic [StrbW-1:0] from_hold, from_header, filled;  // of the bytes of the beat
  always_comb begin
    turned      = '0;
    beat        = '0;
    from_hold   = '0;
    from_header = '0;
    filled      = '0;
    if (b_valid_q) begin
      turned = rd_data;
      for (int n = 0; n < PosW; n++)
      if (b_job_q.rot[n]) turned = (turned >> (8 << n)) | (turned << (DATA_W - (8 << n)));
      if (b_job_q.rot != '0) from_hold = {StrbW{1'b1}} >> b_job_q.rot;
      if (14'(b_job_q.hdr_bytes) > b_from)
        from_header = b_hdr_left < 8'(StrbW) ? ~({StrbW{1'b1}} << b_hdr_left) : '1;
      filled = {StrbW{1'b1}} >> (BytesW'(StrbW) - b_bytes);
      for (int n = 0; n < StrbW; n++)
      if (filled[n])
        beat[8*n+:8] = from_header[n] ? header_beat[8*n+:8] : from_hold[n] ? hold_q[8*n+:8] : turned[8*n+:8];
    end
  end

  // ---- stage C: it leaves
  logic c_fate_q;
  tx_op_t c_op_q;
  tx_job_t c_job_q;
  logic [15:0] c_init_q, frames_q;
  logic [ChainBytesW-1:0] bytes_q, repeated_q;  // of the chain's frames before

  wire [7:0] repeated = frame_valid && !c_job_q.first_seg ? c_job_q.hdr_bytes : 8'd0;

  always_ff @(posedge clk) begin
    b_valid_q <= a_valid && !reset;
    if (a_valid) begin
      b_op_q <= a_op;
      if (a_op.first) b_job_q <= a_job;
    end
    m_valid  <= b_valid_q && b_op_q.emit && !reset;
    c_fate_q <= b_valid_q && b_op_q.last && b_job_q.fate && !reset;
    if (b_valid_q) begin
      c_op_q  <= b_op_q;
      m_last  <= b_op_q.last;
      m_bytes <= b_bytes;
      if (b_op_q.first) begin
        c_job_q  <= b_job_q;
        c_init_q <= b_job_q.tso ? init : '0;
      end
      if (b_job_q.rot != '0) hold_q <= turned;
      if (b_op_q.emit) m_data <= beat;
    end
    if (fate_valid || reset) begin
      frames_q   <= '0;
      bytes_q    <= '0;
      repeated_q <= '0;
    end else if (frame_valid) begin
      frames_q   <= frames_q + 1'b1;
      bytes_q    <= bytes_q + ChainBytesW'(c_job_q.bytes);
      repeated_q <= repeated_q + ChainBytesW'(repeated);
    end
  end

  assign frame_valid = m_valid && m_last;
  assign frame_vq    = c_job_q.vq;
  assign frame_bytes = c_job_q.bytes;
  assign fate_valid  = c_fate_q;
  assign fate_o      = '{
          vq: c_job_q.vq,
          sent: c_job_q.sent,
          drop_stat: c_job_q.drop_stat,
          frames: frames_q + 16'(frame_valid),
          bytes: $bits(fate_o.bytes)'(bytes_q + (frame_valid ? ChainBytesW'(c_job_q.bytes) : '0)),
          repeated: $bits(fate_o.repeated)'(repeated_q + ChainBytesW'(repeated)),
          csum: c_job_q.csum,
          tso: c_job_q.tso
      };

  tupelo_csum_sum #(
      .DATA_W(DATA_W)
  ) u_sum (
      .clk       (clk),
      .rst       (rst),
      .s_valid   (m_valid),
      .s_first   (c_op_q.idx == '0),
      .s_last    (m_last),
      .s_idx     (c_op_q.idx),
      .s_data    (m_data),
      .s_sum     (c_job_q.sum),
      .s_start   (c_job_q.sum_start),
      .s_pos     (c_job_q.sum_pos),
      .s_init    (c_init_q),
      .s_no_zero (!c_job_q.tso),
      .note_valid(note_valid),
      .note_o    (note_o)
  );
  wire unused = &{1'b0, c_op_q, c_job_q};
endmodule
`default_nettype wire
