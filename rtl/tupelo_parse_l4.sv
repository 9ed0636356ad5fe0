// SPDX-License-Identifier: Apache-2.0
// tupelo_parse_l4 - last stage of tupelo_parse: the TCP, UDP or ICMP header, and what its checksum covers
// Guarantees: one frame a cycle, latency 1.
// Clock/reset: clk; rst synchronous, active high, clears m_valid.
// Contract: as tupelo_parse_ext's outputs.
// Spec: RFC 9293 section 3.1, RFC 768 (a datagram may end before the packet does; in a fragment it may go on behind
//   it), RFC 792 and RFC 4443 section 2.1, 3, 4 (no message of theirs is shorter than 8 bytes).
`default_nettype none
module tupelo_parse_l4
  import tupelo_pkg::*;
  import tupelo_parse_pkg::*;
#(
    parameter bit CSUM = 1'b1
) (
    input  wire                                clk,
    input  wire                                rst,
    input  wire                                s_valid,
    input  wire              [8*TailBytes-1:0] s_tail,
    input  wire parse_step_t                   s_step,
    output logic                               m_valid,
    output parsed_t                            m_parsed,
    output logic             [8*TailBytes-1:0] m_tail,    // for the checksum
    output csum_job_t                          m_csum
);
  typedef struct packed {
    csum_job_t csum;
    parsed_t   parsed;
  } step_t;

  step_t step_q;
  assign m_parsed = step_q.parsed;
  assign m_csum   = step_q.csum;

  // verilator lint_off UNUSEDSIGNAL  // takes the whole header, looks at a part
  function automatic step_t tcp(input step_t at, input logic [159:0] head, input logic [15:0] left,
                                input logic [6:0] ahead);
    logic [5:0] len;
    tcp = at;
    len = {head[103:100], 2'b00};
    if (left < 16'd20) tcp.parsed.malformed = 1'b1;
    else if (ahead >= 7'd20) begin
      tcp.parsed.malformed = len < 6'd20 || {10'd0, len} > left;
      tcp.parsed.tcp = !tcp.parsed.malformed;
      tcp.parsed.tcp_flags = {head[96], head[111:104]};
      tcp.parsed.payload_offset = at.parsed.l4_offset + {2'd0, len};
    end
  endfunction

  function automatic step_t udp(input step_t at, input logic [63:0] head, input logic [15:0] left,
                                input logic [6:0] ahead);
    logic [15:0] len;
    udp = at;
    len = be16(head[47:32]);
    if (left < 16'd8) udp.parsed.malformed = 1'b1;
    else if (ahead >= 7'd8) begin
      udp.parsed.malformed = len < 16'd8 || (!at.parsed.fragment && len > left);
      udp.parsed.udp = !udp.parsed.malformed;
      udp.parsed.payload_offset = at.parsed.l4_offset + 8'd8;
      udp.csum.check = head[63:48] != '0 || at.parsed.ipv6;  // RFC 768: none. RFC 8200 section 8.1: must be there
      udp.csum.broken = head[63:48] == '0;
    end
  endfunction
  // verilator lint_on UNUSEDSIGNAL

  // Words from the header on; nothing beyond the tail.
  function automatic logic [159:0] header(input logic [8*TailBytes-1:0] tail, input logic [4:0] word);
    logic [8*TailBytes+127:0] padded;
    padded = {128'd0, tail};
    header = word < 5'(TailWords) ? padded[32*word+:160] : '0;
  endfunction

  // verilator lint_off UNUSEDSIGNAL  // takes the whole structs, looks at a part
  function automatic csum_job_t covers(input csum_job_t job, input parsed_t parsed, input walk_t walk,
                                       input logic [15:0] len);
    logic [15:0] stop_bytes;
    covers = job;
    stop_bytes = {9'd0, walk.off, 2'b00} + len;
    covers.check = job.check && walk.check && (parsed.tcp || parsed.udp) && !parsed.fragment;
    covers.broken = (parsed.udp && job.broken) || !parsed.ip_csum_ok;
    covers.total = fold({8'd0, walk.total} + {16'd0, parsed.proto} + {8'd0, len});
    covers.ext_end = parsed.ipv6 ? {walk.off, 2'b00} : 7'd0;
    covers.seen = walk.seen;
    covers.pad = 7'(PacketWindow);
    if (stop_bytes < {2'b00, walk.rest}) begin  // the frame goes on behind the datagram
      covers.pad = stop_bytes[6:0];
      if (walk.rest > {7'd0, walk.seen}) covers.check = 1'b0;  // and so far that it cannot be told from data
    end
  endfunction
  // verilator lint_on UNUSEDSIGNAL

  function automatic step_t transport(input parsed_t parsed, input walk_t walk, input logic [8*TailBytes-1:0] tail);
    // No cost in simulation while no frame passes:
    /* verilator no_inline_task */
    logic [159:0] head;
    logic [15:0] left, len;
    logic [6:0] ahead;
    transport = '{parsed: parsed, csum: '0};
    transport.csum.check = 1'b1;
    left = parsed.l3_bytes - {9'd0, walk.off, 2'b00};
    ahead = walk.seen - {walk.off, 2'b00};
    transport.parsed.l4_offset = {1'b0, parsed.l3_offset} + {1'b0, walk.off, 2'b00};
    if (!walk.stop) begin
      head = header(tail, walk.off - 5'(TailSkip / 4));
      case (parsed.proto)
        ProtoTcp: transport = tcp(transport, head, left, ahead);
        ProtoUdp: transport = udp(transport, head[63:0], left, ahead);
        ProtoIcmp, ProtoIcmpv6:
        if ((parsed.proto == ProtoIcmpv6) == parsed.ipv6) begin
          transport.parsed.malformed = left < 16'd8;
          transport.parsed.icmp = left >= 16'd8 && ahead >= 7'd8;
        end
        default:  ;
      endcase
      if (transport.parsed.tcp || transport.parsed.udp) begin
        transport.parsed.sport = be16(head[15:0]);
        transport.parsed.dport = be16(head[31:16]);
      end
      len = transport.parsed.udp ? be16(head[47:32]) : left;
      transport.csum = covers(transport.csum, transport.parsed, walk, len);
    end else transport.csum = '0;
  endfunction

  always_ff @(posedge clk) begin
    m_valid <= s_valid && !rst;
    if (s_valid) begin
      step_q <= transport(s_step.parsed, s_step.walk, s_tail);
      if (CSUM && s_step.walk.check) m_tail <= s_tail;
    end
  end
endmodule
`default_nettype wire
