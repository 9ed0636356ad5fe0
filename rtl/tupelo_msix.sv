// SPDX-License-Identifier: Apache-2.0
// tupelo_msix - MSI-X table, pending bits and message output
// Guarantees: a request whose vector is unmasked gives a message, at the earliest 2 cycles later; requests of a
//   vector whose message still waits merge into one; a masked request waits in its pending bit and is sent on
//   unmask. Vectors take turns; with all unmasked, each waits at most VECTORS messages or cycles.
// Clock/reset: clk; rst synchronous, active high: all vectors masked, nothing pending, table contents undefined.
//   drop_i (device reset) forgets pending requests and refuses new ones; a message on the output is finished.
// Contract: m_msix_ready may do anything; requests are always taken (no back-pressure).
// Spec: PCIe 6.0 6.1.4, 7.7.2. Limits: a message that already waits at the output is sent even if its vector is
//   masked meanwhile; vectors outside the table and requests while disabled are dropped.
`default_nettype none
module tupelo_msix
  import tupelo_regs_pkg::*;
#(
    parameter integer VECTORS = 17  // 3..129
) (
    input  wire                               clk,
    input  wire                               rst,
    input  tupelo_axil_pkg::axil_bus_t        bus_i,
    output logic                       [31:0] rd_data_o,
    input  wire                               enable_i,
    input  wire                               function_mask_i,
    input  wire                               drop_i,
    input  wire                               irq_valid_i,      // request of a queue
    input  wire                        [15:0] irq_vector_i,
    input  wire                               config_p_i,       // request of the device configuration
    input  wire                        [15:0] config_vector_i,
    output logic                       [63:0] m_msix_addr,
    output logic                       [31:0] m_msix_data,
    output logic                              m_msix_valid,
    input  wire                               m_msix_ready
);
  localparam integer VecW = $clog2(VECTORS);
  localparam logic [VecW-1:0] LastVector = VecW'(VECTORS - 1);
  localparam logic [1:0] WordAddrLo = REG_MSIX_TABLE_ADDR_LO[3:2];
  localparam logic [1:0] WordAddrHi = REG_MSIX_TABLE_ADDR_HI[3:2];
  localparam logic [1:0] WordData = REG_MSIX_TABLE_DATA[3:2];
  localparam logic [1:0] WordControl = REG_MSIX_TABLE_CONTROL[3:2];

  // Three memories of one write port and one read port; what needs a reset is kept apart.
  logic [31:0] addr_lo_mem[VECTORS];
  logic [31:0] addr_hi_mem[VECTORS];
  logic [31:0] data_mem[VECTORS];
  logic [VECTORS-1:0] mask_q, pending_q;
  logic [VecW-1:0] scan_q, out_vector_q;

  wire [7:0] wr_index = bus_i.wr_addr[11:4];
  wire [7:0] rd_index = bus_i.rd_addr[11:4];
  wire [VecW-1:0] wr_vector = wr_index[VecW-1:0];
  wire wr_hit = bus_i.wr_p && bus_i.wr_addr[17:12] == BASE_MSIX_TABLE[17:12] && wr_index < 8'(VECTORS);
  wire rd_hit = bus_i.rd_addr[17:12] == BASE_MSIX_TABLE[17:12] && rd_index < 8'(VECTORS);
  wire rd_pba = bus_i.rd_addr[17:5] == BASE_MSIX_PBA[17:5];
  wire rd_table = bus_i.rd_p && rd_hit;
  wire [1:0] wr_word = bus_i.wr_addr[3:2];
  wire [255:0] pba = 256'(pending_q);

  wire open = enable_i && !drop_i;
  wire irq_take = irq_valid_i && irq_vector_i < 16'(VECTORS) && open;
  wire config_take = config_p_i && config_vector_i < 16'(VECTORS) && open;
  wire [VecW-1:0] irq_vector = irq_vector_i[VecW-1:0];
  wire [VecW-1:0] config_vector = config_vector_i[VecW-1:0];

  wire out_wait = m_msix_valid && !m_msix_ready;
  wire can_send = open && !function_mask_i;
  wire any = |(pending_q & ~mask_q) && can_send;
  wire found = any && pending_q[scan_q] && !mask_q[scan_q];
  wire send = found && !out_wait && !rd_table;

  // The read port serves the BAR first, then the vector under the scan.
  wire [VecW-1:0] mem_index = rd_table ? rd_index[VecW-1:0] : scan_q;
  wire [31:0] mem_addr_lo = addr_lo_mem[mem_index];
  wire [31:0] mem_addr_hi = addr_hi_mem[mem_index];
  wire [31:0] mem_data = data_mem[mem_index];

  always_ff @(posedge clk) begin
    if (wr_hit) begin
      for (int unsigned b = 0; b < 4; b++) begin
        if (bus_i.wr_strb[b]) begin
          if (wr_word == WordAddrLo) addr_lo_mem[wr_vector][8*b+:8] <= bus_i.wr_data[8*b+:8];
          if (wr_word == WordAddrHi) addr_hi_mem[wr_vector][8*b+:8] <= bus_i.wr_data[8*b+:8];
          if (wr_word == WordData) data_mem[wr_vector][8*b+:8] <= bus_i.wr_data[8*b+:8];
        end
      end
    end
  end

  always_ff @(posedge clk) begin
    if (bus_i.rd_p) begin
      rd_data_o <= '0;
      if (rd_pba) rd_data_o <= pba[{bus_i.rd_addr[4:2], 5'd0}+:32];
      if (rd_hit) begin
        case (bus_i.rd_addr[3:2])
          WordAddrLo: rd_data_o <= mem_addr_lo;
          WordAddrHi: rd_data_o <= mem_addr_hi;
          WordData: rd_data_o <= mem_data;
          default: rd_data_o[MSIX_TABLE_CONTROL_MASK_LSB] <= mask_q[rd_index[VecW-1:0]];
        endcase
      end
    end
  end

  always_ff @(posedge clk) begin
    if (wr_hit && wr_word == WordControl && bus_i.wr_strb[0])
      mask_q[wr_vector] <= bus_i.wr_data[MSIX_TABLE_CONTROL_MASK_LSB];

    if (send) begin
      m_msix_valid      <= 1'b1;
      m_msix_addr       <= {mem_addr_hi, mem_addr_lo};
      m_msix_data       <= mem_data;
      out_vector_q      <= scan_q;
      pending_q[scan_q] <= 1'b0;
    end else if (m_msix_ready) begin
      m_msix_valid <= 1'b0;
    end
    // A request that meets its own message at the output needs no second one.
    if (irq_take && !(out_wait && out_vector_q == irq_vector)) pending_q[irq_vector] <= 1'b1;
    if (config_take && !(out_wait && out_vector_q == config_vector)) pending_q[config_vector] <= 1'b1;

    // Idle, the scan waits at the newest request; otherwise it walks.
    if (any && (send || !found)) scan_q <= scan_q == LastVector ? '0 : scan_q + VecW'(1);
    else if (!any && irq_take) scan_q <= irq_vector;

    if (rst || drop_i) pending_q <= '0;
    if (rst) begin
      mask_q       <= {VECTORS{RESET_MSIX_TABLE_CONTROL[MSIX_TABLE_CONTROL_MASK_LSB]}};
      m_msix_valid <= 1'b0;
      scan_q       <= '0;
    end
  end

  wire unused = &{1'b0, bus_i.wr_addr[1:0], bus_i.rd_addr[1:0]};

`ifdef TUPELO_CHECKS
  logic stalled_q;
  logic [95:0] seen_q;
  always @(posedge clk) begin
    stalled_q <= m_msix_valid && !m_msix_ready && !rst;
    seen_q    <= {m_msix_addr, m_msix_data};
    if (!rst && stalled_q === 1'b1 && (!m_msix_valid || {m_msix_addr, m_msix_data} !== seen_q))
      $fatal(1, "%m hold: message changed during a stall at %0t", $time);
  end
`endif
endmodule
`default_nettype wire
