// SPDX-License-Identifier: Apache-2.0
// tupelo_axil_pkg - register bus inside the BAR, and the write of a register through byte strobes
// One access at a time: wr_p and rd_p are one-cycle pulses, never together; the answer to rd_p is sampled
// in the next cycle as the OR of all blocks, so a block that is not addressed answers 0.
`default_nettype none
package tupelo_axil_pkg;
  typedef struct packed {
    logic        wr_p;
    logic [17:0] wr_addr;
    logic [31:0] wr_data;
    logic [3:0]  wr_strb;
    logic        rd_p;
    logic [17:0] rd_addr;
  } axil_bus_t;

  // Register value after a write of data under byte strobes.
  function automatic logic [31:0] merge(input logic [31:0] old, input logic [31:0] data,
                                        input logic [3:0] strb);
    for (int unsigned b = 0; b < 4; b++) merge[8*b+:8] = strb[b] ? data[8*b+:8] : old[8*b+:8];
  endfunction
endpackage
`default_nettype wire
