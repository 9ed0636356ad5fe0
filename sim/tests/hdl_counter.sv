// SPDX-License-Identifier: Apache-2.0
// hdl_counter - a small top for the tests of the build runner: counts by STEP when enabled.
`default_nettype none
module hdl_counter #(
    parameter integer STEP = 1,  // added each cycle
    parameter integer COUNT_W = 16  // bits
) (
    input  wire                clk,
    input  wire                rst,
    input  wire  [        1:0] unused_i, enable_i,  // two in a line, on purpose
    output logic [COUNT_W-1:0] count_o
);
  always_ff @(posedge clk) begin
    if (enable_i[0]) count_o <= count_o + COUNT_W'(STEP);
`ifdef TUPELO_CHECKS
    if (count_o == 99) $fatal(1, "%m limit: the counter is at 99");
`endif
    if (rst) count_o <= '0;
  end
  wire unused = &{1'b0, unused_i, enable_i[1]};
endmodule
`default_nettype wire
