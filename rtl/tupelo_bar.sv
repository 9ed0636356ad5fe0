// SPDX-License-Identifier: Apache-2.0
// tupelo_bar - the BAR: virtio configuration structures, MSI-X, vendor block and statistics behind AXI4-Lite
// Guarantees: see the blocks; every access is answered OKAY. Doorbells leave 1 cycle after their write is
//   complete, messages at the earliest 2 cycles after irq_valid_i. Register blocks elsewhere in the NIC sit on
//   bus_o and answer through ext_data_i, the OR of them all.
// Clock/reset: clk; rst synchronous, active high.
// Contract: ports of the queue table, window and statistics answer as their comments say; irq_ready_o is
//   always 1; ext_data_i answers in the cycle after bus_o.rd_p and is 0 otherwise; q_enabled_i and q_resetting_i follow their pulses within 4 cycles.
// Spec: VIRTIO 1.2 4.1.4, docs/registers.md. Limits: one access at a time.
`default_nettype none
module tupelo_bar #(
    parameter integer QUEUE_PAIRS = 8,  // 1..64
    parameter integer DATA_W = 512,  // bits, 128, 256 or 512
    parameter integer QUEUE_SIZE_MAX = 1024,  // descriptors, 2..32768
    parameter integer RD_SLOTS = 128,  // outstanding data reads, power of two 4..128
    parameter integer DESC_CACHE = 128,  // descriptors prefetched a queue
    localparam integer QUEUES = 2 * QUEUE_PAIRS,
    localparam integer QIDX_W = $clog2(QUEUES)
) (
    input  wire               clk,
    input  wire               rst,
    // straps
    input  wire  [      47:0] mac_addr_i,        // first octet on the wire in [7:0]
    input  wire  [      15:0] mtu_i,
    input  wire               link_up_i,
    // AXI4-Lite
    input  wire  [      17:0] s_axil_awaddr,
    input  wire  [       2:0] s_axil_awprot,
    input  wire               s_axil_awvalid,
    output wire               s_axil_awready,
    input  wire  [      31:0] s_axil_wdata,
    input  wire  [       3:0] s_axil_wstrb,
    input  wire               s_axil_wvalid,
    output wire               s_axil_wready,
    output wire  [       1:0] s_axil_bresp,
    output wire               s_axil_bvalid,
    input  wire               s_axil_bready,
    input  wire  [      17:0] s_axil_araddr,
    input  wire  [       2:0] s_axil_arprot,
    input  wire               s_axil_arvalid,
    output wire               s_axil_arready,
    output wire  [      31:0] s_axil_rdata,
    output wire  [       1:0] s_axil_rresp,
    output wire               s_axil_rvalid,
    input  wire               s_axil_rready,
    // device state
    output logic              driver_ok_o,       // DRIVER_OK set, no reset under way
    output logic              reset_req_o,       // level until reset_done_i
    input  wire               reset_done_i,      // pulse: drained, queue table cleared
    output logic [      63:0] features_o,        // accepted features once FEATURES_OK is set, else 0
    // register blocks of other modules
    output tupelo_axil_pkg::axil_bus_t bus_o,
    input  wire  [      31:0] ext_data_i,
    // queue table: fields 0 size 1 msix_vector 2 desc_lo 3 desc_hi 4 driver_lo 5 driver_hi 6 device_lo 7 device_hi
    output logic [      15:0] queue_select_o,
    output logic              qt_we_o,
    output logic [       2:0] qt_field_o,
    output logic [      31:0] qt_wdata_o,
    input  wire  [      15:0] qt_size_i,         // of queue_select_o, same cycle, and so on
    input  wire  [      15:0] qt_vector_i,
    input  wire  [      63:0] qt_desc_i,
    input  wire  [      63:0] qt_driver_i,
    input  wire  [      63:0] qt_device_i,
    output logic              q_enable_p_o,
    output logic              q_reset_p_o,
    input  wire               q_enabled_i,
    input  wire               q_resetting_i,
    // doorbells
    output logic              notify_valid_o,
    output logic [QIDX_W-1:0] notify_queue_o,
    input  wire               notify_bad_i,      // pulse: that queue is not enabled
    // vendor queue window, same cycle
    output logic [QIDX_W-1:0] vsel_queue_o,
    input  wire               vsel_enabled_i,
    input  wire               vsel_resetting_i,
    input  wire               vsel_stopped_i,
    input  wire  [       7:0] vsel_reason_i,
    input  wire  [      63:0] vsel_addr_i,
    input  wire  [      31:0] vsel_pos_i,
    input  wire  [QUEUES-1:0] q_stopped_i,       // levels
    // interrupt requests of queues; vector 0xffff = none
    input  wire               irq_valid_i,
    input  wire  [      15:0] irq_vector_i,
    output logic              irq_ready_o,
    // statistics: data in the cycle after stat_rd_o
    output logic              stat_rd_o,
    output logic [      11:0] stat_idx_o,
    input  wire  [      63:0] stat_data_i,
    output wire               snapshot_o,        // pulse: reads give the counters of this moment from now on
    output wire               live_o,            // pulse: reads give the running counters again
    // MSI-X messages
    output wire  [      63:0] m_msix_addr,
    output wire  [      31:0] m_msix_data,
    output wire               m_msix_valid,
    input  wire               m_msix_ready
);
  localparam integer Vectors = QUEUES + 1;

  initial begin
    if (QUEUE_PAIRS < 1 || QUEUE_PAIRS > 64) $fatal(1, "%m QUEUE_PAIRS must be 1..64");
    if (DATA_W != 128 && DATA_W != 256 && DATA_W != 512) $fatal(1, "%m DATA_W must be 128, 256 or 512");
    if (QUEUE_SIZE_MAX < 2 || QUEUE_SIZE_MAX > 32768) $fatal(1, "%m QUEUE_SIZE_MAX must be 2..32768");
    if (RD_SLOTS < 4 || RD_SLOTS > 128) $fatal(1, "%m RD_SLOTS must be 4..128");
  end

  tupelo_axil_pkg::axil_bus_t bus;
  logic [31:0] common_data, queue_data, event_data, vendor_data, stat_data, msix_data;
  logic queue_busy;
  logic [7:0] generation;
  logic config_p, needs_reset_p;
  logic [15:0] config_vector;
  logic msix_enable, msix_function_mask;
  logic [31:0] bad_count, bad_last;
  wire ring_reset = features_o[tupelo_regs_pkg::FEATURE_RING_RESET];
  wire reset_end = reset_req_o && reset_done_i;
  logic [63:0] feature_enable;
  wire [31:0] rd_data = common_data | queue_data | event_data | vendor_data | stat_data | msix_data | ext_data_i;

  assign irq_ready_o = 1'b1;
  assign bus_o       = bus;

  tupelo_axil_slave u_axil (
      .clk           (clk),
      .rst           (rst),
      .s_axil_awaddr (s_axil_awaddr),
      .s_axil_awprot (s_axil_awprot),
      .s_axil_awvalid(s_axil_awvalid),
      .s_axil_awready(s_axil_awready),
      .s_axil_wdata  (s_axil_wdata),
      .s_axil_wstrb  (s_axil_wstrb),
      .s_axil_wvalid (s_axil_wvalid),
      .s_axil_wready (s_axil_wready),
      .s_axil_bresp  (s_axil_bresp),
      .s_axil_bvalid (s_axil_bvalid),
      .s_axil_bready (s_axil_bready),
      .s_axil_araddr (s_axil_araddr),
      .s_axil_arprot (s_axil_arprot),
      .s_axil_arvalid(s_axil_arvalid),
      .s_axil_arready(s_axil_arready),
      .s_axil_rdata  (s_axil_rdata),
      .s_axil_rresp  (s_axil_rresp),
      .s_axil_rvalid (s_axil_rvalid),
      .s_axil_rready (s_axil_rready),
      .bus_o         (bus),
      .rd_data_i     (rd_data),
      .busy_i        (queue_busy)
  );

  tupelo_bar_common #(
      .QUEUES (QUEUES),
      .VECTORS(Vectors)
  ) u_common (
      .clk            (clk),
      .rst            (rst),
      .bus_i          (bus),
      .rd_data_o      (common_data),
      .generation_i   (generation),
      .enable_i       (feature_enable),
      .needs_reset_p_i(needs_reset_p),
      .config_vector_o(config_vector),
      .driver_ok_o    (driver_ok_o),
      .reset_req_o    (reset_req_o),
      .reset_done_i   (reset_done_i),
      .features_o     (features_o)
  );

  tupelo_bar_queue #(
      .QUEUES (QUEUES),
      .VECTORS(Vectors)
  ) u_queue (
      .clk           (clk),
      .rst           (rst),
      .bus_i         (bus),
      .rd_data_o     (queue_data),
      .busy_o        (queue_busy),
      .hold_i        (reset_req_o),
      .clear_i       (reset_end),
      .ring_reset_i  (ring_reset),
      .queue_select_o(queue_select_o),
      .qt_we_o       (qt_we_o),
      .qt_field_o    (qt_field_o),
      .qt_wdata_o    (qt_wdata_o),
      .qt_size_i     (qt_size_i),
      .qt_vector_i   (qt_vector_i),
      .qt_desc_i     (qt_desc_i),
      .qt_driver_i   (qt_driver_i),
      .qt_device_i   (qt_device_i),
      .q_enable_p_o  (q_enable_p_o),
      .q_reset_p_o   (q_reset_p_o),
      .q_enabled_i   (q_enabled_i),
      .q_resetting_i (q_resetting_i)
  );

  tupelo_bar_event #(
      .QUEUE_PAIRS(QUEUE_PAIRS)
  ) u_event (
      .clk            (clk),
      .rst            (rst),
      .bus_i          (bus),
      .rd_data_o      (event_data),
      .mac_addr_i     (mac_addr_i),
      .mtu_i          (mtu_i),
      .link_up_i      (link_up_i),
      .hold_i         (reset_req_o),
      .ring_reset_i   (ring_reset),
      .q_stopped_i    (q_stopped_i),
      .queue_isr_p_i  (irq_valid_i && !msix_enable),
      .generation_o   (generation),
      .config_p_o     (config_p),
      .needs_reset_p_o(needs_reset_p)
  );

  tupelo_bar_notify #(
      .QUEUES(QUEUES)
  ) u_notify (
      .clk           (clk),
      .rst           (rst),
      .bus_i         (bus),
      .driver_ok_i   (driver_ok_o),
      .notify_valid_o(notify_valid_o),
      .notify_queue_o(notify_queue_o),
      .notify_bad_i  (notify_bad_i),
      .bad_count_o   (bad_count),
      .bad_last_o    (bad_last)
  );

  tupelo_bar_vendor #(
      .QUEUE_PAIRS   (QUEUE_PAIRS),
      .DATA_W        (DATA_W),
      .QUEUE_SIZE_MAX(QUEUE_SIZE_MAX),
      .RD_SLOTS      (RD_SLOTS),
      .DESC_CACHE    (DESC_CACHE)
  ) u_vendor (
      .clk                 (clk),
      .rst                 (rst),
      .bus_i               (bus),
      .rd_data_o           (vendor_data),
      .clear_i             (reset_end),
      .msix_enable_o       (msix_enable),
      .msix_function_mask_o(msix_function_mask),
      .vsel_queue_o        (vsel_queue_o),
      .vsel_enabled_i      (vsel_enabled_i),
      .vsel_resetting_i    (vsel_resetting_i),
      .vsel_stopped_i      (vsel_stopped_i),
      .vsel_reason_i       (vsel_reason_i),
      .vsel_addr_i         (vsel_addr_i),
      .vsel_pos_i          (vsel_pos_i),
      .q_stopped_i         (q_stopped_i),
      .bad_count_i         (bad_count),
      .bad_last_i          (bad_last),
      .features_i          (features_o),
      .feature_enable_o    (feature_enable),
      .snapshot_o          (snapshot_o),
      .live_o              (live_o)
  );

  tupelo_bar_stat #(
      .QUEUES(QUEUES)
  ) u_stat (
      .clk        (clk),
      .rst        (rst),
      .bus_i      (bus),
      .rd_data_o  (stat_data),
      .stat_rd_o  (stat_rd_o),
      .stat_idx_o (stat_idx_o),
      .stat_data_i(stat_data_i)
  );

  tupelo_msix #(
      .VECTORS(Vectors)
  ) u_msix (
      .clk            (clk),
      .rst            (rst),
      .bus_i          (bus),
      .rd_data_o      (msix_data),
      .enable_i       (msix_enable),
      .function_mask_i(msix_function_mask),
      .drop_i         (reset_req_o),
      .irq_valid_i    (irq_valid_i),
      .irq_vector_i   (irq_vector_i),
      .config_p_i     (config_p),
      .config_vector_i(config_vector),
      .m_msix_addr    (m_msix_addr),
      .m_msix_data    (m_msix_data),
      .m_msix_valid   (m_msix_valid),
      .m_msix_ready   (m_msix_ready)
  );
endmodule
`default_nettype wire
