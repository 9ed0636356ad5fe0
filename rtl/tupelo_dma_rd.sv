// SPDX-License-Identifier: Apache-2.0
// tupelo_dma_rd - the AXI4 read master: three readers share the address channel, answers go by ID
// Guarantees: one address a cycle; event reads before descriptor reads before data reads; every burst INCR, full
//   width, beat aligned. RREADY is always high: readers reserve the room before they ask.
// Clock/reset: clk; rst synchronous, active high. idle_o: no read is under way.
// Contract: s_* hold until ready; no request after halt (the caller gates), answers still arrive. Events and
//   descriptors use one ID each and so return in order; data slots have an ID each and return in any order.
`default_nettype none
module tupelo_dma_rd
  import tupelo_pkg::*;
#(
    parameter integer DATA_W = 512  // bits, 128, 256, 512
) (
    input  wire               clk,
    input  wire               rst,
    // event structures: one beat each
    input  wire               s_event_valid,
    output wire               s_event_ready,
    input  wire  [      63:0] s_event_addr,
    input  wire  vq_t         s_event_queue,
    // descriptors: 1..16 of them inside one 256-byte line
    input  wire               s_desc_valid,
    output wire               s_desc_ready,
    input  wire  [      63:0] s_desc_addr,
    input  wire  [       8:0] s_desc_bytes,
    input  wire  vq_t         s_desc_queue,
    // data: 1..256 bytes inside one 256-byte line
    input  wire               s_data_valid,
    output wire               s_data_ready,
    input  wire  [      63:0] s_data_addr,
    input  wire  [       8:0] s_data_bytes,
    input  wire  [       6:0] s_data_slot,
    input  wire  vq_t         s_data_queue,
    // AXI4
    output wire  [       7:0] m_axi_arid,
    output wire  [      63:0] m_axi_araddr,
    output wire  [       7:0] m_axi_arlen,
    output wire  [       7:0] m_axi_aruser,
    output wire               m_axi_arvalid,
    input  wire               m_axi_arready,
    input  wire  [       7:0] m_axi_rid,
    input  wire  [       1:0] m_axi_rresp,
    input  wire               m_axi_rlast,
    input  wire               m_axi_rvalid,
    // answers, by kind; data and last are the AXI signals themselves
    output wire               r_event_valid,
    output wire               r_desc_valid,
    output wire               r_data_valid,
    output wire               r_err,
    output wire               idle_o
);
  localparam integer BeatShift = $clog2(DATA_W / 8);

  function automatic logic [7:0] burst_len(input logic [7:0] first, input logic [8:0] bytes);
    logic [8:0] last;
    last = {1'b0, first} + bytes - 9'd1;
    burst_len = 8'((last >> BeatShift) - ({1'b0, first} >> BeatShift));
  endfunction

  logic valid_q;
  logic [7:0] id_q, len_q, user_q;
  logic [63:0] addr_q;
  logic [9:0] open_q;  // bursts under way

  wire take = !valid_q || m_axi_arready;
  assign s_event_ready = take;
  assign s_desc_ready  = take && !s_event_valid;
  assign s_data_ready  = take && !s_event_valid && !s_desc_valid;

  assign m_axi_arvalid = valid_q;
  assign m_axi_arid    = id_q;
  assign m_axi_arlen   = len_q;
  assign m_axi_aruser  = user_q;
  assign m_axi_araddr  = addr_q;

  assign r_event_valid = m_axi_rvalid && m_axi_rid == ReadIdEvent;
  assign r_desc_valid  = m_axi_rvalid && m_axi_rid == ReadIdDesc;
  assign r_data_valid  = m_axi_rvalid && !m_axi_rid[7];
  assign r_err         = m_axi_rresp[1];  // SLVERR or DECERR
  assign idle_o        = !valid_q && open_q == '0;

  wire [63:0] addr = s_event_valid ? s_event_addr : s_desc_valid ? s_desc_addr : s_data_addr;
  // of each source, so that the choice comes last
  wire [7:0] event_len = burst_len(s_event_addr[7:0], 9'd4);
  wire [7:0] desc_len = burst_len(s_desc_addr[7:0], s_desc_bytes);
  wire [7:0] data_len = burst_len(s_data_addr[7:0], s_data_bytes);
  wire vq_t queue = s_event_valid ? s_event_queue : s_desc_valid ? s_desc_queue : s_data_queue;

  always_ff @(posedge clk) begin
    if (take) begin
      valid_q <= s_event_valid || s_desc_valid || s_data_valid;
      id_q    <= s_event_valid ? ReadIdEvent : s_desc_valid ? ReadIdDesc : {1'b0, s_data_slot};
      addr_q  <= {addr[63:BeatShift], {BeatShift{1'b0}}};
      len_q   <= s_event_valid ? event_len : s_desc_valid ? desc_len : data_len;
      user_q  <= {1'b0, queue};
    end
    open_q <= open_q + 10'(m_axi_arvalid && m_axi_arready) - 10'(m_axi_rvalid && m_axi_rlast);
    if (rst) begin
      valid_q <= 1'b0;
      open_q  <= '0;
    end
  end

`ifdef TUPELO_CHECKS
  always @(posedge clk) begin
    if (!rst && take && s_data_valid && s_data_ready && {1'b0, s_data_addr[7:0]} + s_data_bytes > 9'd256)
      $fatal(1, "%m line: data read %h + %0d leaves its 256-byte line at %0t", s_data_addr, s_data_bytes, $time);
    if (!rst && m_axi_rvalid && open_q == '0)
      $fatal(1, "%m answer: read data that nobody asked for, id %h at %0t", m_axi_rid, $time);
  end
`endif
  wire unused = &{1'b0, m_axi_rresp[0], addr[BeatShift-1:0]};
endmodule
`default_nettype wire
