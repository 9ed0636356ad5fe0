// SPDX-License-Identifier: Apache-2.0
// tupelo_csum_sum - the checksum of a frame that passes beat by beat
// Guarantees: one beat a cycle; note_valid two cycles after a frame's last beat, one for each frame, in order.
//   The sum runs from byte sum_start of the frame, which may be odd, to its end, on top of `init` (RFC 1071); what is
//   written is its complement.
// Clock/reset: clk; rst synchronous, active high. A frame that does not end is forgotten with the next first beat.
// Contract: bytes of a beat behind the frame's end are 0. init: big-endian words. `idx` numbers the frame's beats.
// How: words are added as they lie, with the octets of each swapped; that swaps the octets of the sum, and so does
//   a start at an odd byte.
`default_nettype none
module tupelo_csum_sum
  import tupelo_pkg::*;
  import tupelo_tx_pkg::*;
#(
    parameter integer DATA_W = 512  // bits, 128, 256, 512
) (
    input  wire                clk,
    input  wire                rst,
    input  wire                s_valid,
    input  wire                s_first,
    input  wire                s_last,
    input  wire  [        9:0] s_idx,
    input  wire  [ DATA_W-1:0] s_data,
    input  wire                s_sum,       // the frame gets a checksum
    input  wire  [       13:0] s_start,
    input  wire  [       13:0] s_pos,       // where it goes
    input  wire  [       15:0] s_init,
    input  wire                s_no_zero,   // write 0xffff for 0
    output wire                note_valid,
    output wire  egress_note_t note_o
);
  localparam integer StrbW = DATA_W / 8;
  localparam integer PosW = $clog2(StrbW);
  localparam integer Lanes = DATA_W / 128;

  // ---- words of this beat, in four-word groups
  wire [9:0] start_idx = 10'(s_start >> PosW);
  logic [DATA_W-1:0] data;
  logic [Lanes-1:0][33:0] part;
  always_comb begin
    data = s_data;
    part = '0;
    if (s_valid && s_sum && s_idx >= start_idx) begin
      if (s_idx == start_idx) data = s_data & ({DATA_W{1'b1}} << {s_start[PosW-1:0], 3'b000});
      for (int n = 0; n < Lanes; n++) begin
        part[n] = (34'(data[128*n+:32]) + 34'(data[128*n+32+:32])) +
                  (34'(data[128*n+64+:32]) + 34'(data[128*n+96+:32]));
      end
    end
  end

  // ---- a cycle later
  logic v1_q, first1_q, last1_q, sum1_q, no_zero1_q, odd1_q;
  logic [13:0] pos1_q;
  logic [15:0] init1_q;
  logic [Lanes-1:0][33:0] part1_q;
  logic [47:0] acc_q, acc;
  always_comb begin
    acc = '0;
    if (v1_q && sum1_q) begin
      acc = first1_q ? 48'(odd1_q ? init1_q : swap16(init1_q)) : acc_q;
      for (int n = 0; n < Lanes; n++) acc = acc + 48'(part1_q[n]);
    end
  end

  // ---- and another
  logic last2_q, sum2_q, no_zero2_q, odd2_q;
  logic [13:0] pos2_q;
  wire [17:0] folded = 18'(acc_q[15:0]) + 18'(acc_q[31:16]) + 18'(acc_q[47:32]);
  wire [15:0] sum = ~fold32(32'(folded));
  wire [15:0] turned = odd2_q ? sum : swap16(sum);

  assign note_valid = last2_q;
  assign note_o     = '{insert: sum2_q, pos: pos2_q, value: turned == '0 && no_zero2_q ? 16'hffff : turned};

  always_ff @(posedge clk) begin
    v1_q <= s_valid;
    if (s_valid) begin
      first1_q   <= s_first;
      last1_q    <= s_last;
      sum1_q     <= s_sum;
      no_zero1_q <= s_no_zero;
      odd1_q     <= s_start[0];
      pos1_q     <= s_pos;
      init1_q    <= s_init;
      if (s_sum) part1_q <= part;
    end
    last2_q <= v1_q && last1_q;
    if (v1_q) begin
      acc_q      <= acc;
      sum2_q     <= sum1_q;
      no_zero2_q <= no_zero1_q;
      pos2_q     <= pos1_q;
      odd2_q     <= odd1_q;
    end
    if (rst) begin
      v1_q    <= 1'b0;
      last2_q <= 1'b0;
    end
  end
endmodule
`default_nettype wire
