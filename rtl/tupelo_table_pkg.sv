// SPDX-License-Identifier: Apache-2.0
// tupelo_table_pkg - what the steering tables hold, and how their parts talk to each other
`default_nettype none
package tupelo_table_pkg;
  import tupelo_pkg::*;

  localparam integer Banks = 2;
  localparam integer Ways = 4;  // slots of a bucket
  localparam integer SlotsPerIndex = Banks * Ways;  // slots that lie under one bucket number
  localparam integer Locals = 8;  // addresses of the interface
  localparam integer HashW = 64;
  localparam integer TableKeyW = 384;

  // The key of the hash after rst: the fraction of pi. Software takes another one if it fears chosen tuples.
  localparam logic [TableKeyW-1:0] TableKeyReset =
      384'h243F6A88_85A308D3_13198A2E_03707344_A4093822_299F31D0_082EFA98_EC4E6C89_452821E6_38D01377_BE5466CF_34E90C6C;

  typedef struct packed {
    logic         any;  // on any local address, local_addr is 0
    logic         ipv6;
    logic [7:0]   proto;
    logic [127:0] local_addr;
    logic [15:0]  local_port;
  } listener_key_t;

  typedef struct packed {
    target_e     target;
    logic [5:0]  pair;
    logic [15:0] id;
    logic [15:0] generation;
  } info_t;

  typedef struct packed {
    logic         valid;
    logic         ipv6;
    logic [127:0] addr;
  } local_addr_t;

  localparam integer FlowKeyW = $bits(tuple_t);
  localparam integer ListenerKeyW = $bits(listener_key_t);
endpackage
`default_nettype wire
