// SPDX-License-Identifier: Apache-2.0
// tupelo_bar_stat - 32-bit read port of the 64-bit statistics counters
// Guarantees: reading a counter's low word latches its high word, which every high word then reads, so low and
//   high are of one moment. An index that does not exist reads 0.
// Clock/reset: clk; rst synchronous, active high.
// Contract: stat_data_i is valid in the cycle after stat_rd_o; no other access comes between.
// Spec: docs/registers.md, block `stat`. Limits: one latch for all counters, so read low, then high.
`default_nettype none
module tupelo_bar_stat
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES = 16  // virtqueues, 2..128
) (
    input  wire                               clk,
    input  wire                               rst,
    input  tupelo_axil_pkg::axil_bus_t        bus_i,
    output wire                        [31:0] rd_data_o,
    output wire                               stat_rd_o,
    output wire                        [11:0] stat_idx_o,
    input  wire                        [63:0] stat_data_i
);
  localparam integer Counters = STAT_QUEUE_BASE + STAT_QUEUE_STEP * QUEUES;

  logic low_q, high_q;
  logic [31:0] high_word_q;

  wire hit = bus_i.rd_p && bus_i.rd_addr[17:15] == BASE_STAT[17:15];
  wire exists = bus_i.rd_addr[14:3] < 12'(Counters);

  assign stat_rd_o  = hit && exists && !bus_i.rd_addr[2];
  assign stat_idx_o = bus_i.rd_addr[14:3];
  assign rd_data_o  = low_q ? stat_data_i[31:0] : high_q ? high_word_q : '0;

  always_ff @(posedge clk) begin
    low_q  <= stat_rd_o;
    high_q <= hit && exists && bus_i.rd_addr[2];
    if (low_q) high_word_q <= stat_data_i[63:32];
    if (rst) begin
      {low_q, high_q} <= 2'b00;
      high_word_q <= '0;
    end
  end

  wire unused = &{1'b0, bus_i.wr_p, bus_i.wr_addr, bus_i.wr_data, bus_i.wr_strb, bus_i.rd_addr[1:0]};
endmodule
`default_nettype wire
