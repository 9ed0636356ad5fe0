// SPDX-License-Identifier: Apache-2.0
// tupelo_tables - flow table, listener table and local addresses: who owns a tuple
// Guarantees: the receive port takes a look-up a cycle and answers it LookupLatency (4) cycles later, always.
//   The transmit port does the same but is held for 2 cycles by a command on entries. Every
//   look-up sees the tables as they were at one moment: the old or the new entry, whole. Receive look-ups that match
//   are counted under the entry's id. rst empties the tables (FLOWS / 8 cycles; look-ups meanwhile find nothing); a
//   device reset does not touch them.
// Clock/reset: clk; rst synchronous, active high.
// Contract: *_tuple is looked up as it is. tx_valid holds with its tuple until tx_ready.
// How: two banks of buckets of four ways, all eight slots of a key read at once; the listener table is there twice,
//   for the look-up with the tuple's own address and the one with any. Port A of each memory is the receive path's,
//   port B is shared by the transmit path and the commands.
// Spec: docs/registers.md, block `steer`; docs/steering.md.
`default_nettype none
module tupelo_tables
  import tupelo_pkg::*;
  import tupelo_table_pkg::*;
#(
    parameter integer QUEUE_PAIRS = 8,  // 1..64
    parameter integer FLOWS = 16384,  // slots, a power of two 16..65536
    parameter integer LISTENERS = 1024  // the same
) (
    input  wire                        clk,
    input  wire                        rst,
    input  tupelo_axil_pkg::axil_bus_t bus_i,
    output wire [31:0]                 rd_data_o,
    input  wire                        rx_valid,
    input  wire tuple_t                rx_tuple,
    output wire                        rx_result_valid,
    output wire lookup_t               rx_result,
    input  wire                        tx_valid,
    output wire                        tx_ready,
    input  wire tuple_t                tx_tuple,
    output wire                        tx_result_valid,
    output wire lookup_t               tx_result
);
  localparam integer FlowIndexW = $clog2(FLOWS / SlotsPerIndex);
  localparam integer ListenerIndexW = $clog2(LISTENERS / SlotsPerIndex);
  localparam integer FlowEntryW = 1 + FlowKeyW + $bits(info_t);
  localparam integer ListenerEntryW = 1 + ListenerKeyW + $bits(info_t);

  wire enable, walk, hold;
  wire [TableKeyW-1:0] table_key;
  local_addr_t [Locals-1:0] locals;

  wire flow_use, listener_use;
  wire [SlotsPerIndex-1:0] flow_write, listener_write;
  wire [FlowIndexW-1:0] flow_index;
  wire [ListenerIndexW-1:0] listener_index;
  wire [FlowEntryW-1:0] flow_entry;
  wire [ListenerEntryW-1:0] listener_entry;
  wire [SlotsPerIndex-1:0][FlowEntryW-1:0] flow_entries;
  wire [SlotsPerIndex-1:0][ListenerEntryW-1:0] listener_entries, any_entries;
  wire flow_hits_valid, flow_hits_ready, listener_hits_valid, listener_hits_ready, hits_clear;
  wire [15:0] hits_id;
  wire [63:0] flow_count, listener_count;

  tupelo_table_ctl #(
      .FLOWS    (FLOWS),
      .LISTENERS(LISTENERS)
  ) u_ctl (
      .clk                (clk),
      .rst                (rst),
      .bus_i              (bus_i),
      .rd_data_o          (rd_data_o),
      .enable_o           (enable),
      .walk_o             (walk),
      .key_o              (table_key),
      .locals_o           (locals),
      .hold_o             (hold),
      .flow_use_o         (flow_use),
      .flow_write_o       (flow_write),
      .flow_index_o       (flow_index),
      .flow_entry_o       (flow_entry),
      .flow_entries_i     (flow_entries),
      .listener_use_o     (listener_use),
      .listener_write_o   (listener_write),
      .listener_index_o   (listener_index),
      .listener_entry_o   (listener_entry),
      .listener_entries_i (listener_entries),
      .flow_hits_valid    (flow_hits_valid),
      .flow_hits_ready    (flow_hits_ready),
      .listener_hits_valid(listener_hits_valid),
      .listener_hits_ready(listener_hits_ready),
      .hits_clear_o       (hits_clear),
      .id_o               (hits_id),
      .flow_count_i       (flow_count),
      .listener_count_i   (listener_count)
  );

  // ---- the two ports; while the tables are emptied the transmit port does not even read
  localparam integer Ports = 2;  // 0 receive, 1 transmit
  wire tuple_t [Ports-1:0] tuple = {tx_tuple, rx_tuple};
  wire [Ports-1:0] valid = {tx_valid && tx_ready, rx_valid};
  wire [Ports-1:0] read;
  wire [Ports-1:0][Banks-1:0][FlowIndexW-1:0] flow_bucket;
  wire [Ports-1:0][Banks-1:0][ListenerIndexW-1:0] own_bucket, any_bucket;
  tuple_t [Ports-1:0] flow_key;
  listener_key_t [Ports-1:0] own_key, any_key;
  wire [Ports-1:0] flow_match, own_match, any_match;
  info_t [Ports-1:0] flow_info, own_info, any_info;
  wire [Ports-1:0] result_valid;
  lookup_t [Ports-1:0] result;

  assign tx_ready = !hold;
  assign {tx_result_valid, rx_result_valid} = result_valid;
  assign {tx_result, rx_result} = result;

  for (genvar p = 0; p < Ports; p++) begin : g_port
    tupelo_table_lookup #(
        .FLOW_INDEX_W    (FlowIndexW),
        .LISTENER_INDEX_W(ListenerIndexW)
    ) u_lookup (
        .clk         (clk),
        .rst         (rst),
        .key_i       (table_key),
        .locals_i    (locals),
        .blind_i     (walk || !enable),
        .s_valid     (valid[p]),
        .s_tuple     (tuple[p]),
        .t_valid     (read[p]),
        .t_flow_index(flow_bucket[p]),
        .t_flow_key  (flow_key[p]),
        .t_own_index (own_bucket[p]),
        .t_own_key   (own_key[p]),
        .t_any_index (any_bucket[p]),
        .t_any_key   (any_key[p]),
        .flow_match_i(flow_match[p]),
        .flow_i      (flow_info[p]),
        .own_match_i (own_match[p]),
        .own_i       (own_info[p]),
        .any_match_i (any_match[p]),
        .any_i       (any_info[p]),
        .m_valid     (result_valid[p]),
        .m_lookup    (result[p])
    );
  end

  // ---- the tables
  tupelo_table_store #(
      .KEY_W  (FlowKeyW),
      .ENTRIES(FLOWS)
  ) u_flows (
      .clk      (clk),
      .rst      (rst),
      .a_valid  (read[0]),
      .a_index  (flow_bucket[0]),
      .a_key    (flow_key[0]),
      .a_match  (flow_match[0]),
      .a_info   (flow_info[0]),
      .b_valid  (read[1] && !walk),
      .b_index  (flow_bucket[1]),
      .b_key    (flow_key[1]),
      .b_match  (flow_match[1]),
      .b_info   (flow_info[1]),
      .c_use    (flow_use),
      .c_write  (flow_write),
      .c_index  (flow_index),
      .c_entry  (flow_entry),
      .c_entries(flow_entries)
  );

  tupelo_table_store #(
      .KEY_W  (ListenerKeyW),
      .ENTRIES(LISTENERS)
  ) u_listeners (
      .clk      (clk),
      .rst      (rst),
      .a_valid  (read[0]),
      .a_index  (own_bucket[0]),
      .a_key    (own_key[0]),
      .a_match  (own_match[0]),
      .a_info   (own_info[0]),
      .b_valid  (read[1] && !walk),
      .b_index  (own_bucket[1]),
      .b_key    (own_key[1]),
      .b_match  (own_match[1]),
      .b_info   (own_info[1]),
      .c_use    (listener_use),
      .c_write  (listener_write),
      .c_index  (listener_index),
      .c_entry  (listener_entry),
      .c_entries(listener_entries)
  );

  tupelo_table_store #(
      .KEY_W  (ListenerKeyW),
      .ENTRIES(LISTENERS)
  ) u_anys (
      .clk      (clk),
      .rst      (rst),
      .a_valid  (read[0]),
      .a_index  (any_bucket[0]),
      .a_key    (any_key[0]),
      .a_match  (any_match[0]),
      .a_info   (any_info[0]),
      .b_valid  (read[1] && !walk),
      .b_index  (any_bucket[1]),
      .b_key    (any_key[1]),
      .b_match  (any_match[1]),
      .b_info   (any_info[1]),
      .c_use    (listener_use),
      .c_write  (listener_write),
      .c_index  (listener_index),
      .c_entry  (listener_entry),
      .c_entries(any_entries)
  );

  // ---- hit counters, of receive look-ups
  wire hit_flow = rx_result_valid && rx_result.match == MATCH_FLOW;
  wire hit_listener = rx_result_valid && rx_result.match inside {MATCH_LISTENER, MATCH_ANY};

  tupelo_table_hits #(
      .ENTRIES(FLOWS)
  ) u_flow_hits (
      .clk      (clk),
      .rst      (rst),
      .hit_valid(hit_flow),
      .hit_id   (rx_result.id[$clog2(FLOWS)-1:0]),
      .c_valid  (flow_hits_valid),
      .c_ready  (flow_hits_ready),
      .c_clear  (hits_clear),
      .c_id     (hits_id[$clog2(FLOWS)-1:0]),
      .c_walk   (walk),
      .c_index  (flow_index),
      .c_count  (flow_count)
  );

  tupelo_table_hits #(
      .ENTRIES(LISTENERS)
  ) u_listener_hits (
      .clk      (clk),
      .rst      (rst),
      .hit_valid(hit_listener),
      .hit_id   (rx_result.id[$clog2(LISTENERS)-1:0]),
      .c_valid  (listener_hits_valid),
      .c_ready  (listener_hits_ready),
      .c_clear  (hits_clear),
      .c_id     (hits_id[$clog2(LISTENERS)-1:0]),
      .c_walk   (walk),
      .c_index  (listener_index),
      .c_count  (listener_count)
  );

  initial begin
    if (QUEUE_PAIRS < 1 || QUEUE_PAIRS > 64) $fatal(1, "%m: QUEUE_PAIRS must be 1..64, not %0d", QUEUE_PAIRS);
    if (FLOWS < 16 || FLOWS > 65536 || (FLOWS & (FLOWS - 1)) != 0)
      $fatal(1, "%m: FLOWS must be a power of two 16..65536, not %0d", FLOWS);
    if (LISTENERS < 16 || LISTENERS > 65536 || (LISTENERS & (LISTENERS - 1)) != 0)
      $fatal(1, "%m: LISTENERS must be a power of two 16..65536, not %0d", LISTENERS);
  end
  wire unused = &{1'b0, any_entries, hits_id};
endmodule
`default_nettype wire
