// SPDX-License-Identifier: Apache-2.0
// tupelo_table_match - finds the key among the slots that a table read for it
// Guarantees: one look-up a cycle; m_match and m_info come in the cycle behind s_valid and stay. If several slots hold
//   the key (an entry on its way to another slot), the lowest counts.
// Clock/reset: clk; no state but the pipeline.
`default_nettype none
module tupelo_table_match
  import tupelo_table_pkg::*;
#(
    parameter integer KEY_W = 297,  // bits
    localparam integer EntryW = 1 + KEY_W + $bits(info_t)
) (
    input  wire                                 clk,
    input  wire                                 s_valid,
    input  wire  [    KEY_W-1:0]                s_key,
    input  wire  [SlotsPerIndex-1:0][EntryW-1:0] s_entries,
    output wire                                 m_match,
    output info_t                               m_info
);
  localparam integer InfoW = $bits(info_t);

  logic [SlotsPerIndex-1:0] hit_q;
  logic [SlotsPerIndex-1:0][InfoW-1:0] info_q;

  always_ff @(posedge clk) begin
    if (s_valid) begin
      for (int unsigned s = 0; s < SlotsPerIndex; s++) begin
        hit_q[s]  <= s_entries[s][EntryW-1:InfoW] == {1'b1, s_key};
        info_q[s] <= s_entries[s][InfoW-1:0];
      end
    end
  end

  assign m_match = |hit_q;
  always_comb begin
    m_info = info_q[0];
    for (int s = SlotsPerIndex - 1; s >= 0; s--) if (hit_q[s]) m_info = info_q[s];
  end
endmodule
`default_nettype wire
