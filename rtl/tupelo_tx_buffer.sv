// SPDX-License-Identifier: Apache-2.0
// tupelo_tx_buffer - frames from the gather, readable at any beat until they are given back
// Guarantees: one beat in and one beat read a cycle; a beat can be read in the cycle after it was written, the data
//   are there one cycle after the read; frames in order, each with its length and drop mark once it has ended.
// Clock/reset: clk; rst synchronous, active high, forgets everything.
// Contract: the writer looks at free_beats_o and frames_o; both tell of the beats before this cycle's. s_bytes is
//   full but in the last beat; 0 only in a last beat, which then stores nothing. No frame is longer than 131,071
//   bytes. The reader gives back with rel_valid what lies before rel_ptr and takes a frame's record with h_pop.
`default_nettype none
module tupelo_tx_buffer #(
    parameter integer DATA_W = 512,  // bits of a beat, 128, 256, 512
    parameter integer BEATS  = 256,  // beats held, a power of two
    parameter integer FRAMES = 64,   // frames held, a power of two
    localparam integer PtrW   = $clog2(BEATS) + 1,
    localparam integer BytesW = $clog2(DATA_W / 8) + 1,
    localparam integer LevelW = $clog2(FRAMES) + 1
) (
    input  wire               clk,
    input  wire               rst,
    // frames in
    input  wire               s_valid,
    input  wire  [DATA_W-1:0] s_data,
    input  wire  [BytesW-1:0] s_bytes,
    input  wire               s_first,
    input  wire               s_last,
    input  wire               s_drop,
    input  wire  [       5:0] s_drop_stat,
    output wire  [  PtrW-1:0] free_beats_o,
    output wire  [LevelW-1:0] frames_o,       // begun and not taken
    // the oldest frame
    output wire               h_ended,        // all of it is here
    output wire  [      16:0] h_bytes,        // of it, so far
    output wire  [  PtrW-1:0] h_end,          // the beat behind it, so far
    output wire               h_drop,         // with h_ended
    output wire  [       5:0] h_drop_stat,
    input  wire               h_pop,
    // its beats
    input  wire               rd_valid,
    input  wire  [  PtrW-1:0] rd_ptr,
    output logic [DATA_W-1:0] rd_data,
    input  wire               rel_valid,
    input  wire  [  PtrW-1:0] rel_ptr
);
  localparam integer RecordW = 17 + PtrW + 7;

  logic [DATA_W-1:0] mem[BEATS];
  logic [PtrW-1:0] wr_q, rel_q;
  logic [16:0] bytes_q;
  logic [LevelW-1:0] frames_q;

  wire stores = s_valid && s_bytes != '0;
  wire [16:0] bytes = bytes_q + 17'(s_bytes);
  wire [PtrW-1:0] wr_next = wr_q + PtrW'(stores);
  wire [16:0] record_bytes;
  wire [PtrW-1:0] record_end;
  wire record_ready;
  wire [LevelW-1:0] record_level;

  tupelo_fifo #(
      .WIDTH(RecordW),
      .DEPTH(FRAMES)
  ) u_records (
      .clk    (clk),
      .rst    (rst),
      .s_data ({bytes, wr_next, s_drop, s_drop_stat}),
      .s_valid(s_valid && s_last),
      .s_ready(record_ready),
      .m_data ({record_bytes, record_end, h_drop, h_drop_stat}),
      .m_valid(h_ended),
      .m_ready(h_pop),
      .level_o(record_level)
  );

  assign h_bytes      = h_ended ? record_bytes : bytes_q;
  assign h_end        = h_ended ? record_end : wr_q;
  assign free_beats_o = PtrW'(BEATS) - (wr_q - rel_q);
  assign frames_o     = frames_q;

  always_ff @(posedge clk) begin
    if (stores) mem[wr_q[PtrW-2:0]] <= s_data;
    if (s_valid) begin
      wr_q    <= wr_next;
      bytes_q <= s_last ? '0 : bytes;
    end
    if (rd_valid) rd_data <= mem[rd_ptr[PtrW-2:0]];
    if (rel_valid) rel_q <= rel_ptr;
    frames_q <= frames_q + LevelW'(s_valid && s_first) - LevelW'(h_pop);
    if (rst) begin
      wr_q     <= '0;
      rel_q    <= '0;
      bytes_q  <= '0;
      frames_q <= '0;
    end
  end

`ifdef TUPELO_CHECKS
  logic mid_q;
  always @(posedge clk) begin
    if (s_valid) mid_q <= !s_last;
    if (rst) mid_q <= 1'b0;
    if (!rst && stores && free_beats_o == '0)
      $fatal(1, "%m overflow: a beat was written to a full buffer at %0t", $time);
    if (!rst && s_valid && s_last && !record_ready) $fatal(1, "%m overflow: too many frames at %0t", $time);
    if (!rst && s_valid && s_first == mid_q) $fatal(1, "%m first: not at a frame's start at %0t", $time);
    if (!rst && s_valid && !s_last && s_bytes != BytesW'(DATA_W / 8))
      $fatal(1, "%m bytes: a beat within a frame is not full at %0t", $time);
    if (!rst && s_valid && bytes < bytes_q) $fatal(1, "%m long: the byte count overflows at %0t", $time);
    if (!rst && rel_valid && (rel_ptr - rel_q) > (wr_q - rel_q))
      $fatal(1, "%m release: beats that are not here are given back at %0t", $time);
  end
`endif
  wire unused = &{1'b0, rd_ptr[PtrW-1], record_ready, record_level};
endmodule
`default_nettype wire
