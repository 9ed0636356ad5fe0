// SPDX-License-Identifier: Apache-2.0
// synth_top - tupelo_nic behind five pins, for place and route in `make synth`
// Guarantees: every input of the NIC comes from a register of its own that a pin can set to anything, and every output
//   is kept in a register whose value reaches a pin, so that nothing of the NIC can be optimised away and every path
//   in or out of it is timed from register to register.
// Clock/reset: clk; rst is registered once, then synchronous and active high in the NIC.
// Contract: none, it is never simulated. si_i is shifted through all inputs; so_o shows the outputs, one bit a cycle,
//   as they were when load_i was high.
`default_nettype none
module synth_top #(
    parameter integer QUEUE_PAIRS    = 1,    // as in tupelo_nic, and so are the others
    parameter integer DATA_W         = 128,  // bits
    parameter integer FLOWS          = 64,
    parameter integer LISTENERS      = 64,
    parameter integer RD_SLOTS       = 32,
    parameter integer DESC_CACHE     = 32,
    parameter integer QUEUE_SIZE_MAX = 256
) (
    input  wire clk,
    input  wire rst,
    input  wire si_i,
    input  wire load_i,
    output wire so_o
);

  wire [47:0] mac_addr_i;
  wire [15:0] mtu_i;
  wire link_up_i;
  wire [17:0] s_axil_awaddr;
  wire [2:0] s_axil_awprot;
  wire s_axil_awvalid;
  wire [31:0] s_axil_wdata;
  wire [3:0] s_axil_wstrb;
  wire s_axil_wvalid;
  wire s_axil_bready;
  wire [17:0] s_axil_araddr;
  wire [2:0] s_axil_arprot;
  wire s_axil_arvalid;
  wire s_axil_rready;
  wire m_axi_awready;
  wire m_axi_wready;
  wire [7:0] m_axi_bid;
  wire [1:0] m_axi_bresp;
  wire m_axi_bvalid;
  wire m_axi_arready;
  wire [7:0] m_axi_rid;
  wire [DATA_W-1:0] m_axi_rdata;
  wire [1:0] m_axi_rresp;
  wire m_axi_rlast;
  wire m_axi_rvalid;
  wire m_axis_tx_tready;
  wire [DATA_W-1:0] s_axis_rx_tdata;
  wire [DATA_W/8-1:0] s_axis_rx_tkeep;
  wire s_axis_rx_tlast;
  wire s_axis_rx_tuser;
  wire s_axis_rx_tvalid;
  wire m_msix_ready;
  wire s_axil_awready;
  wire s_axil_wready;
  wire [1:0] s_axil_bresp;
  wire s_axil_bvalid;
  wire s_axil_arready;
  wire [31:0] s_axil_rdata;
  wire [1:0] s_axil_rresp;
  wire s_axil_rvalid;
  wire [7:0] m_axi_awid;
  wire [63:0] m_axi_awaddr;
  wire [7:0] m_axi_awlen;
  wire [2:0] m_axi_awsize;
  wire [1:0] m_axi_awburst;
  wire m_axi_awlock;
  wire [3:0] m_axi_awcache;
  wire [2:0] m_axi_awprot;
  wire [7:0] m_axi_awuser;
  wire m_axi_awvalid;
  wire [DATA_W-1:0] m_axi_wdata;
  wire [DATA_W/8-1:0] m_axi_wstrb;
  wire m_axi_wlast;
  wire m_axi_wvalid;
  wire m_axi_bready;
  wire [7:0] m_axi_arid;
  wire [63:0] m_axi_araddr;
  wire [7:0] m_axi_arlen;
  wire [2:0] m_axi_arsize;
  wire [1:0] m_axi_arburst;
  wire m_axi_arlock;
  wire [3:0] m_axi_arcache;
  wire [2:0] m_axi_arprot;
  wire [7:0] m_axi_aruser;
  wire m_axi_arvalid;
  wire m_axi_rready;
  wire [DATA_W-1:0] m_axis_tx_tdata;
  wire [DATA_W/8-1:0] m_axis_tx_tkeep;
  wire m_axis_tx_tlast;
  wire m_axis_tx_tvalid;
  wire s_axis_rx_tready;
  wire [63:0] m_msix_addr;
  wire [31:0] m_msix_data;
  wire m_msix_valid;
  wire active_o;

  localparam integer InW = 2 * DATA_W + 1 * (DATA_W / 8) + 179;
  localparam integer OutW = 2 * DATA_W + 2 * (DATA_W / 8) + 350;
  logic rst_q, load_q;
  logic [InW-1:0] in_q;
  logic [OutW-1:0] out_q, shift_q;
  wire [OutW-1:0] out;

  assign {
    mac_addr_i, mtu_i, link_up_i, s_axil_awaddr, s_axil_awprot, s_axil_awvalid, s_axil_wdata,
    s_axil_wstrb, s_axil_wvalid, s_axil_bready, s_axil_araddr, s_axil_arprot, s_axil_arvalid,
    s_axil_rready, m_axi_awready, m_axi_wready, m_axi_bid, m_axi_bresp, m_axi_bvalid,
    m_axi_arready, m_axi_rid, m_axi_rdata, m_axi_rresp, m_axi_rlast, m_axi_rvalid,
    m_axis_tx_tready, s_axis_rx_tdata, s_axis_rx_tkeep, s_axis_rx_tlast, s_axis_rx_tuser,
    s_axis_rx_tvalid, m_msix_ready
  } = in_q;
  assign out = {
    s_axil_awready, s_axil_wready, s_axil_bresp, s_axil_bvalid, s_axil_arready, s_axil_rdata,
    s_axil_rresp, s_axil_rvalid, m_axi_awid, m_axi_awaddr, m_axi_awlen, m_axi_awsize,
    m_axi_awburst, m_axi_awlock, m_axi_awcache, m_axi_awprot, m_axi_awuser, m_axi_awvalid,
    m_axi_wdata, m_axi_wstrb, m_axi_wlast, m_axi_wvalid, m_axi_bready, m_axi_arid, m_axi_araddr,
    m_axi_arlen, m_axi_arsize, m_axi_arburst, m_axi_arlock, m_axi_arcache, m_axi_arprot,
    m_axi_aruser, m_axi_arvalid, m_axi_rready, m_axis_tx_tdata, m_axis_tx_tkeep, m_axis_tx_tlast,
    m_axis_tx_tvalid, s_axis_rx_tready, m_msix_addr, m_msix_data, m_msix_valid,
    active_o
  };
  assign so_o = shift_q[OutW-1];

  always_ff @(posedge clk) begin
    rst_q   <= rst;
    load_q  <= load_i;
    in_q    <= {in_q[InW-2:0], si_i};
    out_q   <= out;
    shift_q <= load_q ? out_q : {shift_q[OutW-2:0], 1'b0};
  end

  tupelo_nic #(
      .QUEUE_PAIRS   (QUEUE_PAIRS),
      .DATA_W        (DATA_W),
      .FLOWS         (FLOWS),
      .LISTENERS     (LISTENERS),
      .RD_SLOTS      (RD_SLOTS),
      .DESC_CACHE    (DESC_CACHE),
      .QUEUE_SIZE_MAX(QUEUE_SIZE_MAX)
  ) u_nic (
      .clk             (clk),
      .rst             (rst_q),
      .mac_addr_i      (mac_addr_i),
      .mtu_i           (mtu_i),
      .link_up_i       (link_up_i),
      .s_axil_awaddr   (s_axil_awaddr),
      .s_axil_awprot   (s_axil_awprot),
      .s_axil_awvalid  (s_axil_awvalid),
      .s_axil_wdata    (s_axil_wdata),
      .s_axil_wstrb    (s_axil_wstrb),
      .s_axil_wvalid   (s_axil_wvalid),
      .s_axil_bready   (s_axil_bready),
      .s_axil_araddr   (s_axil_araddr),
      .s_axil_arprot   (s_axil_arprot),
      .s_axil_arvalid  (s_axil_arvalid),
      .s_axil_rready   (s_axil_rready),
      .m_axi_awready   (m_axi_awready),
      .m_axi_wready    (m_axi_wready),
      .m_axi_bid       (m_axi_bid),
      .m_axi_bresp     (m_axi_bresp),
      .m_axi_bvalid    (m_axi_bvalid),
      .m_axi_arready   (m_axi_arready),
      .m_axi_rid       (m_axi_rid),
      .m_axi_rdata     (m_axi_rdata),
      .m_axi_rresp     (m_axi_rresp),
      .m_axi_rlast     (m_axi_rlast),
      .m_axi_rvalid    (m_axi_rvalid),
      .m_axis_tx_tready(m_axis_tx_tready),
      .s_axis_rx_tdata (s_axis_rx_tdata),
      .s_axis_rx_tkeep (s_axis_rx_tkeep),
      .s_axis_rx_tlast (s_axis_rx_tlast),
      .s_axis_rx_tuser (s_axis_rx_tuser),
      .s_axis_rx_tvalid(s_axis_rx_tvalid),
      .m_msix_ready    (m_msix_ready),
      .s_axil_awready  (s_axil_awready),
      .s_axil_wready   (s_axil_wready),
      .s_axil_bresp    (s_axil_bresp),
      .s_axil_bvalid   (s_axil_bvalid),
      .s_axil_arready  (s_axil_arready),
      .s_axil_rdata    (s_axil_rdata),
      .s_axil_rresp    (s_axil_rresp),
      .s_axil_rvalid   (s_axil_rvalid),
      .m_axi_awid      (m_axi_awid),
      .m_axi_awaddr    (m_axi_awaddr),
      .m_axi_awlen     (m_axi_awlen),
      .m_axi_awsize    (m_axi_awsize),
      .m_axi_awburst   (m_axi_awburst),
      .m_axi_awlock    (m_axi_awlock),
      .m_axi_awcache   (m_axi_awcache),
      .m_axi_awprot    (m_axi_awprot),
      .m_axi_awuser    (m_axi_awuser),
      .m_axi_awvalid   (m_axi_awvalid),
      .m_axi_wdata     (m_axi_wdata),
      .m_axi_wstrb     (m_axi_wstrb),
      .m_axi_wlast     (m_axi_wlast),
      .m_axi_wvalid    (m_axi_wvalid),
      .m_axi_bready    (m_axi_bready),
      .m_axi_arid      (m_axi_arid),
      .m_axi_araddr    (m_axi_araddr),
      .m_axi_arlen     (m_axi_arlen),
      .m_axi_arsize    (m_axi_arsize),
      .m_axi_arburst   (m_axi_arburst),
      .m_axi_arlock    (m_axi_arlock),
      .m_axi_arcache   (m_axi_arcache),
      .m_axi_arprot    (m_axi_arprot),
      .m_axi_aruser    (m_axi_aruser),
      .m_axi_arvalid   (m_axi_arvalid),
      .m_axi_rready    (m_axi_rready),
      .m_axis_tx_tdata (m_axis_tx_tdata),
      .m_axis_tx_tkeep (m_axis_tx_tkeep),
      .m_axis_tx_tlast (m_axis_tx_tlast),
      .m_axis_tx_tvalid(m_axis_tx_tvalid),
      .s_axis_rx_tready(s_axis_rx_tready),
      .m_msix_addr     (m_msix_addr),
      .m_msix_data     (m_msix_data),
      .m_msix_valid    (m_msix_valid),
      .active_o        (active_o)
  );
endmodule
`default_nettype wire
