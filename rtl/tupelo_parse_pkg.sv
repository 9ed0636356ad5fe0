// SPDX-License-Identifier: Apache-2.0
// tupelo_parse_pkg - numbers, byte order and the state handed from stage to stage inside tupelo_parse
`default_nettype none
package tupelo_parse_pkg;
  import tupelo_pkg::parsed_t;

  localparam integer PacketWindow = 114;  // bytes of the window behind the shortest Ethernet header
  localparam integer TailSkip = 20;  // of those, bytes that no stage behind tupelo_parse_l3 looks at
  localparam integer TailBytes = 96;  // the rest, in whole words
  localparam integer TailWords = TailBytes / 4;

  localparam logic [15:0] EtherIpv4 = 16'h0800;
  localparam logic [15:0] EtherIpv6 = 16'h86DD;
  localparam logic [15:0] TpidCustomer = 16'h8100;  // IEEE 802.1Q
  localparam logic [15:0] TpidService = 16'h88A8;

  // IANA protocol numbers.
  localparam logic [7:0] ProtoHopByHop = 8'd0;
  localparam logic [7:0] ProtoIcmp = 8'd1;
  localparam logic [7:0] ProtoTcp = 8'd6;
  localparam logic [7:0] ProtoUdp = 8'd17;
  localparam logic [7:0] ProtoRouting = 8'd43;
  localparam logic [7:0] ProtoFragment = 8'd44;
  localparam logic [7:0] ProtoAuth = 8'd51;
  localparam logic [7:0] ProtoIcmpv6 = 8'd58;
  localparam logic [7:0] ProtoDestination = 8'd60;

  // Where the walk through a packet's headers is. Offsets from the IP header's start.
  typedef struct packed {
    logic        stop;   // what follows is not a header, or not in the window
    logic [4:0]  off;    // of the header that parsed.proto names, in units of 4 bytes
    logic [6:0]  seen;   // bytes of the packet that are in the window, 0..PacketWindow
    logic [13:0] rest;   // bytes of the frame from here on, as far as known
    logic        check;  // the frame's sum is known
    logic [15:0] total;  // it, less what does not belong to the L4 checksum, and with what does
  } walk_t;

  // A frame between two stages. `parsed` lies at the bottom, where a simulator finds it without shifting.
  typedef struct packed {
    walk_t   walk;
    parsed_t parsed;
  } parse_step_t;

  // What the L4 checksum needs once the headers are known.
  typedef struct packed {
    logic        check;    // there is something to verify
    logic        broken;   // wrong, whatever the sum
    logic [15:0] total;    // of the frame less link and IP base header, plus the pseudo header
    logic [6:0]  ext_end;  // extension headers end here (IPv6; nothing in front of 40)
    logic [6:0]  pad;      // bytes that do not belong to the datagram begin here, or PacketWindow: none
    logic [6:0]  seen;
  } csum_job_t;

  function automatic logic [15:0] be16(input logic [15:0] raw);
    be16 = {raw[7:0], raw[15:8]};
  endfunction

  function automatic logic [31:0] be32(input logic [31:0] raw);
    be32 = {raw[7:0], raw[15:8], raw[23:16], raw[31:24]};
  endfunction

  function automatic logic [127:0] be128(input logic [127:0] raw);
    be128 = {be32(raw[31:0]), be32(raw[63:32]), be32(raw[95:64]), be32(raw[127:96])};
  endfunction

  // Ones'-complement sum of the two halves; zero may come out as 0x0000 or 0xFFFF.
  function automatic logic [15:0] fold(input logic [23:0] sum);
    logic [16:0] once;
    once = {1'b0, sum[15:0]} + {9'd0, sum[23:16]};
    fold = once[15:0] + {15'd0, once[16]};
  endfunction

  // Is this the number of an IPv6 extension header that the walk knows (RFC 8200 section 4, RFC 4302)?
  function automatic logic is_extension(input logic [7:0] proto);
    is_extension = proto == ProtoHopByHop || proto == ProtoRouting || proto == ProtoFragment || proto == ProtoAuth ||
        proto == ProtoDestination;
  endfunction
endpackage
`default_nettype wire
