// SPDX-License-Identifier: Apache-2.0
// tupelo_indirect - asks for the indirect tables whose place in the caches is reserved
// Guarantees: tables in the order in which they come, a burst of up to 256 bytes a cycle, none across a 256-byte line.
//   likely_room_o counts the tables that wait and those that are expected from reads of rings under way.
// Clock/reset: clk; rst synchronous, active high.
// Contract: a table comes only if table_room_o was high in the cycle before. Requests hold until ready.
`default_nettype none
module tupelo_indirect
  import tupelo_pkg::*;
  import tupelo_rings_pkg::*;
#(
    parameter integer TABLES = 128  // that may wait, a power of two >= 64
) (
    input  wire          clk,
    input  wire          rst,
    input  wire          halt_i,
    input  wire          table_valid,
    input  wire  table_t table_i,
    output wire          table_room_o,
    input  wire          expect_valid_i,
    input  wire  [  4:0] expect_descs_i,  // 1..16, asked for
    input  wire          came_valid_i,
    input  wire  [  4:0] came_descs_i,    // of those, looked at
    output logic         likely_room_o,
    output wire          burst_valid,
    input  wire          burst_ready,
    output wire  burst_t burst_o,
    output wire          fetched_o        // pulse: the last burst of a table
);
  localparam logic [4:0] LineDescs = 5'(BurstBytes / DescBytes);
  localparam integer LevelW = $clog2(TABLES) + 1;

  logic begun_q;
  logic [63:0] addr_q;
  logic [7:0] left_q, slot_q;
  logic [11:0] expected_q;

  wire head_valid, push_ready;
  wire table_t head;
  wire [LevelW-1:0] level;
  wire fire = burst_valid && burst_ready;

  tupelo_fifo #(
      .WIDTH($bits(table_t)),
      .DEPTH(TABLES)
  ) u_tables (
      .clk    (clk),
      .rst    (rst),
      .s_data (table_i),
      .s_valid(table_valid),
      .s_ready(push_ready),
      .m_data (head),
      .m_valid(head_valid),
      .m_ready(fire && burst_o.last),
      .level_o(level)
  );

  wire [63:0] addr = begun_q ? addr_q : head.addr;
  wire [7:0] left = begun_q ? left_q : head.entries;
  wire [4:0] to_line = LineDescs - {1'b0, addr[7:4]};
  wire last = left <= {3'd0, to_line};

  assign table_room_o = level <= LevelW'(TABLES - 2);
  assign burst_valid  = head_valid && !halt_i;
  assign fetched_o    = fire && last;
  assign burst_o = '{
      is_table: 1'b1,
      last: last,
      vq: head.vq,
      pos: head.pos,
      id: head.id,
      slot: begun_q ? slot_q : head.slot,
      descs: last ? left[4:0] : to_line,
      addr: addr
  };

  always_ff @(posedge clk) begin
    if (fire) begin
      begun_q <= !last;
      addr_q  <= addr + {55'd0, to_line, 4'd0};
      left_q  <= left - {3'd0, to_line};
      slot_q  <= burst_o.slot + {3'd0, to_line};
    end
    expected_q <= expected_q + (expect_valid_i ? 12'(expect_descs_i) : '0) - (came_valid_i ? 12'(came_descs_i) : '0);
    likely_room_o <= expected_q + 12'(level) <= 12'(TABLES + TABLES / 2);  // by the time they come, others have gone
    if (rst) begin
      begun_q    <= 1'b0;
      expected_q <= '0;
    end
  end

`ifdef TUPELO_CHECKS
  always @(posedge clk)
    if (!rst && table_valid && !push_ready) $fatal(1, "%m overflow: a table without room at %0t", $time);
`endif
  wire unused = &{1'b0, push_ready};
endmodule
`default_nettype wire
