// SPDX-License-Identifier: Apache-2.0
// tupelo_rings_pkg - what the blocks of tupelo_rings tell each other
`default_nettype none
package tupelo_rings_pkg;
  import tupelo_pkg::*;

  // An indirect table whose place in its queue's cache is reserved.
  typedef struct packed {
    vq_t         vq;
    ring_pos_t   pos;  // of the ring descriptor
    logic [15:0] id;  // buffer ID of the ring descriptor
    logic [7:0]  slot;  // first place in the cache, modulo 256
    logic [7:0]  entries;  // 1..128
    logic [63:0] addr;
  } table_t;

  // A read of 1..16 descriptors inside one 256-byte line, on its way. Of one of a ring, pos, id and slot do not count.
  typedef struct packed {
    logic        is_table;
    logic        last;  // to the table's end; of a ring: its descriptors are expected to point to tables
    vq_t         vq;
    ring_pos_t   pos;
    logic [15:0] id;
    logic [7:0]  slot;
    logic [4:0]  descs;
    logic [63:0] addr;
  } burst_t;

  // How far a queue's ring has been taken into its cache.
  typedef struct packed {
    ring_pos_t  pos;  // next position
    logic [7:0] seen;  // descriptors of the ring taken, modulo 256
    logic [7:0] slots;  // places of the cache given to them, modulo 256
    logic [2:0] spread;  // places that a descriptor is expected to take: 1 << spread
    logic       tables;  // the last one had a table
    logic [7:0] need;  // places that the next one is known to take, 0 if not known
  } taken_t;
endpackage
`default_nettype wire
