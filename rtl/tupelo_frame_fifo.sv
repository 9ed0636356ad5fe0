// SPDX-License-Identifier: Apache-2.0
// tupelo_frame_fifo - store-and-forward FIFO of frames that can be taken back until their last beat
// Guarantees: a frame comes out only once it is whole; one beat in and one out a cycle; frames in order;
//   inside a frame m_valid never falls. Latency from the last beat in to the first out: 4 cycles.
// Clock/reset: clk; rst synchronous, active high, empties it. s_abort takes back the beats of the unfinished frame.
// Contract: the writer looks at free_beats_o before it writes: there is no back-pressure on this side.
//   s_bytes counts 1..DATA_W/8 and is full but in the last beat. A frame's length is offered from its end on.
`default_nettype none
module tupelo_frame_fifo #(
    parameter integer DATA_W = 512,  // bits of a beat, 128, 256, 512
    parameter integer BEATS  = 256,  // beats held, a power of two
    localparam integer AddrW  = $clog2(BEATS),
    localparam integer BytesW = $clog2(DATA_W / 8) + 1
) (
    input  wire               clk,
    input  wire               rst,
    input  wire  [DATA_W-1:0] s_data,
    input  wire  [BytesW-1:0] s_bytes,
    input  wire               s_last,
    input  wire               s_valid,
    input  wire               s_abort,
    output wire  [   AddrW:0] free_beats_o,
    output wire  [      13:0] m_len,         // bytes of the whole frame, valid with len_valid
    output wire               m_len_valid,
    input  wire               m_len_ready,   // the reader has taken note of the length
    output wire  [DATA_W-1:0] m_data,
    output wire  [BytesW-1:0] m_bytes,
    output wire               m_last,
    output wire               m_valid,
    input  wire               m_ready
);
  localparam integer Width = DATA_W + BytesW + 1;

  logic [Width-1:0] mem[BEATS];
  logic [AddrW:0] wr_q, commit_q, rd_q, out_q;  // next to write, first not committed, next to read, next to leave
  logic [13:0] len_q;
  logic [Width-1:0] read_q;
  logic read_valid_q;

  wire out_ready, out_valid;
  wire [2:0] out_level;
  wire [13:0] len_now = len_q + 14'(s_bytes);
  wire commit = s_valid && s_last && !s_abort;
  wire len_s_ready;
  wire [AddrW:0] len_level;

  // Beats read ahead still count: so no more frames are inside than there is room for their lengths.
  assign free_beats_o = (AddrW + 1)'(BEATS) - (wr_q - out_q);

  tupelo_fifo #(
      .WIDTH(14),
      .DEPTH(BEATS)
  ) u_len (
      .clk    (clk),
      .rst    (rst),
      .s_data (len_now),
      .s_valid(commit),
      .s_ready(len_s_ready),
      .m_data (m_len),
      .m_valid(m_len_valid),
      .m_ready(m_len_ready),
      .level_o(len_level)
  );

  // One word is read ahead of a four-word FIFO, so that the memory can be a synchronous block RAM.
  wire do_read = (rd_q != commit_q) && ({1'b0, out_level} + {3'b000, read_valid_q} < 4'd4);

  always_ff @(posedge clk) begin
    if (s_valid) begin
      mem[wr_q[AddrW-1:0]] <= {s_last, s_bytes, s_data};
      wr_q  <= wr_q + 1'b1;
      len_q <= len_now;
      if (s_last) begin
        len_q    <= '0;
        commit_q <= wr_q + 1'b1;
      end
    end
    if (s_abort) begin
      wr_q     <= commit_q;
      commit_q <= commit_q;
      len_q    <= '0;
    end
    if (do_read) begin
      read_q <= mem[rd_q[AddrW-1:0]];
      rd_q   <= rd_q + 1'b1;
    end
    read_valid_q <= do_read;
    if (m_valid && m_ready) out_q <= out_q + 1'b1;
    if (rst) begin
      wr_q         <= '0;
      commit_q     <= '0;
      rd_q         <= '0;
      out_q        <= '0;
      len_q        <= '0;
      read_valid_q <= 1'b0;
    end
  end

  tupelo_fifo #(
      .WIDTH(Width),
      .DEPTH(4)
  ) u_out (
      .clk    (clk),
      .rst    (rst),
      .s_data (read_q),
      .s_valid(read_valid_q),
      .s_ready(out_ready),
      .m_data ({m_last, m_bytes, m_data}),
      .m_valid(out_valid),
      .m_ready(m_ready),
      .level_o(out_level)
  );
  assign m_valid = out_valid;

`ifdef TUPELO_CHECKS
  always @(posedge clk) begin
    if (!rst && s_valid && !s_abort && free_beats_o == '0)
      $fatal(1, "%m overflow: a beat was written to a full FIFO at %0t", $time);
    if (!rst && commit && !len_s_ready) $fatal(1, "%m overflow: no room for the frame's record at %0t", $time);
    if (!rst && read_valid_q && !out_ready) $fatal(1, "%m lost: read-ahead word has no place at %0t", $time);
  end
`endif
  wire unused = &{1'b0, out_ready, len_s_ready, len_level};
endmodule
`default_nettype wire
