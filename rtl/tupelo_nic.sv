// SPDX-License-Identifier: Apache-2.0
// tupelo_nic - a virtio-net NIC: packed virtqueues in host memory on one side, Ethernet frames on the other
// Guarantees: see tupelo_bar (registers, MSI-X), tupelo_rings and tupelo_complete (virtqueues), tupelo_tx, tupelo_rx,
//   tupelo_dma_rd and tupelo_dma_wr (AXI4). A queue that breaks a rule stops with a reason and an address; the
//   device and the other queues go on.
// Clock/reset: clk, one domain; rst synchronous, active high.
// Contract: receive virtqueue of pair p is 2p, its transmit virtqueue 2p+1 (VIRTIO 1.2 section 5.1.2). AXI bursts are
//   INCR, full width, beat aligned and inside one 256-byte line. awuser and aruser carry the virtqueue.
`default_nettype none
module tupelo_nic
  import tupelo_pkg::*;
#(
    parameter integer QUEUE_PAIRS    = 8,     // 1..64
    parameter integer DATA_W         = 512,   // bits, 128, 256, 512
    parameter integer QUEUE_SIZE_MAX = 1024,  // descriptors of a ring, 2..32768
    parameter integer RD_SLOTS       = 128,   // outstanding data reads, a power of two 4..128
    parameter integer DESC_CACHE     = 128,   // descriptors prefetched a queue, a power of two 16..128
    parameter integer FLOWS          = 16384, // entries of the flow table, a power of two >= 64
    parameter integer LISTENERS      = 1024   // entries of the listener table, a power of two >= 64
) (
    input  wire                clk,
    input  wire                rst,
    // straps
    input  wire [        47:0] mac_addr_i,       // first octet on the wire in [7:0]
    input  wire [        15:0] mtu_i,
    input  wire                link_up_i,
    // BAR
    input  wire [        17:0] s_axil_awaddr,
    input  wire [         2:0] s_axil_awprot,
    input  wire                s_axil_awvalid,
    output wire                s_axil_awready,
    input  wire [        31:0] s_axil_wdata,
    input  wire [         3:0] s_axil_wstrb,
    input  wire                s_axil_wvalid,
    output wire                s_axil_wready,
    output wire [         1:0] s_axil_bresp,
    output wire                s_axil_bvalid,
    input  wire                s_axil_bready,
    input  wire [        17:0] s_axil_araddr,
    input  wire [         2:0] s_axil_arprot,
    input  wire                s_axil_arvalid,
    output wire                s_axil_arready,
    output wire [        31:0] s_axil_rdata,
    output wire [         1:0] s_axil_rresp,
    output wire                s_axil_rvalid,
    input  wire                s_axil_rready,
    // host memory
    output wire [         7:0] m_axi_awid,
    output wire [        63:0] m_axi_awaddr,
    output wire [         7:0] m_axi_awlen,
    output wire [         2:0] m_axi_awsize,
    output wire [         1:0] m_axi_awburst,
    output wire                m_axi_awlock,
    output wire [         3:0] m_axi_awcache,
    output wire [         2:0] m_axi_awprot,
    output wire [         7:0] m_axi_awuser,
    output wire                m_axi_awvalid,
    input  wire                m_axi_awready,
    output wire [  DATA_W-1:0] m_axi_wdata,
    output wire [DATA_W/8-1:0] m_axi_wstrb,
    output wire                m_axi_wlast,
    output wire                m_axi_wvalid,
    input  wire                m_axi_wready,
    input  wire [         7:0] m_axi_bid,
    input  wire [         1:0] m_axi_bresp,
    input  wire                m_axi_bvalid,
    output wire                m_axi_bready,
    output wire [         7:0] m_axi_arid,
    output wire [        63:0] m_axi_araddr,
    output wire [         7:0] m_axi_arlen,
    output wire [         2:0] m_axi_arsize,
    output wire [         1:0] m_axi_arburst,
    output wire                m_axi_arlock,
    output wire [         3:0] m_axi_arcache,
    output wire [         2:0] m_axi_arprot,
    output wire [         7:0] m_axi_aruser,
    output wire                m_axi_arvalid,
    input  wire                m_axi_arready,
    input  wire [         7:0] m_axi_rid,
    input  wire [  DATA_W-1:0] m_axi_rdata,
    input  wire [         1:0] m_axi_rresp,
    input  wire                m_axi_rlast,
    input  wire                m_axi_rvalid,
    output wire                m_axi_rready,
    // to the wire
    output wire [  DATA_W-1:0] m_axis_tx_tdata,
    output wire [DATA_W/8-1:0] m_axis_tx_tkeep,
    output wire                m_axis_tx_tlast,
    output wire                m_axis_tx_tvalid,
    input  wire                m_axis_tx_tready,
    // from the wire
    input  wire [  DATA_W-1:0] s_axis_rx_tdata,
    input  wire [DATA_W/8-1:0] s_axis_rx_tkeep,
    input  wire                s_axis_rx_tlast,
    input  wire                s_axis_rx_tuser,
    input  wire                s_axis_rx_tvalid,
    output wire                s_axis_rx_tready,
    // MSI-X messages
    output wire [        63:0] m_msix_addr,
    output wire [        31:0] m_msix_data,
    output wire                m_msix_valid,
    input  wire                m_msix_ready,
    // work that the buses do not show, held back by a timer: the clock must go on
    output wire                active_o
);
  localparam integer Queues = 2 * QUEUE_PAIRS;
  localparam integer QidxW = $clog2(Queues);
  localparam integer CfgPorts = 8;
  localparam integer ErrorPorts = 4;

  // ---- device and queue state
  wire driver_ok, reset_req, reset_done, q_enable_p, q_reset_p, q_enabled, q_resetting;
  wire [63:0] features;
  wire [15:0] queue_select;
  wire qt_we, qt_clear;
  wire [2:0] qt_field;
  wire [31:0] qt_wdata;
  wire [QidxW-1:0] qt_clear_queue;
  wire notify_valid;
  wire [QidxW-1:0] notify_queue, vsel_queue;
  wire vsel_enabled, vsel_resetting, vsel_stopped;
  wire [7:0] vsel_reason;
  wire [63:0] vsel_addr;
  wire [31:0] vsel_pos;
  wire [Queues-1:0] stopped, active, enabled, awake, chain_ready;
  wire start, halt, dev_rst, event_idx;
  wire [QidxW-1:0] start_queue, busy_queue;
  wire rings_busy, tx_busy, rx_busy, complete_busy, write_busy;
  queue_error_t [ErrorPorts-1:0] errors;
  wire [CfgPorts-1:0][QidxW-1:0] cfg_queue;
  queue_cfg_t [CfgPorts-1:0] cfg;
  wire irq_valid, irq_ready;
  wire [15:0] irq_vector;
  wire [QidxW-1:0] irq_queue;
  wire stat_rd;
  wire [11:0] stat_idx;
  wire [63:0] stat_data;
  wire rd_idle, wr_idle;

  // ---- register bus, and the blocks on it outside the BAR
  tupelo_axil_pkg::axil_bus_t bus;
  wire [31:0] windows_rd, sched_rd, rss_rd, tables_rd, moderate_rd;
  wire snapshot, live;

  assign event_idx = features[tupelo_regs_pkg::FEATURE_RING_EVENT_IDX];
  wire mrg = features[tupelo_regs_pkg::FEATURE_NET_MRG_RXBUF];
  wire hash_report = features[tupelo_regs_pkg::FEATURE_NET_HASH_REPORT];
  wire tso4 = features[tupelo_regs_pkg::FEATURE_NET_HOST_TSO4];
  wire tso6 = features[tupelo_regs_pkg::FEATURE_NET_HOST_TSO6];
  wire kick = notify_valid && enabled[notify_queue];

  tupelo_bar #(
      .QUEUE_PAIRS   (QUEUE_PAIRS),
      .DATA_W        (DATA_W),
      .QUEUE_SIZE_MAX(QUEUE_SIZE_MAX),
      .RD_SLOTS      (RD_SLOTS),
      .DESC_CACHE    (DESC_CACHE)
  ) u_bar (
      .clk             (clk),
      .rst             (rst),
      .mac_addr_i      (mac_addr_i),
      .mtu_i           (mtu_i),
      .link_up_i       (link_up_i),
      .s_axil_awaddr   (s_axil_awaddr),
      .s_axil_awprot   (s_axil_awprot),
      .s_axil_awvalid  (s_axil_awvalid),
      .s_axil_awready  (s_axil_awready),
      .s_axil_wdata    (s_axil_wdata),
      .s_axil_wstrb    (s_axil_wstrb),
      .s_axil_wvalid   (s_axil_wvalid),
      .s_axil_wready   (s_axil_wready),
      .s_axil_bresp    (s_axil_bresp),
      .s_axil_bvalid   (s_axil_bvalid),
      .s_axil_bready   (s_axil_bready),
      .s_axil_araddr   (s_axil_araddr),
      .s_axil_arprot   (s_axil_arprot),
      .s_axil_arvalid  (s_axil_arvalid),
      .s_axil_arready  (s_axil_arready),
      .s_axil_rdata    (s_axil_rdata),
      .s_axil_rresp    (s_axil_rresp),
      .s_axil_rvalid   (s_axil_rvalid),
      .s_axil_rready   (s_axil_rready),
      .driver_ok_o     (driver_ok),
      .reset_req_o     (reset_req),
      .reset_done_i    (reset_done),
      .features_o      (features),
      .queue_select_o  (queue_select),
      .qt_we_o         (qt_we),
      .qt_field_o      (qt_field),
      .qt_wdata_o      (qt_wdata),
      .qt_size_i       (cfg[0].size),
      .qt_vector_i     (cfg[0].vector),
      .qt_desc_i       (cfg[0].desc),
      .qt_driver_i     (cfg[0].driver),
      .qt_device_i     (cfg[0].device),
      .q_enable_p_o    (q_enable_p),
      .q_reset_p_o     (q_reset_p),
      .q_enabled_i     (q_enabled),
      .q_resetting_i   (q_resetting),
      .notify_valid_o  (notify_valid),
      .notify_queue_o  (notify_queue),
      .notify_bad_i    (notify_valid && !enabled[notify_queue]),
      .vsel_queue_o    (vsel_queue),
      .vsel_enabled_i  (vsel_enabled),
      .vsel_resetting_i(vsel_resetting),
      .vsel_stopped_i  (vsel_stopped),
      .vsel_reason_i   (vsel_reason),
      .vsel_addr_i     (vsel_addr),
      .vsel_pos_i      (vsel_pos),
      .q_stopped_i     (stopped),
      .irq_valid_i     (irq_valid),
      .irq_vector_i    (irq_vector),
      .irq_ready_o     (irq_ready),
      .stat_rd_o       (stat_rd),
      .stat_idx_o      (stat_idx),
      .stat_data_i     (stat_data),
      .snapshot_o      (snapshot),
      .live_o          (live),
      .bus_o           (bus),
      .ext_data_i      (windows_rd | sched_rd | rss_rd | tables_rd | moderate_rd),
      .m_msix_addr     (m_msix_addr),
      .m_msix_data     (m_msix_data),
      .m_msix_valid    (m_msix_valid),
      .m_msix_ready    (m_msix_ready)
  );

  // The selected queue's entry; a select beyond the last queue is answered by the BAR itself.
  assign cfg_queue[0] = queue_select[QidxW-1:0];

  tupelo_queue_table #(
      .QUEUES        (Queues),
      .QUEUE_SIZE_MAX(QUEUE_SIZE_MAX),
      .READ_PORTS    (CfgPorts)
  ) u_table (
      .clk          (clk),
      .clear_i      (qt_clear),
      .clear_queue_i(qt_clear_queue),
      .we_i         (qt_we && queue_select < 16'(Queues)),
      .queue_i      (queue_select[QidxW-1:0]),
      .field_i      (qt_field),
      .wdata_i      (qt_wdata),
      .rd_queue_i   (cfg_queue),
      .rd_cfg_o     (cfg)
  );

  // ---- windows: what memory a pair may touch
  wire [QUEUE_PAIRS-1:0] guard, windows;
  wire desc_chk, desc_chk_write, desc_chk_ok, area_chk, area_chk_ready, area_chk_read, area_chk_write, area_chk_ok;
  wire [5:0] desc_chk_pair, area_chk_pair;
  wire [63:0] desc_chk_addr, area_chk_addr;
  wire [31:0] desc_chk_len, area_chk_len;

  tupelo_windows #(
      .QUEUES(Queues)
  ) u_windows (
      .clk        (clk),
      .rst        (rst),
      .bus_i      (bus),
      .rd_data_o  (windows_rd),
      .enabled_i  (enabled),
      .guard_o    (guard),
      .windows_o  (windows),
      .chk_valid_i(desc_chk),
      .chk_pair_i (desc_chk_pair),
      .chk_addr_i (desc_chk_addr),
      .chk_len_i  (desc_chk_len),
      .chk_write_i(desc_chk_write),
      .chk_ok_o   (desc_chk_ok),
      .ctl_valid_i(area_chk),
      .ctl_ready_o(area_chk_ready),
      .ctl_pair_i (area_chk_pair),
      .ctl_addr_i (area_chk_addr),
      .ctl_len_i  (area_chk_len),
      .ctl_read_i (area_chk_read),
      .ctl_write_i(area_chk_write),
      .ctl_ok_o   (area_chk_ok)
  );

  tupelo_queue_ctl #(
      .QUEUES        (Queues),
      .QUEUE_SIZE_MAX(QUEUE_SIZE_MAX),
      .ERROR_PORTS   (ErrorPorts)
  ) u_ctl (
      .clk             (clk),
      .rst             (rst),
      .driver_ok_i     (driver_ok),
      .reset_req_i     (reset_req),
      .reset_done_o    (reset_done),
      .queue_select_i  (queue_select),
      .enable_p_i      (q_enable_p),
      .reset_p_i       (q_reset_p),
      .sel_enabled_o   (q_enabled),
      .sel_resetting_o (q_resetting),
      .vsel_queue_i    (vsel_queue),
      .vsel_enabled_o  (vsel_enabled),
      .vsel_resetting_o(vsel_resetting),
      .vsel_stopped_o  (vsel_stopped),
      .vsel_reason_o   (vsel_reason),
      .vsel_addr_o     (vsel_addr),
      .vsel_pos_o      (vsel_pos),
      .stopped_o       (stopped),
      .sel_cfg_i       (cfg[0]),
      .clear_o         (qt_clear),
      .clear_queue_o   (qt_clear_queue),
      .active_o        (active),
      .enabled_o       (enabled),
      .start_o         (start),
      .start_queue_o   (start_queue),
      .busy_queue_o    (busy_queue),
      .busy_i          (rings_busy || tx_busy || rx_busy || complete_busy || write_busy),
      .error_i         (errors),
      .windows_i       (windows),
      .chk_queue_o     (cfg_queue[7]),
      .chk_cfg_i       (cfg[7]),
      .chk_valid_o     (area_chk),
      .chk_ready_i     (area_chk_ready),
      .chk_pair_o      (area_chk_pair),
      .chk_addr_o      (area_chk_addr),
      .chk_len_o       (area_chk_len),
      .chk_read_o      (area_chk_read),
      .chk_write_o     (area_chk_write),
      .chk_ok_i        (area_chk_ok),
      .halt_o          (halt),
      .dma_idle_i      (rd_idle && wr_idle),
      .dev_rst_o       (dev_rst)
  );

  // ---- available descriptors
  wire desc_ar_valid, desc_ar_ready, desc_r_valid, r_err, ew_valid, ew_ready, ewb_valid;
  wire [63:0] desc_ar_addr;
  wire [8:0] desc_ar_bytes;
  wire [QidxW-1:0] desc_ar_queue, ew_queue, ewb_queue, tx_desc_queue, rx_desc_queue;
  wire [31:0] ew_data;
  desc_t tx_desc, rx_desc;
  wire tx_desc_pop, tx_desc_indirect, tx_desc_valid, rx_desc_pop, rx_desc_indirect, rx_desc_valid, indirect_table;
  wire [7:0] rx_desc_offset, rx_desc_level, rx_desc_pop_descs;
  wire desc_grow;
  wire [QidxW-1:0] desc_grow_queue;

  tupelo_rings #(
      .QUEUES    (Queues),
      .DATA_W    (DATA_W),
      .DESC_CACHE(DESC_CACHE)
  ) u_rings (
      .clk           (clk),
      .rst           (rst || dev_rst),
      .halt_i        (halt),
      .event_idx_i   (event_idx),
      .indirect_i    (features[tupelo_regs_pkg::FEATURE_RING_INDIRECT_DESC]),
      .active_i      (active),
      .start_i       (start),
      .start_queue_i (start_queue),
      .kick_i        (kick),
      .kick_queue_i  (notify_queue),
      .awake_o       (awake),
      .chain_ready_o (chain_ready),
      .grow_o        (desc_grow),
      .grow_queue_o  (desc_grow_queue),
      .cfg_queue_o   (cfg_queue[2:1]),
      .cfg_i         (cfg[2:1]),
      .ar_valid      (desc_ar_valid),
      .ar_ready      (desc_ar_ready),
      .ar_addr       (desc_ar_addr),
      .ar_bytes      (desc_ar_bytes),
      .ar_queue      (desc_ar_queue),
      .r_valid       (desc_r_valid),
      .r_data        (m_axi_rdata),
      .r_err         (r_err),
      .ew_valid      (ew_valid),
      .ew_ready      (ew_ready),
      .ew_queue      (ew_queue),
      .ew_data       (ew_data),
      .ewb_valid     (ewb_valid),
      .ewb_queue     (ewb_queue),
      .tx_queue_i    (tx_desc_queue),
      .tx_desc_o     (tx_desc),
      .tx_indirect_o (tx_desc_indirect),
      .tx_valid_o    (tx_desc_valid),
      .tx_pop_i      (tx_desc_pop),
      .rx_queue_i    (rx_desc_queue),
      .rx_offset_i   (rx_desc_offset),
      .rx_desc_o     (rx_desc),
      .rx_indirect_o (rx_desc_indirect),
      .rx_valid_o    (rx_desc_valid),
      .rx_level_o    (rx_desc_level),
      .rx_pop_i      (rx_desc_pop),
      .rx_pop_descs_i(rx_desc_pop_descs),
      .chk_valid_o   (desc_chk),
      .chk_pair_o    (desc_chk_pair),
      .chk_addr_o    (desc_chk_addr),
      .chk_len_o     (desc_chk_len),
      .chk_write_o   (desc_chk_write),
      .chk_ok_i      (desc_chk_ok),
      .indirect_o    (indirect_table),
      .error_o       (errors[0]),
      .busy_queue_i  (busy_queue),
      .busy_o        (rings_busy)
  );

  // ---- transmit
  wire data_ar_valid, data_ar_ready, data_r_valid;
  wire [63:0] data_ar_addr;
  wire [8:0] data_ar_bytes;
  wire [6:0] data_ar_slot;
  vq_t data_ar_queue;
  wire tx_comp_valid, tx_comp_ready;
  completion_t tx_comp, rx_comp;
  wire tx_fate_valid, tx_out_valid, sched_waiting;
  tx_fate_t tx_fate;
  vq_t tx_out_vq;
  wire [13:0] tx_out_bytes;
  wire guard_lk, guard_lk_ready, guard_result_valid;
  tuple_t guard_tuple;
  lookup_t guard_result;
  wire [8:0] tx_reset_drops;

  tupelo_tx #(
      .QUEUES  (Queues),
      .DATA_W  (DATA_W),
      .RD_SLOTS(RD_SLOTS)
  ) u_tx (
      .clk             (clk),
      .rst             (rst),
      .dev_rst         (dev_rst),
      .halt_i          (halt),
      .active_i        (active),
      .stopped_i       (stopped),
      .start_i         (start),
      .start_queue_i   (start_queue),
      .hash_hdr_i      (hash_report),
      .csum_i          (features[tupelo_regs_pkg::FEATURE_NET_CSUM]),
      .tso4_i          (tso4),
      .tso6_i          (tso6),
      .ecn_i           (features[tupelo_regs_pkg::FEATURE_NET_HOST_ECN]),
      .mac_i           (mac_addr_i),
      .guard_i         (guard),
      .bus_i           (bus),
      .rd_data_o       (sched_rd),
      .waiting_o       (sched_waiting),
      .lk_valid        (guard_lk),
      .lk_ready        (guard_lk_ready),
      .lk_tuple        (guard_tuple),
      .lk_result_valid (guard_result_valid),
      .lk_result       (guard_result),
      .chain_ready_i   (chain_ready),
      .desc_queue_o    (tx_desc_queue),
      .desc_i          (tx_desc),
      .desc_valid_i    (tx_desc_valid),
      .desc_indirect_i (tx_desc_indirect),
      .desc_pop_o      (tx_desc_pop),
      .ar_valid        (data_ar_valid),
      .ar_ready        (data_ar_ready),
      .ar_addr         (data_ar_addr),
      .ar_bytes        (data_ar_bytes),
      .ar_slot         (data_ar_slot),
      .ar_queue        (data_ar_queue),
      .r_valid         (data_r_valid),
      .r_slot          (m_axi_rid[6:0]),
      .r_data          (m_axi_rdata),
      .r_last          (m_axi_rlast),
      .r_err           (r_err),
      .m_axis_tx_tdata (m_axis_tx_tdata),
      .m_axis_tx_tkeep (m_axis_tx_tkeep),
      .m_axis_tx_tlast (m_axis_tx_tlast),
      .m_axis_tx_tvalid(m_axis_tx_tvalid),
      .m_axis_tx_tready(m_axis_tx_tready),
      .comp_valid      (tx_comp_valid),
      .comp_ready      (tx_comp_ready),
      .comp_o          (tx_comp),
      .error_o         (errors[1]),
      .out_valid       (tx_out_valid),
      .out_vq_o        (tx_out_vq),
      .out_bytes_o     (tx_out_bytes),
      .fate_valid      (tx_fate_valid),
      .fate_o          (tx_fate),
      .reset_drops_o   (tx_reset_drops),
      .busy_queue_i    (busy_queue),
      .busy_o          (tx_busy)
  );

  // ---- who owns a tuple
  wire steer_lk, steer_result_valid;
  tuple_t steer_tuple;
  lookup_t steer_result;

  tupelo_tables #(
      .QUEUE_PAIRS(QUEUE_PAIRS),
      .FLOWS      (FLOWS),
      .LISTENERS  (LISTENERS)
  ) u_tables (
      .clk            (clk),
      .rst            (rst),
      .bus_i          (bus),
      .rd_data_o      (tables_rd),
      .rx_valid       (steer_lk),
      .rx_tuple       (steer_tuple),
      .rx_result_valid(steer_result_valid),
      .rx_result      (steer_result),
      .tx_valid       (guard_lk),
      .tx_ready       (guard_lk_ready),
      .tx_tuple       (guard_tuple),
      .tx_result_valid(guard_result_valid),
      .tx_result      (guard_result)
  );

  // ---- receive
  wire rx_wr_valid, rx_wr_ready, rx_wr_first, rx_wr_last, rx_comp_valid, rx_comp_ready, rx_comp_more;
  wire [63:0] rx_wr_addr;
  wire [8:0] rx_wr_bytes;
  wire [QidxW-1:0] rx_wr_queue, rx_drop_queue, rx_done_queue;
  wire [DATA_W-1:0] rx_wr_data;
  wire [DATA_W/8-1:0] rx_wr_strb;
  wire rx_in, rx_in_drop, rx_drop, rx_done;
  wire [5:0] rx_in_drop_stat, rx_drop_stat;
  wire [13:0] rx_done_bytes;
  wire [15:0] rx_reset_drops;

  wire rx_buffer;
  rx_class_stat_t rx_class;

  tupelo_rx #(
      .QUEUES        (Queues),
      .DATA_W        (DATA_W),
      .DESC_CACHE    (DESC_CACHE),
      .LOOKUP_LATENCY(LookupLatency)
  ) u_rx (
      .clk             (clk),
      .rst             (rst),
      .dev_rst         (dev_rst),
      .mrg_i           (mrg),
      .guest_csum_i    (features[tupelo_regs_pkg::FEATURE_NET_GUEST_CSUM]),
      .hash_report_i   (hash_report),
      .bus_i           (bus),
      .rd_data_o       (rss_rd),
      .mac_i           (mac_addr_i),
      .lk_valid        (steer_lk),
      .lk_tuple        (steer_tuple),
      .lk_result_valid_i(steer_result_valid),
      .lk_result_i     (steer_result),
      .halt_i          (halt),
      .active_i        (active),
      .stopped_i       (stopped),
      .awake_i         (awake),
      .chain_ready_i   (chain_ready),
      .grow_i          (desc_grow),
      .grow_queue_i    (desc_grow_queue),
      .s_axis_rx_tdata (s_axis_rx_tdata),
      .s_axis_rx_tkeep (s_axis_rx_tkeep),
      .s_axis_rx_tlast (s_axis_rx_tlast),
      .s_axis_rx_tuser (s_axis_rx_tuser),
      .s_axis_rx_tvalid(s_axis_rx_tvalid),
      .s_axis_rx_tready(s_axis_rx_tready),
      .desc_queue_o    (rx_desc_queue),
      .desc_offset_o   (rx_desc_offset),
      .desc_i          (rx_desc),
      .desc_indirect_i (rx_desc_indirect),
      .desc_level_i    (rx_desc_level),
      .desc_pop_o      (rx_desc_pop),
      .desc_pop_descs_o(rx_desc_pop_descs),
      .m_valid         (rx_wr_valid),
      .m_ready         (rx_wr_ready),
      .m_first         (rx_wr_first),
      .m_last          (rx_wr_last),
      .m_addr          (rx_wr_addr),
      .m_bytes         (rx_wr_bytes),
      .m_queue         (rx_wr_queue),
      .m_data          (rx_wr_data),
      .m_strb          (rx_wr_strb),
      .comp_valid      (rx_comp_valid),
      .comp_ready      (rx_comp_ready),
      .comp_o          (rx_comp),
      .comp_more_o     (rx_comp_more),
      .in_o            (rx_in),
      .in_drop_o       (rx_in_drop),
      .in_drop_stat_o  (rx_in_drop_stat),
      .drop_o          (rx_drop),
      .drop_stat_o     (rx_drop_stat),
      .drop_queue_o    (rx_drop_queue),
      .buffer_o        (rx_buffer),
      .class_o         (rx_class),
      .done_o          (rx_done),
      .done_queue_o    (rx_done_queue),
      .done_bytes_o    (rx_done_bytes),
      .reset_drops_o   (rx_reset_drops),
      .busy_queue_i    (busy_queue),
      .busy_o          (rx_busy)
  );

  // ---- used descriptors and interrupts
  wire used_valid, used_ready, used_done, event_ar_valid, event_ar_ready, event_r_valid;
  wire [QidxW-1:0] used_queue, used_done_queue, event_ar_queue;
  wire [63:0] used_addr, event_ar_addr;
  wire [DATA_W-1:0] used_data;
  wire [DATA_W/8-1:0] used_strb;
  ring_pos_t used_pos, used_done_pos;
  wire used_quiet;
  wire [2:0] used_count;
  wire wish_valid, wish_ready, irq_merged, irq_waiting;
  wire [15:0] wish_vector, wish_count;
  wire [QidxW-1:0] wish_queue;

  tupelo_complete #(
      .QUEUES(Queues),
      .DATA_W(DATA_W)
  ) u_complete (
      .clk              (clk),
      .rst              (rst || dev_rst),
      .halt_i           (halt),
      .event_idx_i      (event_idx),
      .start_i          (start),
      .start_queue_i    (start_queue),
      .tx_comp_valid    (tx_comp_valid),
      .tx_comp_ready    (tx_comp_ready),
      .tx_comp_i        (tx_comp),
      .rx_comp_valid    (rx_comp_valid),
      .rx_comp_ready    (rx_comp_ready),
      .rx_comp_i        (rx_comp),
      .rx_more_i        (rx_comp_more),
      .loaded_i         (rx_wr_valid),
      .cfg_queue_o      (cfg_queue[5:3]),
      .cfg_i            (cfg[5:3]),
      .used_valid       (used_valid),
      .used_ready       (used_ready),
      .used_queue       (used_queue),
      .used_addr        (used_addr),
      .used_data        (used_data),
      .used_strb        (used_strb),
      .used_pos         (used_pos),
      .used_quiet       (used_quiet),
      .used_count       (used_count),
      .used_done_i      (used_done),
      .used_done_queue_i(used_done_queue),
      .used_done_pos_i  (used_done_pos),
      .ar_valid         (event_ar_valid),
      .ar_ready         (event_ar_ready),
      .ar_addr          (event_ar_addr),
      .ar_queue         (event_ar_queue),
      .r_valid          (event_r_valid),
      .r_data           (m_axi_rdata),
      .r_err            (r_err),
      .irq_valid        (wish_valid),
      .irq_ready        (wish_ready),
      .irq_vector       (wish_vector),
      .irq_queue        (wish_queue),
      .irq_count        (wish_count),
      .error_o          (errors[2]),
      .busy_queue_i     (busy_queue),
      .busy_o           (complete_busy)
  );

  tupelo_moderate #(
      .QUEUES(Queues)
  ) u_moderate (
      .clk      (clk),
      .rst      (rst || dev_rst),
      .cfg_rst  (rst),
      .bus_i    (bus),
      .rd_data_o(moderate_rd),
      .active_i (enabled),
      .s_valid  (wish_valid),
      .s_ready  (wish_ready),
      .s_queue  (wish_queue),
      .s_vector (wish_vector),
      .s_count  (wish_count),
      .m_valid  (irq_valid),
      .m_ready  (irq_ready),
      .m_queue  (irq_queue),
      .m_vector (irq_vector),
      .merged_o (irq_merged),
      .waiting_o(irq_waiting)
  );
  assign active_o = irq_waiting || sched_waiting;

  // ---- host memory
  tupelo_dma_rd #(
      .DATA_W(DATA_W)
  ) u_read (
      .clk          (clk),
      .rst          (rst),
      .s_event_valid(event_ar_valid),
      .s_event_ready(event_ar_ready),
      .s_event_addr (event_ar_addr),
      .s_event_queue(7'(event_ar_queue)),
      .s_desc_valid (desc_ar_valid),
      .s_desc_ready (desc_ar_ready),
      .s_desc_addr  (desc_ar_addr),
      .s_desc_bytes (desc_ar_bytes),
      .s_desc_queue (7'(desc_ar_queue)),
      .s_data_valid (data_ar_valid),
      .s_data_ready (data_ar_ready),
      .s_data_addr  (data_ar_addr),
      .s_data_bytes (data_ar_bytes),
      .s_data_slot  (data_ar_slot),
      .s_data_queue (data_ar_queue),
      .m_axi_arid   (m_axi_arid),
      .m_axi_araddr (m_axi_araddr),
      .m_axi_arlen  (m_axi_arlen),
      .m_axi_aruser (m_axi_aruser),
      .m_axi_arvalid(m_axi_arvalid),
      .m_axi_arready(m_axi_arready),
      .m_axi_rid    (m_axi_rid),
      .m_axi_rresp  (m_axi_rresp),
      .m_axi_rlast  (m_axi_rlast),
      .m_axi_rvalid (m_axi_rvalid),
      .r_event_valid(event_r_valid),
      .r_desc_valid (desc_r_valid),
      .r_data_valid (data_r_valid),
      .r_err        (r_err),
      .idle_o       (rd_idle)
  );
  assign m_axi_rready  = 1'b1;
  assign m_axi_arsize  = 3'($clog2(DATA_W / 8));
  assign m_axi_arburst = 2'b01;
  assign m_axi_arlock  = 1'b0;
  assign m_axi_arcache = 4'b0011;
  assign m_axi_arprot  = 3'b000;

  tupelo_dma_wr #(
      .QUEUES(Queues),
      .DATA_W(DATA_W)
  ) u_write (
      .clk          (clk),
      .rst          (rst),
      .halt_i       (halt),
      .s_data_valid (rx_wr_valid),
      .s_data_ready (rx_wr_ready),
      .s_data_first (rx_wr_first),
      .s_data_last  (rx_wr_last),
      .s_data_addr  (rx_wr_addr),
      .s_data_bytes (rx_wr_bytes),
      .s_data_queue (rx_wr_queue),
      .s_data_data  (rx_wr_data),
      .s_data_strb  (rx_wr_strb),
      .s_used_valid (used_valid),
      .s_used_ready (used_ready),
      .s_used_addr  (used_addr),
      .s_used_queue (used_queue),
      .s_used_data  (used_data),
      .s_used_strb  (used_strb),
      .s_used_pos   (used_pos),
      .s_used_quiet (used_quiet),
      .s_event_valid(ew_valid),
      .s_event_ready(ew_ready),
      .s_event_addr (cfg[6].device),
      .s_event_queue(ew_queue),
      .s_event_data (ew_data),
      .m_axi_awid   (m_axi_awid),
      .m_axi_awaddr (m_axi_awaddr),
      .m_axi_awlen  (m_axi_awlen),
      .m_axi_awuser (m_axi_awuser),
      .m_axi_awvalid(m_axi_awvalid),
      .m_axi_awready(m_axi_awready),
      .m_axi_wdata  (m_axi_wdata),
      .m_axi_wstrb  (m_axi_wstrb),
      .m_axi_wlast  (m_axi_wlast),
      .m_axi_wvalid (m_axi_wvalid),
      .m_axi_wready (m_axi_wready),
      .m_axi_bid    (m_axi_bid),
      .m_axi_bresp  (m_axi_bresp),
      .m_axi_bvalid (m_axi_bvalid),
      .used_done_o  (used_done),
      .done_queue_o (used_done_queue),
      .done_pos_o   (used_done_pos),
      .event_done_o (ewb_valid),
      .event_queue_o(ewb_queue),
      .error_o      (errors[3]),
      .busy_queue_i (busy_queue),
      .busy_o       (write_busy),
      .idle_o       (wr_idle)
  );
  assign cfg_queue[6]  = ew_queue;
  assign m_axi_bready  = 1'b1;
  assign m_axi_awsize  = 3'($clog2(DATA_W / 8));
  assign m_axi_awburst = 2'b01;
  assign m_axi_awlock  = 1'b0;
  assign m_axi_awcache = 4'b0011;
  assign m_axi_awprot  = 3'b000;

  tupelo_stats #(
      .QUEUES(Queues)
  ) u_stats (
      .clk               (clk),
      .rst               (rst),
      .rd_i              (stat_rd),
      .idx_i             (stat_idx),
      .data_o            (stat_data),
      .snapshot_i        (snapshot),
      .live_i            (live),
      .tx_out_i          (tx_out_valid),
      .tx_out_queue_i    (tx_out_vq[QidxW-1:0]),
      .tx_out_bytes_i    (tx_out_bytes),
      .tx_fate_i         (tx_fate_valid),
      .fate_i            (tx_fate),
      .tx_reset_drops_i  (tx_reset_drops),
      .rx_in_i           (rx_in),
      .rx_in_drop_i      (rx_in_drop),
      .rx_in_drop_stat_i (rx_in_drop_stat),
      .rx_class_i        (rx_class),
      .rx_drop_i         (rx_drop),
      .rx_drop_stat_i    (rx_drop_stat),
      .rx_drop_queue_i   (rx_drop_queue),
      .rx_done_i         (rx_done),
      .rx_queue_i        (rx_done_queue),
      .rx_bytes_i        (rx_done_bytes),
      .rx_buffer_i       (rx_buffer),
      .rx_reset_drops_i  (rx_reset_drops),
      .used_i            (used_valid && used_ready),
      .used_queue_i      (used_queue),
      .used_count_i      (used_count),
      .irq_i             (irq_valid && irq_ready),
      .irq_queue_i       (irq_queue),
      .kick_i            (kick),
      .kick_queue_i      (notify_queue),
      .event_read_i      (event_ar_valid && event_ar_ready),
      .event_read_queue_i(event_ar_queue),
      .fetch_i           (desc_ar_valid && desc_ar_ready),
      .fetch_queue_i     (desc_ar_queue),
      .indirect_i        (indirect_table),
      .moderated_i       (irq_merged),
      .msix_i            (m_msix_valid && m_msix_ready),
      .read_error_i      (m_axi_rvalid && r_err),
      .write_error_i     (m_axi_bvalid && m_axi_bresp[1])
  );

  wire unused = &{1'b0, tx_out_vq, rx_desc_valid};

`ifdef TUPELO_CHECKS
  tupelo_stream_check #(
      .WIDTH(8 + 64 + 8 + 8)
  ) u_ar_check (
      .clk    (clk),
      .rst    (rst),
      .payload({m_axi_arid, m_axi_araddr, m_axi_arlen, m_axi_aruser}),
      .valid  (m_axi_arvalid),
      .ready  (m_axi_arready)
  );
  tupelo_stream_check #(
      .WIDTH(8 + 64 + 8 + 8)
  ) u_aw_check (
      .clk    (clk),
      .rst    (rst),
      .payload({m_axi_awid, m_axi_awaddr, m_axi_awlen, m_axi_awuser}),
      .valid  (m_axi_awvalid),
      .ready  (m_axi_awready)
  );
  tupelo_stream_check #(
      .WIDTH(DATA_W + DATA_W / 8 + 1)
  ) u_w_check (
      .clk    (clk),
      .rst    (rst),
      .payload({m_axi_wlast, m_axi_wstrb, m_axi_wdata}),
      .valid  (m_axi_wvalid),
      .ready  (m_axi_wready)
  );
`endif
endmodule
`default_nettype wire
