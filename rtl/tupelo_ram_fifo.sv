// SPDX-License-Identifier: Apache-2.0
// tupelo_ram_fifo - deep FIFO whose memory can be a synchronous block RAM
// Guarantees: one word in and one out a cycle, in order; latency 1 cycle while it is as good as empty, 3 at most.
// Clock/reset: clk; rst synchronous, active high, empties it.
// Contract: the writer knows that there is room, DEPTH words at least: there is no back-pressure.
`default_nettype none
module tupelo_ram_fifo #(
    parameter integer WIDTH = 64,   // bits
    parameter integer DEPTH = 256,  // words, a power of two
    localparam integer AddrW = $clog2(DEPTH)
) (
    input  wire              clk,
    input  wire              rst,
    input  wire  [WIDTH-1:0] s_data,
    input  wire              s_valid,
    output wire  [WIDTH-1:0] m_data,
    output wire              m_valid,
    input  wire              m_ready
);
  logic [WIDTH-1:0] mem[DEPTH];
  logic [AddrW:0] wr_q, rd_q;
  logic [WIDTH-1:0] read_q;
  logic read_valid_q;

  wire out_ready;
  wire [2:0] out_level;
  wire empty = wr_q == rd_q;
  wire pass = s_valid && empty && !read_valid_q && out_ready;  // past the memory
  wire do_read = !empty && ({1'b0, out_level} + {3'b000, read_valid_q} < 4'd4);

  always_ff @(posedge clk) begin
    if (s_valid && !pass) begin
      mem[wr_q[AddrW-1:0]] <= s_data;
      wr_q <= wr_q + 1'b1;
    end
    if (do_read) begin
      read_q <= mem[rd_q[AddrW-1:0]];
      rd_q   <= rd_q + 1'b1;
    end
    read_valid_q <= do_read;
    if (rst) begin
      wr_q         <= '0;
      rd_q         <= '0;
      read_valid_q <= 1'b0;
    end
  end

  tupelo_fifo #(
      .WIDTH(WIDTH),
      .DEPTH(4)
  ) u_out (
      .clk    (clk),
      .rst    (rst),
      .s_data (read_valid_q ? read_q : s_data),
      .s_valid(read_valid_q || pass),
      .s_ready(out_ready),
      .m_data (m_data),
      .m_valid(m_valid),
      .m_ready(m_ready),
      .level_o(out_level)
  );

`ifdef TUPELO_CHECKS
  always @(posedge clk) begin
    if (!rst && s_valid && !pass && (AddrW + 1)'(wr_q - rd_q) == (AddrW + 1)'(DEPTH))
      $fatal(1, "%m overflow: a word was written to a full FIFO at %0t", $time);
    if (!rst && read_valid_q && !out_ready) $fatal(1, "%m lost: read-ahead word has no place at %0t", $time);
  end
`endif
endmodule
`default_nettype wire
