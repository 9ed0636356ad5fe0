// SPDX-License-Identifier: Apache-2.0
// rx_bench - tupelo_rx with a descriptor cache that the test fills, and tables that know each frame's pair by its port
// A frame's remote port says where it goes: the pair in the low 6 bits, bit 8 means drop. What is no IP goes to pair 0.
// watch_o: m_valid, comp_valid, in_o, in_drop_o, drop_o, done_o from bit 0 on.
`default_nettype none
module rx_bench
  import tupelo_pkg::*;
#(
    parameter integer QUEUES     = 8,
    parameter integer DATA_W     = 512,
    parameter integer DESC_CACHE = 64,
    localparam integer QidxW = $clog2(QUEUES),
    localparam integer StrbW = DATA_W / 8
) (
    input  wire               clk,
    input  wire               rst,
    input  wire               dev_rst,
    input  wire               halt_i,
    input  wire               mrg_i,
    input  wire  [QUEUES-1:0] active_i,
    input  wire  [QUEUES-1:0] stopped_i,
    input  wire  [QUEUES-1:0] awake_i,
    input  wire               start_i,        // empties a queue's cache
    input  wire  [ QidxW-1:0] start_queue_i,
    input  wire               put_i,
    input  wire  [ QidxW-1:0] put_queue_i,
    input  wire  desc_t       put_desc_i,
    input  wire  [DATA_W-1:0] s_axis_rx_tdata,
    input  wire  [ StrbW-1:0] s_axis_rx_tkeep,
    input  wire               s_axis_rx_tlast,
    input  wire               s_axis_rx_tuser,
    input  wire               s_axis_rx_tvalid,
    input  wire               m_ready,
    output wire  [      63:0] m_addr,
    output wire               m_first,
    output wire               m_last,
    output wire  [DATA_W-1:0] m_data,
    output wire  [ StrbW-1:0] m_strb,
    input  wire               comp_ready,
    output wire  completion_t comp_o,
    output wire  [       5:0] watch_o,
    output wire  [       5:0] in_drop_stat_o,
    output wire  [       5:0] drop_stat_o,
    output wire  [ QidxW-1:0] drop_queue_o,
    output wire  [ QidxW-1:0] done_queue_o,
    output wire  [      15:0] reset_drops_o,
    input  wire  [ QidxW-1:0] busy_queue_i,
    output wire               busy_o
);
  wire m_valid, comp_valid, in_now, in_drop, drop, done, grow, s_ready, rx_valid, tx_valid, buffer, lk_valid;
  assign watch_o = {done, drop, in_drop, in_now, comp_valid, m_valid};

  tuple_t lk_tuple;
  logic [LookupLatency-1:0] lk_valid_q;
  logic [LookupLatency-1:0][8:0] lk_port_q;
  wire [8:0] port = lk_port_q[LookupLatency-1];
  wire lookup_t answer = '{
      match: MATCH_FLOW, target: port[8] ? TARGET_DROP : TARGET_QUEUE, pair: port[5:0],
      id: '0, generation: '0, local_ok: 1'b1
  };
  always_ff @(posedge clk) begin
    lk_valid_q <= {lk_valid_q[LookupLatency-2:0], lk_valid};
    lk_port_q  <= {lk_port_q[LookupLatency-2:0], lk_tuple.remote_port[8:0]};
    if (rst) lk_valid_q <= '0;
  end

  logic [7:0] puts_q[QUEUES];
  always_ff @(posedge clk) begin
    if (put_i) puts_q[put_queue_i] <= puts_q[put_queue_i] + 8'd1;
    if (start_i) puts_q[start_queue_i] <= '0;
  end

  wire [QUEUES-1:0] chain_ready;
  wire [QidxW-1:0] rx_queue, tx_pop_queue, rx_pop_queue, m_queue;
  wire [7:0] rx_offset, rx_level, rx_pop_descs, pop_count, room_count;
  wire rx_pop;
  desc_t rx_desc, tx_desc;
  localparam desc_t Plain = '{flags: ~16'(1 << DescIndirect), id: '1, len: '1, addr: '1};

  tupelo_desc_cache #(.QUEUES(QUEUES), .DESC_CACHE(DESC_CACHE)) u_cache (
      .clk, .rst(rst || dev_rst), .start_i, .start_queue_i, .put_i, .reserve_i(1'b0), .put_queue_i,
      .put_slot_i(puts_q[put_queue_i]), .put_desc_i, .reserve_slots_i('0), .chain_ready_o(chain_ready), .grow_o(grow),
      .count_queue_i('0), .pop_count_o(pop_count), .room_queue_i('0), .room_count_o(room_count),
      .tx_queue_i(QidxW'(1)), .tx_desc_o(tx_desc), .tx_valid_o(tx_valid), .tx_pop_i(1'b0),
      .tx_pop_queue_o(tx_pop_queue),
      .rx_queue_i(rx_queue), .rx_offset_i(rx_offset), .rx_desc_o(rx_desc), .rx_valid_o(rx_valid), .rx_level_o(rx_level),
      .rx_pop_i(rx_pop), .rx_pop_descs_i(rx_pop_descs), .rx_pop_queue_o(rx_pop_queue)
  );

  wire [31:0] rd_data;
  wire [8:0] m_bytes;
  wire [13:0] done_bytes;
  rx_class_stat_t classes;
  tupelo_rx #(.QUEUES(QUEUES), .DATA_W(DATA_W), .DESC_CACHE(DESC_CACHE), .LOOKUP_LATENCY(LookupLatency)) u_rx (
      .clk, .rst, .dev_rst, .halt_i, .active_i, .stopped_i, .awake_i, .chain_ready_i(chain_ready), .grow_i(grow),
      .grow_queue_i(put_queue_i), .mrg_i, .guest_csum_i(1'b0), .hash_report_i(1'b0), .bus_i('0), .rd_data_o(rd_data),
      .mac_i(48'h02), .lk_valid, .lk_tuple, .lk_result_valid_i(lk_valid_q[LookupLatency-1]), .lk_result_i(answer),
      .s_axis_rx_tdata, .s_axis_rx_tkeep, .s_axis_rx_tlast, .s_axis_rx_tuser, .s_axis_rx_tvalid,
      .s_axis_rx_tready(s_ready), .desc_queue_o(rx_queue), .desc_offset_o(rx_offset), .desc_i(rx_desc & Plain),
      .desc_indirect_i(rx_desc.flags[DescIndirect]), .desc_level_i(rx_level), .desc_pop_o(rx_pop),
      .desc_pop_descs_o(rx_pop_descs), .m_valid, .m_ready, .m_first, .m_last, .m_addr, .m_bytes, .m_queue, .m_data,
      .m_strb, .comp_valid, .comp_ready, .comp_o, .in_o(in_now), .in_drop_o(in_drop), .in_drop_stat_o, .drop_o(drop),
      .drop_stat_o, .drop_queue_o, .done_o(done), .done_queue_o, .done_bytes_o(done_bytes), .buffer_o(buffer),
      .class_o(classes), .reset_drops_o, .busy_queue_i, .busy_o
  );
  wire unused = &{1'b0, s_ready, rx_valid, tx_valid, buffer, tx_pop_queue, rx_pop_queue, m_queue, pop_count, room_count,
                  tx_desc, rd_data, m_bytes, done_bytes, classes, lk_tuple};
endmodule
`default_nettype wire
