// SPDX-License-Identifier: Apache-2.0
// tupelo_tx_header - the headers of a frame that is being segmented, rewritten for each segment
// Guarantees: ready_o at most six cycles after the last header beat, four if the headers have 62 bytes or less; from the cycle after seg_valid on, hdr_o holds the
//   segment's headers and sum_o what its TCP checksum has besides the payload. IPv4 total length, identification
//   (+1 a segment) and header checksum are made new, likewise IPv6 payload length and TCP sequence number; FIN and
//   PSH stay in the last segment only, CWR in the first. The TCP checksum field itself is left as it was.
// Clock/reset: clk; rst synchronous, active high.
// Contract: l3_offset, l4_offset and payload_offset are 2 modulo 4 and hold with begin_i; l3_offset is 14, 18 or 22,
//   payload_offset <= 128 and l4_offset <= payload_offset - 20. A destination in an IPv6 routing header is ignored.
// How: the IPv4 header, the addresses and the TCP header are summed in one walk, 32 bytes a cycle, without the fields
//   that change; these are added for each segment. RFC 1071, 9293.
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
  localparam integer PartBytes = 32;  // summed in one cycle
  localparam integer PartWords = PartBytes / 4;
  localparam logic [7:0] FlagFin = 8'h01;
  localparam logic [7:0] FlagPsh = 8'h08;
  localparam logic [7:0] FlagCwr = 8'h80;

  logic [1023:0] hdr_q;
  logic [6:0] l3_q;
  logic [7:0] l4_q, end_q;
  logic ipv6_q, ready_q;
  logic [20:0] ip_sum_q, addr_sum_q, tcp_sum_q;
  logic [31:0] seq_q;
  logic [15:0] flags_q, sum_q;

  assign hdr_o   = hdr_q;
  assign ready_o = ready_q;
  assign sum_o   = sum_q;

  // ---- the headers go past, part by part: part n is bytes 32n - 2 to 32n + 29
  logic walk_q, part_valid_q, part_last_q;
  logic [1:0] walk_idx_q, part_idx_q;
  logic [PartWords-1:0][31:0] part_q;
  wire [1:0] last_part = 2'((end_q + 8'd1) >> $clog2(PartBytes));

  // ---- what of this part counts. Word n holds bytes 4n - 2 to 4n + 1, so every header begins with a word.
  wire [5:0] l3_word = 6'(l3_q[6:2]) + 6'd1;
  wire [5:0] l4_word = 6'(l4_q[7:2]) + 6'd1;
  wire [5:0] end_word = 6'(end_q[7:2]) + 6'd1;
  wire [5:0] addr_word = l3_word + (ipv6_q ? 6'd2 : 6'd3);
  wire [5:0] addr_end = l3_word + (ipv6_q ? 6'd10 : 6'd5);
  logic [5:0] word;
  logic ip, addr, tcp, ip_high, ip_low, tcp_high, tcp_low;
  logic [20:0] ip_part, addr_part, tcp_part;
  logic [31:0] seq_part;
  logic [15:0] flags_part;
  always_comb begin
    word = '0;
    {ip, addr, tcp, ip_high, ip_low, tcp_high, tcp_low} = '0;
    {ip_part, addr_part, tcp_part} = '0;
    seq_part   = '0;
    flags_part = '0;
    if (part_valid_q) begin
      for (int n = 0; n < PartWords; n++) begin
        word = {1'b0, part_idx_q, 3'(n)};
        ip   = word >= l3_word && word < l4_word;
        addr = word >= addr_word && word < addr_end;
        tcp  = word >= l4_word && word < end_word;
        // without what is made new: length, identification, checksum; sequence number, flags, checksum
        ip_high  = ip && word != l3_word && word != l3_word + 6'd2;
        ip_low   = ip && word != l3_word + 6'd1;
        tcp_high = tcp && word != l4_word + 6'd1;
        tcp_low  = tcp_high && word != l4_word + 6'd3 && word != l4_word + 6'd4;
        ip_part += 21'(swap16(part_q[n][15:0]) & {16{ip_low}}) + 21'(swap16(part_q[n][31:16]) & {16{ip_high}});
        addr_part += 21'(swap16(part_q[n][15:0]) & {16{addr}}) + 21'(swap16(part_q[n][31:16]) & {16{addr}});
        tcp_part += 21'(swap16(part_q[n][15:0]) & {16{tcp_low}}) + 21'(swap16(part_q[n][31:16]) & {16{tcp_high}});
        seq_part |= {swap16(part_q[n][15:0]), swap16(part_q[n][31:16])} & {32{tcp && !tcp_high}};
        flags_part |= swap16(part_q[n][15:0]) & {16{word == l4_word + 6'd3}};
      end
    end
  end

  // ---- a segment's fields
  wire [15:0] id_raw = hdr_q[8*18+:16] & {16{l3_q[3:2] == 2'd3}} | hdr_q[8*22+:16] & {16{l3_q[3:2] == 2'd0}} |
                       hdr_q[8*26+:16] & {16{l3_q[3:2] == 2'd1}};
  logic [15:0] id_q;
  wire [15:0] l3_bytes = 16'(seg_job.bytes) - 16'(l3_q);
  wire [15:0] id = id_q + seg_job.number;
  wire [31:0] seq = seq_q + 32'(seg_job.shift);
  wire [7:0] keep = ~(seg_job.last_seg ? 8'h00 : FlagFin | FlagPsh) & ~(seg_job.first_seg ? 8'h00 : FlagCwr);
  wire [15:0] flags = flags_q & {8'hff, keep};
  wire [15:0] l4_bytes = 16'(seg_job.bytes) - 16'(l4_q);
  wire [15:0] ip_sum = ~fold32(32'(ip_sum_q) + 32'(l3_bytes) + 32'(id));
  wire [31:0] tcp_sum = 32'(tcp_sum_q) + 32'(addr_sum_q) + 32'(l4_bytes) +
                        32'(seq[31:16]) + 32'(seq[15:0]) + 32'(flags) + 32'd6;  // and the protocol

  always_ff @(posedge clk) begin
    if (begin_i) begin
      l3_q    <= verdict_i.l3_offset;
      l4_q    <= verdict_i.l4_offset;
      end_q   <= verdict_i.payload_offset;
      ipv6_q  <= verdict_i.ipv6;
      ready_q <= 1'b0;
    end
    if (beat_valid) begin
      for (int n = 0; n < Beats; n++) if (beat_idx == 3'(n)) hdr_q[n*DATA_W+:DATA_W] <= beat_data;
    end
    if (beat_valid && beat_last) begin
      walk_q     <= 1'b1;
      walk_idx_q <= '0;
    end else if (walk_q) begin
      walk_q     <= walk_idx_q != last_part;
      walk_idx_q <= walk_idx_q + 1'b1;
    end
    part_valid_q <= walk_q;
    if (walk_q) begin
      for (int n = 0; n < 4; n++)
      if (walk_idx_q == 2'(n)) part_q <= n == 0 ? {hdr_q[239:0], 16'd0} : hdr_q[8*PartBytes*n-16+:8*PartBytes];
      part_idx_q  <= walk_idx_q;
      part_last_q <= walk_idx_q == last_part;
    end
    if (part_valid_q) begin
      ip_sum_q   <= (part_idx_q == '0 ? '0 : ip_sum_q) + ip_part;
      addr_sum_q <= (part_idx_q == '0 ? '0 : addr_sum_q) + addr_part;
      tcp_sum_q  <= (part_idx_q == '0 ? '0 : tcp_sum_q) + tcp_part;
      seq_q      <= (part_idx_q == '0 ? '0 : seq_q) | seq_part;
      flags_q    <= (part_idx_q == '0 ? '0 : flags_q) | flags_part;
      id_q       <= swap16(id_raw);
      ready_q    <= part_last_q;
    end
    if (seg_valid) begin
      for (int n = 4; n < 9; n++) begin
        if (!ipv6_q) begin
          if (l3_word == 6'(n)) hdr_q[32*n+:16] <= swap16(l3_bytes);
          if (l3_word + 6'd1 == 6'(n)) hdr_q[32*n-16+:16] <= swap16(id);
          if (l3_word + 6'd2 == 6'(n)) hdr_q[32*n+:16] <= swap16(ip_sum);
        end else if (l3_word + 6'd1 == 6'(n)) hdr_q[32*n-16+:16] <= swap16(l3_bytes - 16'd40);
      end
      for (int n = 9; n < 31; n++) begin
        if (l4_word + 6'd1 == 6'(n)) hdr_q[32*n-16+:32] <= {swap16(seq[15:0]), swap16(seq[31:16])};
        if (l4_word + 6'd3 == 6'(n)) hdr_q[32*n-8+:8] <= flags[7:0];
      end
      sum_q <= fold32(tcp_sum);
    end
    if (rst) begin
      ready_q      <= 1'b0;
      walk_q       <= 1'b0;
      part_valid_q <= 1'b0;
    end
  end
  wire unused = &{1'b0, verdict_i, seg_job, l4_q[1:0], l3_q[1:0], end_q[1:0]};
endmodule
`default_nettype wire
