// SPDX-License-Identifier: Apache-2.0
// tupelo_axil_slave - AXI4-Lite slave in front of the BAR's register bus
// Guarantees: one access at a time on bus_o; AW and W may arrive in any order and any distance; a read that is
//   accepted with or after both halves of a write sees its effect; neither channel starves the other.
//   A write is carried out 1 cycle after its second half was accepted, at most one in 3 cycles; a read is
//   answered 3 cycles after its address, at most one in 5. Response is always OKAY.
// Clock/reset: clk; rst synchronous, active high.
// Contract: the master holds valid and payload until ready. busy_i holds off the next access while the effect
//   of the last one still spreads; rd_data_i answers in the cycle after bus_o.rd_p.
// Spec: AMBA AXI4 B1. Limits: protection bits are ignored.
`default_nettype none
module tupelo_axil_slave (
    input  wire                               clk,
    input  wire                               rst,
    input  wire                        [17:0] s_axil_awaddr,
    input  wire                        [ 2:0] s_axil_awprot,
    input  wire                               s_axil_awvalid,
    output wire                               s_axil_awready,
    input  wire                        [31:0] s_axil_wdata,
    input  wire                        [ 3:0] s_axil_wstrb,
    input  wire                               s_axil_wvalid,
    output wire                               s_axil_wready,
    output wire                        [ 1:0] s_axil_bresp,
    output wire                               s_axil_bvalid,
    input  wire                               s_axil_bready,
    input  wire                        [17:0] s_axil_araddr,
    input  wire                        [ 2:0] s_axil_arprot,
    input  wire                               s_axil_arvalid,
    output wire                               s_axil_arready,
    output wire                        [31:0] s_axil_rdata,
    output wire                        [ 1:0] s_axil_rresp,
    output wire                               s_axil_rvalid,
    input  wire                               s_axil_rready,
    output tupelo_axil_pkg::axil_bus_t        bus_o,
    input  wire                        [31:0] rd_data_i,
    input  wire                               busy_i
);
  logic aw_full_q, w_full_q, b_valid_q, ar_full_q, rd_wait_q, r_valid_q;
  logic [17:0] aw_addr_q, ar_addr_q;
  logic [31:0] w_data_q, r_data_q;
  logic [3:0] w_strb_q;

  // A new write enters only when the last response is gone, so a complete write is never held up by it.
  wire wr_free = !b_valid_q && !rst;
  wire wr_full = aw_full_q && w_full_q;
  wire wr_p = wr_full && !busy_i;
  wire rd_p = ar_full_q && !rd_wait_q && !r_valid_q && !wr_full && !busy_i;

  assign s_axil_awready = !aw_full_q && wr_free;
  assign s_axil_wready  = !w_full_q && wr_free;
  assign s_axil_bresp   = 2'b00;
  assign s_axil_bvalid  = b_valid_q;
  assign s_axil_arready = !ar_full_q && !rst;
  assign s_axil_rdata   = r_data_q;
  assign s_axil_rresp   = 2'b00;
  assign s_axil_rvalid  = r_valid_q;

  assign bus_o.wr_p     = wr_p;
  assign bus_o.wr_addr  = aw_addr_q;
  assign bus_o.wr_data  = w_data_q;
  assign bus_o.wr_strb  = w_strb_q;
  assign bus_o.rd_p     = rd_p;
  assign bus_o.rd_addr  = ar_addr_q;

  always_ff @(posedge clk) begin
    if (s_axil_awvalid && s_axil_awready) begin
      aw_full_q <= 1'b1;
      aw_addr_q <= s_axil_awaddr;
    end
    if (s_axil_wvalid && s_axil_wready) begin
      w_full_q <= 1'b1;
      w_data_q <= s_axil_wdata;
      w_strb_q <= s_axil_wstrb;
    end
    if (wr_p) begin
      aw_full_q <= 1'b0;
      w_full_q  <= 1'b0;
      b_valid_q <= 1'b1;
    end
    if (b_valid_q && s_axil_bready) b_valid_q <= 1'b0;

    if (s_axil_arvalid && s_axil_arready) begin
      ar_full_q <= 1'b1;
      ar_addr_q <= s_axil_araddr;
    end
    rd_wait_q <= rd_p;
    if (rd_wait_q) begin
      r_valid_q <= 1'b1;
      r_data_q  <= rd_data_i;
    end
    if (r_valid_q && s_axil_rready) begin
      r_valid_q <= 1'b0;
      ar_full_q <= 1'b0;
    end
    if (rst) {aw_full_q, w_full_q, b_valid_q, ar_full_q, rd_wait_q, r_valid_q} <= 6'b0;
  end

  wire unused = &{1'b0, s_axil_awprot, s_axil_arprot};

`ifdef TUPELO_CHECKS
  logic aw_stall_q, w_stall_q, ar_stall_q, b_stall_q, r_stall_q;
  logic [17:0] aw_seen_q, ar_seen_q;
  logic [35:0] w_seen_q;
  logic [31:0] r_seen_q;
  always @(posedge clk) begin
    aw_stall_q <= s_axil_awvalid && !s_axil_awready && !rst;
    w_stall_q  <= s_axil_wvalid && !s_axil_wready && !rst;
    ar_stall_q <= s_axil_arvalid && !s_axil_arready && !rst;
    b_stall_q  <= s_axil_bvalid && !s_axil_bready && !rst;
    r_stall_q  <= s_axil_rvalid && !s_axil_rready && !rst;
    aw_seen_q  <= s_axil_awaddr;
    w_seen_q   <= {s_axil_wstrb, s_axil_wdata};
    ar_seen_q  <= s_axil_araddr;
    r_seen_q   <= s_axil_rdata;
    if (!rst) begin
      if (aw_stall_q === 1'b1 && (!s_axil_awvalid || s_axil_awaddr !== aw_seen_q))
        $fatal(1, "%m aw_hold: write address changed during a stall at %0t", $time);
      if (w_stall_q === 1'b1 && (!s_axil_wvalid || {s_axil_wstrb, s_axil_wdata} !== w_seen_q))
        $fatal(1, "%m w_hold: write data changed during a stall at %0t", $time);
      if (ar_stall_q === 1'b1 && (!s_axil_arvalid || s_axil_araddr !== ar_seen_q))
        $fatal(1, "%m ar_hold: read address changed during a stall at %0t", $time);
      if (b_stall_q === 1'b1 && !s_axil_bvalid)
        $fatal(1, "%m b_hold: write response withdrawn at %0t", $time);
      if (r_stall_q === 1'b1 && (!s_axil_rvalid || s_axil_rdata !== r_seen_q))
        $fatal(1, "%m r_hold: read data changed during a stall at %0t", $time);
      if (wr_p && rd_p) $fatal(1, "%m one_access: write and read together at %0t", $time);
    end
  end
`endif
endmodule
`default_nettype wire
