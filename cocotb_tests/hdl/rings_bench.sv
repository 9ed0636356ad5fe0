// SPDX-License-Identifier: Apache-2.0
// rings_bench - tupelo_rings with its windows, queue table and queue control, and two readers that take chains
// Contract: the transmit reader takes a descriptor a cycle while tx_go_i, going to tx_next_i between chains; the
//   receive reader looks at a chain's descriptors one after another and pops the chain with the last. *_took_o shows
//   each descriptor taken. Both are as fast as the cache permits.
`default_nettype none
module rings_bench
  import tupelo_pkg::*;
#(
    parameter integer QUEUES     = 4,
    parameter integer DATA_W     = 512,
    parameter integer DESC_CACHE = 64,
    localparam integer QidxW = $clog2(QUEUES)
) (
    input  wire               clk,
    input  wire               rst,
    // registers of the windows
    input  wire               bus_wr,
    input  wire               bus_rd,
    input  wire  [      17:0] bus_addr,
    input  wire  [      31:0] bus_data,
    output wire  [      31:0] bus_answer,
    // queue set-up
    input  wire               indirect_i,
    input  wire               event_idx_i,
    input  wire               qt_we,
    input  wire  [       2:0] qt_field,
    input  wire  [      31:0] qt_data,
    input  wire  [      15:0] select_i,
    input  wire               enable_i,
    input  wire               reset_i,
    output wire  [QUEUES-1:0] enabled_o,
    output wire  [QUEUES-1:0] stopped_o,
    output wire               resetting_o,
    output wire  [       7:0] reason_o,
    output wire  [      63:0] error_addr_o,
    output wire  [      31:0] error_pos_o,
    input  wire               kick_i,
    input  wire  [ QidxW-1:0] kick_queue_i,
    // memory
    output wire               ar_valid,
    input  wire               ar_ready,
    output wire  [      63:0] ar_addr,
    output wire  [       8:0] ar_bytes,
    output wire  [ QidxW-1:0] ar_queue,
    input  wire               r_valid,
    input  wire  [DATA_W-1:0] r_data,
    input  wire               r_err,
    output wire               ew_valid,
    input  wire               ew_ready,
    output wire  [ QidxW-1:0] ew_queue,
    input  wire               ewb_valid,
    input  wire  [ QidxW-1:0] ewb_queue,
    // readers
    input  wire               tx_go_i,
    input  wire  [ QidxW-1:0] tx_next_i,
    output wire               tx_took_o,
    output wire  [ QidxW-1:0] tx_queue_o,
    output wire  [     127:0] tx_desc_o,
    output wire               tx_indirect_o,
    input  wire               rx_go_i,
    input  wire  [ QidxW-1:0] rx_next_i,
    output wire               rx_took_o,
    output wire  [ QidxW-1:0] rx_queue_o,
    output wire  [     127:0] rx_desc_o,
    output wire               rx_indirect_o,
    output wire               table_o
);
  wire [QUEUES-1:0] active, awake, ready, enabled;
  wire start, halt, dev_rst, clear, busy, sel_enabled, vsel_enabled, vsel_resetting, vsel_stopped, reset_done;
  wire [QidxW-1:0] start_queue, clear_queue, busy_queue, area_queue;
  queue_cfg_t [3:0] cfg;
  wire [3:0][QidxW-1:0] cfg_queue;
  queue_error_t [0:0] error;
  wire [QUEUES/2-1:0] guard, windows;
  wire chk, chk_write, chk_ok, area, area_ready, area_read, area_write, area_ok;
  wire [5:0] chk_pair, area_pair;
  wire [63:0] chk_addr, area_addr;
  wire [31:0] chk_len, area_len, ew_data;
  wire tupelo_axil_pkg::axil_bus_t bus;
  assign bus = '{wr_p: bus_wr, wr_addr: bus_addr, wr_data: bus_data, wr_strb: '1, rd_p: bus_rd, rd_addr: bus_addr};
  assign enabled_o    = enabled;
  assign cfg_queue[0] = select_i[QidxW-1:0];
  assign cfg_queue[3] = area_queue;

  // Where the readers are.
  logic [QidxW-1:0] tx_queue_q, rx_queue_q;
  logic tx_inside_q;  // of a chain
  logic [7:0] rx_offset_q, level_q;  // level_q: at the chain's first descriptor
  wire reading = (tx_inside_q && tx_queue_q == busy_queue) || (rx_offset_q != '0 && rx_queue_q == busy_queue);

  tupelo_windows #(.QUEUES(QUEUES)) u_windows (
      .clk, .rst, .bus_i(bus), .rd_data_o(bus_answer), .enabled_i(enabled), .guard_o(guard), .windows_o(windows),
      .chk_valid_i(chk), .chk_pair_i(chk_pair), .chk_addr_i(chk_addr), .chk_len_i(chk_len), .chk_write_i(chk_write),
      .chk_ok_o(chk_ok), .ctl_valid_i(area), .ctl_ready_o(area_ready), .ctl_pair_i(area_pair), .ctl_addr_i(area_addr),
      .ctl_len_i(area_len), .ctl_read_i(area_read), .ctl_write_i(area_write), .ctl_ok_o(area_ok)
  );
  tupelo_queue_table #(.QUEUES(QUEUES), .READ_PORTS(4)) u_table (
      .clk, .clear_i(clear), .clear_queue_i(clear_queue), .we_i(qt_we), .queue_i(select_i[QidxW-1:0]),
      .field_i(qt_field), .wdata_i(qt_data), .rd_queue_i(cfg_queue), .rd_cfg_o(cfg)
  );
  tupelo_queue_ctl #(.QUEUES(QUEUES), .ERROR_PORTS(1)) u_ctl (
      .clk, .rst, .driver_ok_i(1'b1), .reset_req_i(1'b0), .reset_done_o(reset_done), .queue_select_i(select_i),
      .enable_p_i(enable_i), .reset_p_i(reset_i), .sel_enabled_o(sel_enabled), .sel_resetting_o(resetting_o),
      .vsel_queue_i(select_i[QidxW-1:0]), .vsel_enabled_o(vsel_enabled), .vsel_resetting_o(vsel_resetting),
      .vsel_stopped_o(vsel_stopped), .vsel_reason_o(reason_o), .vsel_addr_o(error_addr_o), .vsel_pos_o(error_pos_o),
      .stopped_o(stopped_o), .sel_cfg_i(cfg[0]), .clear_o(clear), .clear_queue_o(clear_queue), .active_o(active),
      .enabled_o(enabled), .start_o(start), .start_queue_o(start_queue), .busy_queue_o(busy_queue),
      .busy_i(busy || reading),
      .error_i(error), .halt_o(halt), .dma_idle_i(1'b1), .dev_rst_o(dev_rst), .windows_i(windows),
      .chk_queue_o(area_queue), .chk_cfg_i(cfg[3]), .chk_valid_o(area), .chk_ready_i(area_ready),
      .chk_pair_o(area_pair), .chk_addr_o(area_addr), .chk_len_o(area_len), .chk_read_o(area_read),
      .chk_write_o(area_write), .chk_ok_i(area_ok)
  );

  wire [QidxW-1:0] tx_queue, rx_queue;
  wire [7:0] rx_offset, rx_pop_descs, rx_level;
  wire tx_valid, rx_valid, rx_pop;
  desc_t tx_desc, rx_desc;
  tupelo_rings #(
      .QUEUES(QUEUES), .DATA_W(DATA_W), .DESC_CACHE(DESC_CACHE)
  ) u_rings (
      .clk, .rst(rst || dev_rst), .halt_i(halt), .event_idx_i, .indirect_i, .active_i(active), .start_i(start),
      .start_queue_i(start_queue), .kick_i(kick_i && enabled[kick_queue_i]), .kick_queue_i, .awake_o(awake),
      .chain_ready_o(ready), .grow_o(), .grow_queue_o(), .cfg_queue_o(cfg_queue[2:1]), .cfg_i(cfg[2:1]), .ar_valid,
      .ar_ready, .ar_addr, .ar_bytes, .ar_queue, .r_valid, .r_data, .r_err, .ew_valid, .ew_ready, .ew_queue,
      .ew_data(ew_data), .ewb_valid, .ewb_queue,
      .tx_queue_i(tx_queue), .tx_desc_o(tx_desc), .tx_indirect_o, .tx_valid_o(tx_valid), .tx_pop_i(tx_took_o),
      .rx_queue_i(rx_queue), .rx_offset_i(rx_offset), .rx_desc_o(rx_desc), .rx_indirect_o, .rx_valid_o(rx_valid),
      .rx_level_o(rx_level),
      .rx_pop_i(rx_pop), .rx_pop_descs_i(rx_pop_descs), .chk_valid_o(chk), .chk_pair_o(chk_pair),
      .chk_addr_o(chk_addr), .chk_len_o(chk_len), .chk_write_o(chk_write), .chk_ok_i(chk_ok), .error_o(error[0]),
      .indirect_o(table_o), .busy_queue_i(busy_queue), .busy_o(busy)
  );

  // The cache shows the descriptor of *_queue_q.
  assign tx_took_o    = tx_go_i && tx_valid && (tx_inside_q || active[tx_queue_q]);
  assign tx_queue_o   = tx_queue_q;
  assign tx_desc_o    = tx_desc;
  wire tx_inside = tx_took_o ? tx_desc.flags[DescNext] : tx_inside_q;
  assign tx_queue     = tx_inside ? tx_queue_q : tx_next_i;
  assign rx_took_o    = rx_go_i && (rx_offset_q != '0 || (rx_valid && active[rx_queue_q]));
  assign rx_queue_o   = rx_queue_q;
  assign rx_desc_o    = rx_desc;
  assign rx_pop       = rx_took_o && !rx_desc.flags[DescNext];
  assign rx_pop_descs = rx_offset_q + 8'd1;
  wire [7:0] rx_offset_d = rx_pop ? '0 : rx_offset_q + 8'(rx_took_o);
  assign rx_offset    = rx_offset_d;
  assign rx_queue     = rx_offset_d != '0 ? rx_queue_q : rx_next_i;
  always_ff @(posedge clk) begin
    tx_queue_q  <= tx_queue;
    rx_queue_q  <= rx_queue;
    tx_inside_q <= tx_inside;
    rx_offset_q <= rx_offset_d;
    if (rx_offset_q == '0) level_q <= rx_level;
    if (rst) begin
      {tx_queue_q, rx_queue_q} <= '0;
      tx_inside_q <= 1'b0;
      rx_offset_q <= '0;
    end
  end

  wire unused = &{1'b0, awake, ready, reset_done, sel_enabled, vsel_enabled, vsel_resetting, vsel_stopped, guard};
  wire unused_data = &{1'b0, ew_data};

  always @(posedge clk)  // a chain that is offered is whole
    if (!rst && rx_pop && rx_pop_descs > (rx_offset_q == '0 ? rx_level : level_q))
      $fatal(1, "%m level: a chain of %0d descriptors is not whole at %0t", rx_pop_descs, $time);
endmodule
`default_nettype wire
