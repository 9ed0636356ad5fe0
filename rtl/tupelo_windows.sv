// SPDX-License-Identifier: Apache-2.0
// tupelo_windows - what memory each queue pair may touch: four ranges a pair with rights, and the checks against them
// Guarantees: an area is allowed if one range with the rights asked for holds it from its first to its last byte; the
//   answer comes in the next cycle. Port A (descriptors) takes a question a cycle, port B (ring areas) too, except
//   in the cycle of a register read. Pairs without windows may touch everything.
// Clock/reset: clk; rst synchronous, active high, takes all rights, windows and guards away. A device reset does not.
// Contract: while a queue of a pair is enabled, a range of it that has rights cannot be changed: what was allowed once
//   stays allowed, so nothing that was checked has to be checked again. Ranges without rights read as 0.
`default_nettype none
module tupelo_windows
  import tupelo_axil_pkg::*;
  import tupelo_regs_pkg::*;
#(
    parameter integer QUEUES = 16,  // virtqueues, 2..128
    localparam integer PAIRS = QUEUES / 2
) (
    input  wire               clk,
    input  wire               rst,
    // registers: the GUARD block
    input  wire axil_bus_t    bus_i,
    output logic [      31:0] rd_data_o,
    input  wire  [QUEUES-1:0] enabled_i,
    output logic [ PAIRS-1:0] guard_o,
    output logic [ PAIRS-1:0] windows_o,
    // port A: an area to be read, or to be written
    input  wire               chk_valid_i,
    input  wire  [       5:0] chk_pair_i,
    input  wire  [      63:0] chk_addr_i,
    input  wire  [      31:0] chk_len_i,    // bytes, not 0
    input  wire               chk_write_i,
    output wire               chk_ok_o,
    // port B: an area to be read, written or both
    input  wire               ctl_valid_i,
    output wire               ctl_ready_o,
    input  wire  [       5:0] ctl_pair_i,
    input  wire  [      63:0] ctl_addr_i,
    input  wire  [      31:0] ctl_len_i,    // bytes, not 0
    input  wire               ctl_read_i,
    input  wire               ctl_write_i,
    output wire               ctl_ok_o
);
  localparam integer Ranges = 4;
  localparam integer PairW = PAIRS > 1 ? $clog2(PAIRS) : 1;

  typedef struct packed {
    logic [63:0] base;
    logic [63:0] last;
  } range_t;
  typedef struct packed {
    logic write;
    logic read;
  } rights_t;
  // A question on its way: the pair's ranges beside the area's first and last byte.
  typedef struct packed {
    logic all;  // the pair has no windows
    range_t [Ranges-1:0] ranges;
    rights_t [Ranges-1:0] rights;
    rights_t need;
    logic over;  // the area goes around the end of the address space
    logic [63:0] first;
    logic [63:0] last;
  } ask_t;

  function automatic logic allowed(input ask_t ask);
    allowed = ask.all;
    for (int r = 0; r < Ranges; r++)
      if ((ask.rights[r] & ask.need) == ask.need && !ask.over && ask.first >= ask.ranges[r].base
          && ask.last <= ask.ranges[r].last)
        allowed = 1'b1;
  endfunction

  rights_t [PAIRS-1:0][Ranges-1:0] rights_q;
  logic [7:0] sel_pair_q;
  logic [1:0] sel_range_q;
  range_t staged_q;
  logic refused_q;

  // ---- the ranges' memories: written by a commit, read by both ports
  wire sel_ok = sel_pair_q < 8'(PAIRS);
  wire [PairW-1:0] sel = sel_pair_q[PairW-1:0];
  wire hit_wr = bus_i.wr_p && bus_i.wr_addr[17:6] == BASE_GUARD[17:6];
  wire hit_rd = bus_i.rd_p && bus_i.rd_addr[17:6] == BASE_GUARD[17:6];
  wire commit = hit_wr && bus_i.wr_addr[5:2] == REG_GUARD_WIN_RIGHTS[5:2] && bus_i.wr_strb[0];
  wire in_use = |enabled_i[2*sel+:2] && rights_q[sel][sel_range_q] != '0;
  wire store = commit && sel_ok && !in_use;

  wire [PairW-1:0] pair_a = chk_pair_i[PairW-1:0];
  wire [PairW-1:0] pair_b = hit_rd ? sel : ctl_pair_i[PairW-1:0];
  range_t [Ranges-1:0] ranges_a, ranges_b;
  for (genvar r = 0; r < Ranges; r++) begin : gen_range
    range_t mem[PAIRS];
    always_ff @(posedge clk) if (store && sel_range_q == 2'(r)) mem[sel] <= staged_q;
    assign ranges_a[r] = mem[pair_a];
    assign ranges_b[r] = mem[pair_b];
  end

  // ---- checks
  ask_t a_q, b_q;
  assign chk_ok_o    = allowed(a_q);
  assign ctl_ok_o    = allowed(b_q);
  assign ctl_ready_o = !hit_rd;

  always_ff @(posedge clk) begin
    if (chk_valid_i) begin
      a_q.all <= !windows_o[pair_a];
      if (windows_o[pair_a]) begin
        a_q.ranges          <= ranges_a;
        a_q.rights          <= rights_q[pair_a];
        a_q.need            <= '{read: !chk_write_i, write: chk_write_i};
        a_q.first           <= chk_addr_i;
        {a_q.over, a_q.last} <= {1'b0, chk_addr_i} + {33'd0, chk_len_i - 32'd1};
      end
    end
    if (ctl_valid_i && ctl_ready_o) begin
      b_q.all              <= !windows_o[pair_b];
      b_q.ranges           <= ranges_b;
      b_q.rights           <= rights_q[pair_b];
      b_q.need             <= '{read: ctl_read_i, write: ctl_write_i};
      b_q.first            <= ctl_addr_i;
      {b_q.over, b_q.last} <= {1'b0, ctl_addr_i} + {33'd0, ctl_len_i - 32'd1};
    end
  end

  // ---- registers
  wire [31:0] data = bus_i.wr_data;
  always_ff @(posedge clk) begin
    if (hit_wr) begin
      case (bus_i.wr_addr[5:2])
        REG_GUARD_SELECT[5:2]: begin
          if (bus_i.wr_strb[0]) sel_pair_q <= data[7:0];
          if (bus_i.wr_strb[1]) sel_range_q <= data[9:8];
        end
        REG_GUARD_PAIR_CONTROL[5:2]:
        if (bus_i.wr_strb[0] && sel_ok) begin
          guard_o[sel]   <= data[GUARD_PAIR_CONTROL_GUARD_LSB] && sel_pair_q != 8'd0;  // pair 0 is the host's
          windows_o[sel] <= data[GUARD_PAIR_CONTROL_WINDOWS_LSB];
        end
        REG_GUARD_WIN_BASE[5:2]: staged_q.base[31:0] <= merge(staged_q.base[31:0], data, bus_i.wr_strb);
        REG_GUARD_WIN_BASE[5:2] + 4'd1: staged_q.base[63:32] <= merge(staged_q.base[63:32], data, bus_i.wr_strb);
        REG_GUARD_WIN_LAST[5:2]: staged_q.last[31:0] <= merge(staged_q.last[31:0], data, bus_i.wr_strb);
        REG_GUARD_WIN_LAST[5:2] + 4'd1: staged_q.last[63:32] <= merge(staged_q.last[63:32], data, bus_i.wr_strb);
        default: ;
      endcase
    end
    if (commit) refused_q <= !store;
    if (store) rights_q[sel][sel_range_q] <= data[1:0];
    if (rst) begin
      guard_o     <= '0;
      windows_o   <= '0;
      rights_q    <= '0;
      sel_pair_q  <= '0;
      sel_range_q <= '0;
      refused_q   <= 1'b0;
    end
  end

  wire rights_t shown_rights = sel_ok ? rights_q[sel][sel_range_q] : '0;
  wire range_t shown = shown_rights != '0 ? ranges_b[sel_range_q] : '0;
  always_ff @(posedge clk) begin
    if (bus_i.rd_p) begin
      rd_data_o <= '0;
      if (hit_rd) begin
        case (bus_i.rd_addr[5:2])
          REG_GUARD_SELECT[5:2]: rd_data_o <= {22'd0, sel_range_q, sel_pair_q};
          REG_GUARD_PAIR_CONTROL[5:2]: if (sel_ok) rd_data_o <= {30'd0, windows_o[sel], guard_o[sel]};
          REG_GUARD_WIN_BASE[5:2]: rd_data_o <= shown.base[31:0];
          REG_GUARD_WIN_BASE[5:2] + 4'd1: rd_data_o <= shown.base[63:32];
          REG_GUARD_WIN_LAST[5:2]: rd_data_o <= shown.last[31:0];
          REG_GUARD_WIN_LAST[5:2] + 4'd1: rd_data_o <= shown.last[63:32];
          REG_GUARD_WIN_RIGHTS[5:2]: rd_data_o <= {30'd0, shown_rights};
          REG_GUARD_STATUS[5:2]: rd_data_o <= {31'd0, refused_q};
          default: ;
        endcase
      end
    end
  end

  initial if (QUEUES < 2 || QUEUES > 128) $fatal(1, "%m: QUEUES must be 2..128, not %0d", QUEUES);
  wire unused = &{1'b0, bus_i.wr_addr[1:0], bus_i.rd_addr[1:0], chk_pair_i, ctl_pair_i};
endmodule
`default_nettype wire
