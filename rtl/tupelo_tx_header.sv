// SPDX-License-Identifier: Apache-2.0
// tupelo_tx_header - the headers of a frame that is being segmented, rewritten for each segment
// Guarantees: ready_o four cycles after the last header beat; from the cycle after seg_valid on, hdr_o holds the
//   segment's headers and sum_o what its TCP checksum has besides the payload. IPv4 total length, identification
//   (+1 a segment) and header checksum are made new, likewise IPv6 payload length and TCP sequence number; FIN and
//   PSH stay in the last segment only, CWR in the first. The TCP checksum field itself is left as it was.
// Clock/reset: clk; rst synchronous, active high.
// Contract: l3_offset, l4_offset and payload_offset are 2 modulo 4 and hold with begin_i; l3_offset is 14, 18 or 22,
//   payload_offset <= 128 and l4_offset <= payload_offset - 20. A destination in an IPv6 routing header is ignored.
// How: three passes sum the IPv4 header, the addresses and the TCP header as they came; fields that change are taken
//   out of the sums once (by adding their complement, RFC 1624) and put in again for each segment. RFC 1071, 9293.
`default_nettype none
module tupelo_tx_header
  import tupelo_pkg::*;
  import tupelo_tx_pkg::*;
#(
    parameter integer DATA_W = 512  // bits, 128, 256, 512
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               begin_i,       // the headers of this frame are going to be fetched
    input  wire  tx_verdict_t verdict_i,
    output wire               ready_o,
    // header beats
    input  wire               beat_valid,
    input  wire               beat_last,
    input  wire  [       2:0] beat_idx,
    input  wire  [DATA_W-1:0] beat_data,
    // segments
    input  wire               seg_valid,
    input  wire  tx_job_t     seg_job,
    output wire  [    1023:0] hdr_o,         // byte i in [8i+:8]
    output wire  [      15:0] sum_o          // big-endian words
);
  localparam integer Beats = 1024 / DATA_W;
  localparam logic [7:0] FlagFin = 8'h01;
  localparam logic [7:0] FlagPsh = 8'h08;
  localparam logic [7:0] FlagCwr = 8'h80;

  logic [31:0][31:0] hdr_q;  // word n: bytes 4n.. of the frame
  logic [6:0] l3_q;
  logic [7:0] l4_q, end_q;
  logic ipv6_q, ready_q;
  logic [2:0] pass_q;  // one hot
  logic [15:0] ip_sum_q, addr_sum_q, tcp_sum_q;
  logic [31:0] seq_q;
  logic [15:0] id_q, flags_q, sum_q;

  assign hdr_o   = hdr_q;
  assign ready_o = ready_q;
  assign sum_o   = sum_q;

  // ---- what the headers say
  wire [4:0] l3_word = l3_q[6:2];  // offset 4n + 2
  wire [4:0] l4_word = l4_q[6:2];
  logic [31:0] len_id, ttl_sum, ports_seq, seq_ack, offset_flags, sum_urgent;
  always_comb begin
    {len_id, ttl_sum, ports_seq, seq_ack, offset_flags, sum_urgent} = '0;
    if (pass_q != '0) begin
      len_id       = hdr_q[l3_word+5'd1];  // total length, identification
      ttl_sum      = hdr_q[l3_word+5'd3];  // header checksum, first half of the source
      ports_seq    = hdr_q[l4_word+5'd1];  // destination port, first half of the sequence number
      seq_ack      = hdr_q[l4_word+5'd2];
      offset_flags = hdr_q[l4_word+5'd3];  // half of the acknowledgement, data offset, flags
      sum_urgent   = hdr_q[l4_word+5'd4];  // window, checksum
    end
  end

  // ---- sum of the words from `from` to before `to`
  logic [5:0] from;
  logic [6:0] to;
  logic [21:0] total;
  always_comb begin
    from  = '0;
    to    = '0;
    total = '0;
    if (pass_q != '0) begin
      if (pass_q[0]) begin
        from = l3_q[6:1];
        to   = l4_q[7:1];
      end else if (pass_q[1]) begin
        from = l3_q[6:1] + (ipv6_q ? 6'd4 : 6'd6);
        to   = 7'(l3_q[6:1]) + (ipv6_q ? 7'd20 : 7'd10);
      end else begin
        from = l4_q[6:1];
        to   = end_q[7:1];
      end
      for (int n = 0; n < 64; n++) begin
        if (6'(n) >= from && 7'(n) < to) total = total + 22'(swap16(hdr_q[n/2][16*(n%2)+:16]));
      end
    end
  end

  // ---- a segment's fields
  wire [15:0] l3_bytes = 16'(seg_job.bytes) - 16'(l3_q);
  wire [15:0] id = id_q + seg_job.number;
  wire [31:0] seq = seq_q + 32'(seg_job.shift);
  wire [7:0] keep = ~(seg_job.last_seg ? 8'h00 : FlagFin | FlagPsh) & ~(seg_job.first_seg ? 8'h00 : FlagCwr);
  wire [15:0] flags = flags_q & {8'hff, keep};
  wire [15:0] l4_bytes = 16'(seg_job.bytes) - 16'(l4_q);
  wire [15:0] ip_sum = ~fold32(32'(ip_sum_q) + 32'(l3_bytes) + 32'(id));
  wire [31:0] tcp_sum = 32'(tcp_sum_q) + 32'(addr_sum_q) + 32'(l4_bytes) +
                        32'(seq[31:16]) + 32'(seq[15:0]) + 32'(flags);

  always_ff @(posedge clk) begin
    if (begin_i) begin
      l3_q   <= verdict_i.l3_offset;
      l4_q   <= verdict_i.l4_offset;
      end_q  <= verdict_i.payload_offset;
      ipv6_q <= verdict_i.ipv6;
      ready_q <= 1'b0;
    end
    if (beat_valid) begin
      for (int n = 0; n < Beats; n++) begin
        if (beat_idx == 3'(n)) hdr_q[n*(DATA_W/32)+:DATA_W/32] <= beat_data;
      end
    end
    pass_q <= {pass_q[1:0], beat_valid && beat_last};
    if (pass_q[0]) begin
      seq_q   <= {swap16(ports_seq[31:16]), swap16(seq_ack[15:0])};
      flags_q <= swap16(offset_flags[31:16]);
      id_q    <= swap16(len_id[31:16]);
      ip_sum_q <= fold32(
          32'(total) + {16'd0, ~swap16(len_id[15:0])} + {16'd0, ~swap16(len_id[31:16])} +
          {16'd0, ~swap16(ttl_sum[15:0])}
      );
    end
    if (pass_q[1]) addr_sum_q <= fold32(32'(total) + 32'd6);  // and the protocol
    if (pass_q[2]) begin
      tcp_sum_q <= fold32(
          32'(total) + {16'd0, ~seq_q[31:16]} + {16'd0, ~seq_q[15:0]} + {16'd0, ~flags_q} +
          {16'd0, ~swap16(sum_urgent[31:16])}
      );
      ready_q <= 1'b1;
    end
    if (seg_valid) begin
      if (ipv6_q) begin
        hdr_q[l3_word+5'd1][31:16] <= swap16(l3_bytes - 16'd40);
      end else begin
        hdr_q[l3_word+5'd1] <= {swap16(id), swap16(l3_bytes)};
        hdr_q[l3_word+5'd3][15:0] <= swap16(ip_sum);
      end
      hdr_q[l4_word+5'd1][31:16] <= swap16(seq[31:16]);
      hdr_q[l4_word+5'd2][15:0]  <= swap16(seq[15:0]);
      hdr_q[l4_word+5'd3][31:24] <= flags[7:0];
      sum_q <= fold32(tcp_sum);
    end
    if (rst) begin
      ready_q <= 1'b0;
      pass_q  <= '0;
    end
  end
  wire unused = &{1'b0, verdict_i, seg_job, len_id, ttl_sum, ports_seq, seq_ack, offset_flags, sum_urgent,
                  l3_q[0], l4_q[0], end_q[0]};
endmodule
`default_nettype wire
