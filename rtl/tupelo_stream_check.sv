// SPDX-License-Identifier: Apache-2.0
// tupelo_stream_check - rules of a valid/ready stream, checked in simulation
// Guarantees: stops the simulation ($fatal, rule name "hold") if valid falls or the payload changes before ready.
// Clock/reset: clk; nothing is checked while rst is high. Instantiate under TUPELO_CHECKS only.
`default_nettype none
module tupelo_stream_check #(
    parameter integer WIDTH = 1  // bits of payload, >= 1
) (
    input wire             clk,
    input wire             rst,
    input wire [WIDTH-1:0] payload,
    input wire             valid,
    input wire             ready
);
  logic stalled_q;
  logic [WIDTH-1:0] seen_q;
  always @(posedge clk) begin
    stalled_q <= valid && !ready && !rst;
    if (valid && !ready) seen_q <= payload;
    if (!rst && stalled_q === 1'b1 && (!valid || payload !== seen_q))
      $fatal(1, "%m hold: valid or payload changed during a stall at %0t", $time);
  end
endmodule
`default_nettype wire
