// SPDX-License-Identifier: Apache-2.0
// tupelo_table_lookup - one port of the tables: hashes of a tuple, and one answer out of what the tables found
// Guarantees: one look-up a cycle, m_valid LookupLatency (4) cycles behind s_valid, in order. Exact flow before
//   listener on the tuple's own address before listener on any address; the last only if the address is one of the
//   interface's or of a group. What did not match is 0 but for local_ok.
// Clock/reset: clk; rst synchronous, active high, forgets look-ups.
// Contract: t_valid is the cycle in which the tables read; they answer 2 cycles later. blind_i: nothing matches.
`default_nettype none
module tupelo_table_lookup
  import tupelo_pkg::*;
  import tupelo_table_pkg::*;
#(
    parameter integer FLOW_INDEX_W = 11,    // bits of a bucket's number in the flow table
    parameter integer LISTENER_INDEX_W = 7  // and in the listener table
) (
    input  wire                                clk,
    input  wire                                rst,
    input  wire         [TableKeyW-1:0]        key_i,
    input  wire local_addr_t [Locals-1:0]      locals_i,
    input  wire                                blind_i,
    input  wire                                s_valid,
    input  wire tuple_t                        s_tuple,
    output wire                                t_valid,
    output wire         [Banks-1:0][FLOW_INDEX_W-1:0] t_flow_index,
    output wire tuple_t                        t_flow_key,
    output wire         [Banks-1:0][LISTENER_INDEX_W-1:0] t_own_index,
    output wire listener_key_t                 t_own_key,
    output wire         [Banks-1:0][LISTENER_INDEX_W-1:0] t_any_index,
    output wire listener_key_t                 t_any_key,
    input  wire                                flow_match_i,
    input  wire info_t                         flow_i,
    input  wire                                own_match_i,
    input  wire info_t                         own_i,
    input  wire                                any_match_i,
    input  wire info_t                         any_i,
    output logic                               m_valid,
    output lookup_t                            m_lookup
);
  // verilator lint_off UNUSEDSIGNAL  // takes the whole tuple, looks at a part
  function automatic listener_key_t listener_key(input logic any, input tuple_t tuple);
    listener_key = '{
        any: any,
        ipv6: tuple.ipv6,
        proto: tuple.proto,
        local_addr: any ? 128'd0 : tuple.local_addr,
        local_port: tuple.local_port
    };
  endfunction
  // verilator lint_on UNUSEDSIGNAL

  function automatic logic is_local(input local_addr_t [Locals-1:0] list, input logic ipv6, input logic [127:0] addr);
    is_local = 1'b0;
    for (int unsigned n = 0; n < Locals; n++)
      is_local |= list[n].valid && list[n].ipv6 == ipv6 && list[n].addr == addr;
  endfunction

  // ---- of the 64-bit hash only what numbers a bucket: the first bits of either half
  wire [Banks-1:0] flow_valid, own_valid, any_valid;
  assign t_valid = flow_valid[0];

  for (genvar b = 0; b < Banks; b++) begin : g_bank
    localparam integer KeyMsb = TableKeyW - 1 - b * (HashW / Banks);

    tupelo_toeplitz #(
        .IN_W (FlowKeyW),
        .OUT_W(FLOW_INDEX_W)
    ) u_flow_hash (
        .clk    (clk),
        .rst    (rst),
        .key_i  (key_i[KeyMsb-:FlowKeyW+FLOW_INDEX_W-1]),
        .s_valid(s_valid),
        .s_data (s_tuple),
        .m_valid(flow_valid[b]),
        .m_hash (t_flow_index[b])
    );

    tupelo_toeplitz #(
        .IN_W (ListenerKeyW),
        .OUT_W(LISTENER_INDEX_W)
    ) u_own_hash (
        .clk    (clk),
        .rst    (rst),
        .key_i  (key_i[KeyMsb-:ListenerKeyW+LISTENER_INDEX_W-1]),
        .s_valid(s_valid),
        .s_data (listener_key(1'b0, s_tuple)),
        .m_valid(own_valid[b]),
        .m_hash (t_own_index[b])
    );

    tupelo_toeplitz #(
        .IN_W (ListenerKeyW),
        .OUT_W(LISTENER_INDEX_W)
    ) u_any_hash (
        .clk    (clk),
        .rst    (rst),
        .key_i  (key_i[KeyMsb-:ListenerKeyW+LISTENER_INDEX_W-1]),
        .s_valid(s_valid),
        .s_data (listener_key(1'b1, s_tuple)),
        .m_valid(any_valid[b]),
        .m_hash (t_any_index[b])
    );
  end

  tuple_t tuple_q;
  assign t_flow_key = tuple_q;
  assign t_own_key  = listener_key(1'b0, tuple_q);
  assign t_any_key  = listener_key(1'b1, tuple_q);

  // What goes along with a look-up while the tables work: bit 0 in the cycle behind t_valid.
  logic [1:0] busy_q, blind_q, local_q, group_q;

  always_ff @(posedge clk) begin
    if (s_valid) tuple_q <= s_tuple;
    busy_q <= rst ? '0 : {busy_q[0], t_valid};
    {blind_q[1], local_q[1], group_q[1]} <= {blind_q[0], local_q[0], group_q[0]};
    if (t_valid) begin
      blind_q[0] <= blind_i;
      local_q[0] <= is_local(locals_i, tuple_q.ipv6, tuple_q.local_addr);
      group_q[0] <= is_group(tuple_q.ipv6, tuple_q.local_addr);
    end
    m_valid <= busy_q[1] && !rst;
    if (busy_q[1]) begin
      m_lookup <= '0;
      if (!blind_q[1] && flow_match_i) m_lookup <= {MATCH_FLOW, flow_i, 1'b0};
      else if (!blind_q[1] && own_match_i) m_lookup <= {MATCH_LISTENER, own_i, 1'b0};
      else if (!blind_q[1] && any_match_i && (local_q[1] || group_q[1])) m_lookup <= {MATCH_ANY, any_i, 1'b0};
      m_lookup.local_ok <= local_q[1];
    end
  end
  wire unused = &{1'b0, flow_valid, own_valid, any_valid, key_i};
endmodule
`default_nettype wire
