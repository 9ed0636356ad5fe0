// SPDX-License-Identifier: Apache-2.0
// tupelo_l4_csum - verifies a TCP or UDP checksum from the sum of the whole frame
// Guarantees: one frame a cycle, latency 2; neither m_ok nor m_bad where there is nothing to verify.
// Clock/reset: clk; rst synchronous, active high, clears m_valid.
// Contract: s_job is tupelo_parse_l4's; s_tail the packet from byte TailSkip on, valid up to s_job.seen.
// How: the job's sum lacks the link and base header already; here the extension headers, and the bytes behind the
//   datagram (padding), are taken out, in groups of words; what is left must be 0 in ones' complement.
`default_nettype none
module tupelo_l4_csum
  import tupelo_parse_pkg::*;
(
    input  wire                              clk,
    input  wire                              rst,
    input  wire                              s_valid,
    input  wire csum_job_t                   s_job,
    input  wire            [8*TailBytes-1:0] s_tail,
    output logic                             m_valid,
    output logic                             m_ok,
    output logic                             m_bad
);
  localparam integer Words = TailBytes / 2;
  localparam integer Groups = 6;
  localparam integer GroupWords = Words / Groups;
  localparam integer ExtStart = 40;

  logic valid_q, check_q, broken_q;
  logic [15:0] sum_q;
  logic [Groups-1:0][18:0] out_q;  // sums of what is to be taken out

  function automatic logic [18:0] masked(input logic [16*GroupWords-1:0] words, input logic [6:0] first,
                                         input logic [6:0] ext_end, input logic [6:0] pad, input logic [6:0] seen);
    // No cost in simulation while no frame passes:
    /* verilator no_inline_task */
    logic hi_out, lo_out;
    logic [6:0] at;
    masked = '0;
    for (int unsigned w = 0; w < GroupWords; w++) begin
      at = first + 7'(2 * w);
      hi_out = (at >= 7'(ExtStart) && at < ext_end) || (at >= pad && at < seen);
      lo_out = (at >= 7'(ExtStart) && at < ext_end) || (at + 7'd1 >= pad && at + 7'd1 < seen);
      masked += {3'd0, words[16*w+:8] & {8{hi_out}}, words[16*w+8+:8] & {8{lo_out}}};
    end
  endfunction

  wire takes_out = s_job.ext_end > 7'(ExtStart) || s_job.pad < s_job.seen;

  always_ff @(posedge clk) begin
    valid_q <= s_valid && !rst;
    if (s_valid) begin
      check_q  <= s_job.check;
      broken_q <= s_job.broken;
      sum_q    <= s_job.total;
      out_q    <= '0;
      if (s_job.check && takes_out)
        for (int unsigned g = 0; g < Groups; g++)
        out_q[g] <= masked(
            s_tail[16*GroupWords*g+:16*GroupWords],
            7'(TailSkip + 2 * GroupWords * g),
            s_job.ext_end,
            s_job.pad,
            s_job.seen
        );
    end
  end

  function automatic logic zero(input logic [15:0] sum, input logic [Groups-1:0][18:0] out);
    // No cost in simulation while no frame passes:
    /* verilator no_inline_task */
    logic [23:0] taken;
    logic [15:0] left;
    taken = '0;
    for (int unsigned g = 0; g < Groups; g++) taken += {5'd0, out[g]};
    left = fold({8'd0, sum} + {8'd0, ~fold(taken)});
    zero = left == 16'h0000 || left == 16'hFFFF;
  endfunction

  always_ff @(posedge clk) begin
    m_valid <= valid_q && !rst;
    if (valid_q) begin
      m_ok  <= check_q && !broken_q && zero(sum_q, out_q);
      m_bad <= check_q && (broken_q || !zero(sum_q, out_q));
    end
  end
endmodule
`default_nettype wire
