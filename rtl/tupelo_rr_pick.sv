// SPDX-License-Identifier: Apache-2.0
// tupelo_rr_pick - the next requester after the last one served, round robin
// Guarantees: combinational; idx_o is the lowest request above last_i, else the lowest of all; 0 without requests.
// Contract: the caller keeps last_i and sets it to idx_o when it serves the request.
`default_nettype none
module tupelo_rr_pick #(
    parameter integer N = 2,  // requesters, >= 2
    localparam integer IdxW = $clog2(N)
) (
    input  wire  [   N-1:0] req_i,
    input  wire  [IdxW-1:0] last_i,
    output logic            valid_o,
    output logic [IdxW-1:0] idx_o
);
  wire [N-1:0] above = {N{1'b1}} << last_i << 1;
  logic [N-1:0] from;

  always_comb begin
    valid_o = |req_i;
    idx_o   = '0;
    from    = req_i & above;
    if (from == '0) from = req_i;
    if (valid_o) begin
      for (int i = N - 1; i >= 0; i--) if (from[i]) idx_o = IdxW'(i);
    end
  end
endmodule
`default_nettype wire
