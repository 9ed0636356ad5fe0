// SPDX-License-Identifier: Apache-2.0
// tupelo_fast_top - tupelo_nic with its clock, host memory, wire, BAR mailbox and interrupts, for the fast harness.
// Guarantees: models accept and give at most one beat a cycle each way; what they hold is in C++ (sim/cpp).
// One DPI call a cycle (fast_tick) does the due work and says which other calls are worth making.
// Clock: made here, 4 ns; it stands still when C++ says that nothing can happen, until the next thing that is due or
// until `kick_i` changes. `event_o` changes when C++ has something that Python waits for.
// Limits: only for simulation; little-endian host.
`default_nettype none
module tupelo_fast_top #(
    parameter integer QUEUE_PAIRS = 8,  // 1..64
    parameter integer DATA_W = 512,  // bits: 128, 256, 512
    parameter integer QUEUE_SIZE_MAX = 1024,  // descriptors
    parameter integer RD_SLOTS = 128,  // data reads outstanding
    parameter integer DESC_CACHE = 128  // descriptors prefetched for a queue
) ();
  localparam integer BEAT_BYTES = DATA_W / 8;
  localparam longint unsigned PERIOD_NS = 4;

  import "DPI-C" function void fast_begin(input int beat_bytes);
  import "DPI-C" function int fast_tick(input int busy);
  import "DPI-C" function string fast_fatal_text();
  import "DPI-C" function void fast_read(
    input longint unsigned addr,
    input int id,
    input int len,
    input int size,
    input int burst,
    input int user
  );
  import "DPI-C" function void fast_write(
    input longint unsigned addr,
    input int id,
    input int len,
    input int size,
    input int burst,
    input int user
  );
  import "DPI-C" function void fast_write_data(
    input bit [511:0] data,
    input longint unsigned strobe,
    input int last
  );
  import "DPI-C" function void fast_read_data(
    output bit [511:0] data,
    output int unsigned id,
    output int unsigned response,
    output int unsigned last
  );
  import "DPI-C" function void fast_write_response(
    output int unsigned id,
    output int unsigned response
  );
  import "DPI-C" function void fast_tx(
    input bit [511:0] data,
    input longint unsigned keep,
    input int last
  );
  import "DPI-C" function void fast_rx(
    output bit [511:0] data,
    output longint unsigned keep,
    output int unsigned last,
    output int unsigned bad
  );
  import "DPI-C" function void fast_msix(
    input longint unsigned addr,
    input int unsigned data
  );
  import "DPI-C" function void fast_bar_next(
    output int unsigned write,
    output int unsigned addr,
    output int unsigned data,
    output int unsigned strobe
  );
  import "DPI-C" function void fast_bar_done(
    input int unsigned data,
    input int is_read,
    input int response
  );
  import "DPI-C" function void fast_straps(
    output longint unsigned mac,
    output int unsigned mtu,
    output int unsigned link_up
  );
  import "DPI-C" function longint fast_stop();
  import "DPI-C" function void fast_resume(input longint unsigned cycle);

  typedef struct packed {  // enum Flag in sim/cpp/fast_model.h
    logic [17:0] unused;
    logic straps, reset, may_stop, msix_ready, tx_ready, ar_ready, w_ready, aw_ready;
    logic fatal, happened, bar_due, rx_due, b_due, r_due;
  } flags_t;

  logic clk = 1'b0;
  logic rst = 1'b1;
  logic event_o = 1'b0;
  logic kick_i = 1'b0;
  logic may_stop = 1'b0;
  longint pause;

  // ---- device under test
  logic [47:0] mac_addr;
  logic [15:0] mtu;
  logic link_up;
  logic [17:0] axil_awaddr, axil_araddr;
  logic [31:0] axil_wdata, axil_rdata;
  logic [3:0] axil_wstrb;
  logic [1:0] axil_bresp, axil_rresp;
  logic axil_awvalid, axil_awready, axil_wvalid, axil_wready, axil_bvalid;
  logic axil_arvalid, axil_arready, axil_rvalid;
  logic [7:0] awid, awlen, awuser, arid, arlen, aruser, bid, rid;
  logic [63:0] awaddr, araddr;
  logic [2:0] awsize, arsize, awprot, arprot;
  logic [1:0] awburst, arburst, bresp, rresp;
  logic [3:0] awcache, arcache;
  logic awlock, awvalid, awready, wlast, wvalid, wready, bvalid, bready;
  logic arlock, arvalid, arready, rlast, rvalid, rready;
  logic [DATA_W-1:0] wdata, rdata, tx_tdata, rx_tdata;
  logic [BEAT_BYTES-1:0] wstrb, tx_tkeep, rx_tkeep;
  logic tx_tlast, tx_tvalid, tx_tready, rx_tlast, rx_tuser, rx_tvalid, rx_tready;
  logic [63:0] msix_addr;
  logic [31:0] msix_data;
  logic msix_valid, msix_ready;
  logic active;  // something waits inside the NIC for time to go by

  tupelo_nic #(
      .QUEUE_PAIRS(QUEUE_PAIRS),
      .DATA_W(DATA_W),
      .QUEUE_SIZE_MAX(QUEUE_SIZE_MAX),
      .RD_SLOTS(RD_SLOTS),
      .DESC_CACHE(DESC_CACHE)
  ) u_nic (
      .clk(clk),
      .rst(rst),
      .mac_addr_i(mac_addr),
      .mtu_i(mtu),
      .link_up_i(link_up),
      .s_axil_awaddr(axil_awaddr),
      .s_axil_awprot(3'b000),
      .s_axil_awvalid(axil_awvalid),
      .s_axil_awready(axil_awready),
      .s_axil_wdata(axil_wdata),
      .s_axil_wstrb(axil_wstrb),
      .s_axil_wvalid(axil_wvalid),
      .s_axil_wready(axil_wready),
      .s_axil_bresp(axil_bresp),
      .s_axil_bvalid(axil_bvalid),
      .s_axil_bready(1'b1),
      .s_axil_araddr(axil_araddr),
      .s_axil_arprot(3'b000),
      .s_axil_arvalid(axil_arvalid),
      .s_axil_arready(axil_arready),
      .s_axil_rdata(axil_rdata),
      .s_axil_rresp(axil_rresp),
      .s_axil_rvalid(axil_rvalid),
      .s_axil_rready(1'b1),
      .m_axi_awid(awid),
      .m_axi_awaddr(awaddr),
      .m_axi_awlen(awlen),
      .m_axi_awsize(awsize),
      .m_axi_awburst(awburst),
      .m_axi_awlock(awlock),
      .m_axi_awcache(awcache),
      .m_axi_awprot(awprot),
      .m_axi_awuser(awuser),
      .m_axi_awvalid(awvalid),
      .m_axi_awready(awready),
      .m_axi_wdata(wdata),
      .m_axi_wstrb(wstrb),
      .m_axi_wlast(wlast),
      .m_axi_wvalid(wvalid),
      .m_axi_wready(wready),
      .m_axi_bid(bid),
      .m_axi_bresp(bresp),
      .m_axi_bvalid(bvalid),
      .m_axi_bready(bready),
      .m_axi_arid(arid),
      .m_axi_araddr(araddr),
      .m_axi_arlen(arlen),
      .m_axi_arsize(arsize),
      .m_axi_arburst(arburst),
      .m_axi_arlock(arlock),
      .m_axi_arcache(arcache),
      .m_axi_arprot(arprot),
      .m_axi_aruser(aruser),
      .m_axi_arvalid(arvalid),
      .m_axi_arready(arready),
      .m_axi_rid(rid),
      .m_axi_rdata(rdata),
      .m_axi_rresp(rresp),
      .m_axi_rlast(rlast),
      .m_axi_rvalid(rvalid),
      .m_axi_rready(rready),
      .m_axis_tx_tdata(tx_tdata),
      .m_axis_tx_tkeep(tx_tkeep),
      .m_axis_tx_tlast(tx_tlast),
      .m_axis_tx_tvalid(tx_tvalid),
      .m_axis_tx_tready(tx_tready),
      .s_axis_rx_tdata(rx_tdata),
      .s_axis_rx_tkeep(rx_tkeep),
      .s_axis_rx_tlast(rx_tlast),
      .s_axis_rx_tuser(rx_tuser),
      .s_axis_rx_tvalid(rx_tvalid),
      .s_axis_rx_tready(rx_tready),
      .m_msix_addr(msix_addr),
      .m_msix_data(msix_data),
      .m_msix_valid(msix_valid),
      .m_msix_ready(msix_ready),
      .active_o(active)
  );

  // ---- clock: rises at 2, 6, 10 ... ns
  initial begin : clock
    fast_begin(BEAT_BYTES);
    forever begin
      #2 clk = 1'b1;
      #2 clk = 1'b0;
      if (may_stop) begin
        pause = fast_stop();
        if (pause != 0) begin
          fork
            begin
              if (pause > 0) #(longint'(PERIOD_NS) * pause);
              else wait (0);
            end
            @(kick_i);
          join_any
          disable fork;
          if ($time % PERIOD_NS != 0) #(PERIOD_NS - $time % PERIOD_NS);
          fast_resume($time / PERIOD_NS);
        end
      end
    end
  end

  // ---- models: first everything that the last cycle handed over, then the tick, then what may go to the NIC
  flags_t flags;
  bit [511:0] wide;
  longint unsigned keep64, mac64;
  int unsigned id32, response32, last32, bad32, write32, addr32, data32, strobe32, mtu32, link32;
  logic bar_free;

  always @(posedge clk) begin
    if (!rst) begin
      if (awvalid && awready)
        fast_write(awaddr, 32'(awid), 32'(awlen), 32'(awsize), 32'(awburst), 32'(awuser));
      if (wvalid && wready) fast_write_data(512'(wdata), 64'(wstrb), 32'(wlast));
      if (arvalid && arready)
        fast_read(araddr, 32'(arid), 32'(arlen), 32'(arsize), 32'(arburst), 32'(aruser));
      if (tx_tvalid && tx_tready) fast_tx(512'(tx_tdata), 64'(tx_tkeep), 32'(tx_tlast));
      if (msix_valid && msix_ready) fast_msix(msix_addr, msix_data);
      if (axil_bvalid) fast_bar_done(32'd0, 32'd0, 32'(axil_bresp));
      if (axil_rvalid) fast_bar_done(axil_rdata, 32'd1, 32'(axil_rresp));
    end
    flags = fast_tick(32'(arvalid | awvalid | wvalid | tx_tvalid | rx_tvalid | msix_valid | active));

    if (!rvalid || rready || rst) begin  // in reset: answers to requests from before are lost
      rvalid <= flags.r_due;
      if (flags.r_due) begin
        fast_read_data(wide, id32, response32, last32);
        rdata <= wide[DATA_W-1:0];
        rid   <= id32[7:0];
        rresp <= response32[1:0];
        rlast <= last32[0];
      end
    end
    if (!bvalid || bready || rst) begin
      bvalid <= flags.b_due;
      if (flags.b_due) begin
        fast_write_response(id32, response32);
        bid   <= id32[7:0];
        bresp <= response32[1:0];
      end
    end
    if (!rst && (!rx_tvalid || rx_tready)) begin
      rx_tvalid <= flags.rx_due;
      if (flags.rx_due) begin
        fast_rx(wide, keep64, last32, bad32);
        rx_tdata <= wide[DATA_W-1:0];
        rx_tkeep <= keep64[BEAT_BYTES-1:0];
        rx_tlast <= last32[0];
        rx_tuser <= bad32[0];
      end
    end

    bar_free = (!axil_awvalid || axil_awready) && (!axil_wvalid || axil_wready) && (!axil_arvalid || axil_arready);
    if (axil_awready) axil_awvalid <= 1'b0;
    if (axil_wready) axil_wvalid <= 1'b0;
    if (axil_arready) axil_arvalid <= 1'b0;
    if (bar_free && flags.bar_due && !rst) begin
      fast_bar_next(write32, addr32, data32, strobe32);
      axil_awvalid <= write32[0];
      axil_wvalid  <= write32[0];
      axil_arvalid <= !write32[0];
      axil_awaddr  <= addr32[17:0];
      axil_araddr  <= addr32[17:0];
      axil_wdata   <= data32;
      axil_wstrb   <= strobe32[3:0];
    end
    if (flags.straps) begin
      fast_straps(mac64, mtu32, link32);
      mac_addr <= mac64[47:0];
      mtu      <= mtu32[15:0];
      link_up  <= link32[0];
    end

    awready    <= flags.aw_ready;
    wready     <= flags.w_ready;
    arready    <= flags.ar_ready;
    tx_tready  <= flags.tx_ready;
    msix_ready <= flags.msix_ready;
    rst        <= flags.reset;
    may_stop   <= flags.may_stop;
    if (flags.happened) event_o <= !event_o;
    if (flags.fatal) $fatal(1, "%s", fast_fatal_text());
    if (rst) begin
      rvalid       <= 1'b0;
      bvalid       <= 1'b0;
      rx_tvalid    <= 1'b0;
      axil_awvalid <= 1'b0;
      axil_wvalid  <= 1'b0;
      axil_arvalid <= 1'b0;
    end
  end

  wire unused = &{1'b0, awlock, awcache, awprot, arlock, arcache, arprot, flags.unused, bad32, mtu32, link32, mac64};
endmodule
`default_nettype wire
