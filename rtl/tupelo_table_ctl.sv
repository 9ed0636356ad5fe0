// SPDX-License-Identifier: Apache-2.0
// tupelo_table_ctl - registers of the steering tables, their commands, and the walk that empties them after rst
// Guarantees: a command moves a whole entry in one cycle. While a command or the walk goes on, status.busy is 1 and
//   writes to command, key, entry and table_key do nothing.
// Clock/reset: clk; rst synchronous, active high: settings to their reset values and the walk from its start.
// Contract: hold_o keeps look-ups from the tables' second port: what was accepted in the cycle before reads one cycle
//   later, so c_use comes two cycles behind the first hold_o. *_entries_i and *_count_i answer in the next cycle.
// Spec: docs/registers.md, block `steer`. Refused (status.bad): no such operation, slot or id; an id outside of the
//   table, target 3, or a listener on any address that names an address, in an entry to be written.
`default_nettype none
module tupelo_table_ctl
  import tupelo_regs_pkg::*;
  import tupelo_pkg::*;
  import tupelo_table_pkg::*;
#(
    parameter integer FLOWS = 16384,  // slots, a power of two 16..65536
    parameter integer LISTENERS = 1024,  // the same
    localparam integer FlowIndexW = $clog2(FLOWS / SlotsPerIndex),
    localparam integer ListenerIndexW = $clog2(LISTENERS / SlotsPerIndex),
    localparam integer FlowEntryW = 1 + FlowKeyW + $bits(info_t),
    localparam integer ListenerEntryW = 1 + ListenerKeyW + $bits(info_t)
) (
    input  wire                                              clk,
    input  wire                                              rst,
    input  tupelo_axil_pkg::axil_bus_t                       bus_i,
    output logic             [         31:0]                 rd_data_o,
    output logic                                             enable_o,
    output logic                                             walk_o,
    output logic             [TableKeyW-1:0]                 key_o,
    output local_addr_t      [   Locals-1:0]                 locals_o,
    output wire                                              hold_o,
    output wire                                              flow_use_o,
    output wire              [SlotsPerIndex-1:0]             flow_write_o,
    output wire              [   FlowIndexW-1:0]             flow_index_o,
    output wire              [   FlowEntryW-1:0]             flow_entry_o,
    input  wire              [SlotsPerIndex-1:0][FlowEntryW-1:0] flow_entries_i,
    output wire                                              listener_use_o,
    output wire              [SlotsPerIndex-1:0]             listener_write_o,
    output wire              [ListenerIndexW-1:0]            listener_index_o,
    output wire              [ListenerEntryW-1:0]            listener_entry_o,
    input  wire              [SlotsPerIndex-1:0][ListenerEntryW-1:0] listener_entries_i,
    output wire                                              flow_hits_valid,
    input  wire                                              flow_hits_ready,
    output wire                                              listener_hits_valid,
    input  wire                                              listener_hits_ready,
    output wire                                              hits_clear_o,
    output wire              [         15:0]                 id_o,
    input  wire              [         63:0]                 flow_count_i,
    input  wire              [         63:0]                 listener_count_i
);
  localparam integer BlockBits = 8;  // the block is 256 bytes
  localparam integer WalkW = FlowIndexW > ListenerIndexW ? FlowIndexW : ListenerIndexW;

  typedef enum logic [2:0] {
    StIdle,
    StCheck,  // is it a command at all? hold_o begins
    StUse,  // the table does it
    StTake,  // what was read is there
    StWalk  // empty all slots and counters
  } state_e;

  state_e state_q;
  logic bad_q, valid_q;
  logic [ 3:0] op_q;
  logic [15:0] index_q;
  logic [WalkW-1:0] walk_q;
  tuple_t key_q;
  logic any_q;
  info_t info_q;
  logic [63:0] count_q;
  logic [2:0] select_q;
  logic [127:0] addr_q;

  wire wr_hit = bus_i.wr_p && bus_i.wr_addr[17:BlockBits] == BASE_STEER[17:BlockBits];
  wire rd_hit = bus_i.rd_addr[17:BlockBits] == BASE_STEER[17:BlockBits];
  wire [5:0] wr_word = bus_i.wr_addr[7:2];
  wire [5:0] rd_word = bus_i.rd_addr[7:2];

  // Is it one of the four words from `first` on?
  function automatic logic in_words(input logic [5:0] word, input logic [5:0] first);
    in_words = word >= first && word - first < 6'd4;
  endfunction

  // Word 0 holds the most significant octets.
  function automatic logic [127:0] put_word(input logic [127:0] old, input logic [1:0] word, input logic [31:0] data,
                                            input logic [3:0] strb);
    put_word = old;
    for (int unsigned w = 0; w < 4; w++)
    if (word == 2'(w)) put_word[32*(3-w)+:32] = tupelo_axil_pkg::merge(old[32*(3-w)+:32], data, strb);
  endfunction

  // ---- what a command is
  wire is_flow = op_q inside {STEER_OP_FLOW_WRITE, STEER_OP_FLOW_CLEAR, STEER_OP_FLOW_READ};
  wire is_listener = op_q inside {STEER_OP_LISTENER_WRITE, STEER_OP_LISTENER_CLEAR, STEER_OP_LISTENER_READ};
  wire is_flow_hits = op_q inside {STEER_OP_FLOW_HITS_READ, STEER_OP_FLOW_HITS_CLEAR};
  wire is_listener_hits = op_q inside {STEER_OP_LISTENER_HITS_READ, STEER_OP_LISTENER_HITS_CLEAR};
  wire is_write = op_q inside {STEER_OP_FLOW_WRITE, STEER_OP_LISTENER_WRITE};
  wire is_read = op_q inside {STEER_OP_FLOW_READ, STEER_OP_LISTENER_READ};
  wire of_flows = is_flow || is_flow_hits;
  wire known = is_flow || is_listener || is_flow_hits || is_listener_hits;
  wire [16:0] limit = of_flows ? 17'(FLOWS) : 17'(LISTENERS);
  wire sane = info_q.target inside {TARGET_QUEUE, TARGET_HOST, TARGET_DROP} && {1'b0, info_q.id} < limit &&
      !(is_listener && any_q && key_q.local_addr != '0);
  wire accept = known && {1'b0, index_q} < limit && (!is_write || sane);

  // ---- to the tables
  wire use_it = state_q == StUse;
  wire [FlowIndexW+2:0] flow_slot = index_q[FlowIndexW+2:0];  // bank, bucket, way
  wire [ListenerIndexW+2:0] listener_slot = index_q[ListenerIndexW+2:0];
  wire [2:0] flow_place = {flow_slot[FlowIndexW+2], flow_slot[1:0]};
  wire [2:0] listener_place = {listener_slot[ListenerIndexW+2], listener_slot[1:0]};
  wire listener_key_t listener_key = '{
      any: any_q,
      ipv6: key_q.ipv6,
      proto: key_q.proto,
      local_addr: key_q.local_addr,
      local_port: key_q.local_port
  };

  assign hold_o = state_q inside {StCheck, StUse} && !is_flow_hits && !is_listener_hits;
  assign flow_use_o = walk_o || (use_it && is_flow);
  assign flow_write_o = walk_o ? '1 : is_read ? '0 : SlotsPerIndex'(1) << flow_place;
  assign flow_index_o = walk_o ? walk_q[FlowIndexW-1:0] : flow_slot[2+:FlowIndexW];
  assign flow_entry_o = is_write && !walk_o ? {1'b1, key_q, info_q} : '0;
  assign listener_use_o = walk_o || (use_it && is_listener);
  assign listener_write_o = walk_o ? '1 : is_read ? '0 : SlotsPerIndex'(1) << listener_place;
  assign listener_index_o = walk_o ? walk_q[ListenerIndexW-1:0] : listener_slot[2+:ListenerIndexW];
  assign listener_entry_o = is_write && !walk_o ? {1'b1, listener_key, info_q} : '0;
  assign flow_hits_valid = use_it && is_flow_hits;
  assign listener_hits_valid = use_it && is_listener_hits;
  assign hits_clear_o = op_q inside {STEER_OP_FLOW_HITS_CLEAR, STEER_OP_LISTENER_HITS_CLEAR};
  assign id_o = index_q;
  assign walk_o = state_q == StWalk;

  wire wait_hits = (flow_hits_valid && !flow_hits_ready) || (listener_hits_valid && !listener_hits_ready);
  wire start = wr_hit && wr_word == REG_STEER_COMMAND[7:2] && bus_i.wr_strb[0] && state_q == StIdle;

  always_ff @(posedge clk) begin
    unique case (state_q)
      StIdle:
      if (start) begin
        state_q <= StCheck;
        op_q <= bus_i.wr_data[STEER_COMMAND_OP_LSB+:STEER_COMMAND_OP_W];
        index_q <= {bus_i.wr_strb[3] ? bus_i.wr_data[31:24] : 8'd0, bus_i.wr_strb[2] ? bus_i.wr_data[23:16] : 8'd0};
        bad_q <= 1'b0;
      end
      StCheck: begin
        state_q <= accept ? StUse : StIdle;
        bad_q   <= !accept;
      end
      StUse:   if (!wait_hits) state_q <= StTake;
      StTake:  state_q <= StIdle;
      StWalk: begin
        walk_q <= walk_q + 1'b1;
        if (&walk_q) state_q <= StIdle;
      end
      default: state_q <= StIdle;
    endcase
    if (rst) begin
      state_q <= StWalk;
      walk_q  <= '0;
      bad_q   <= 1'b0;
    end
  end

  // ---- registers
  wire staging = wr_hit && state_q == StIdle;
  wire listener_key_t read_key = listener_entries_i[listener_place][ListenerEntryW-2-:ListenerKeyW];
  wire taken = state_q == StTake;

  always_ff @(posedge clk) begin
    if (staging && in_words(wr_word, REG_STEER_KEY_LOCAL[7:2]))
      key_q.local_addr <= put_word(
          key_q.local_addr, wr_word[1:0] - REG_STEER_KEY_LOCAL[3:2], bus_i.wr_data, bus_i.wr_strb);
    if (staging && in_words(wr_word, REG_STEER_KEY_REMOTE[7:2]))
      key_q.remote_addr <= put_word(
          key_q.remote_addr, wr_word[1:0] - REG_STEER_KEY_REMOTE[3:2], bus_i.wr_data, bus_i.wr_strb);
    if (staging && wr_word == REG_STEER_KEY_PORTS[7:2])
      {key_q.local_port, key_q.remote_port} <= tupelo_axil_pkg::merge(
          {key_q.local_port, key_q.remote_port}, bus_i.wr_data, bus_i.wr_strb);
    if (staging && wr_word == REG_STEER_KEY_PROTO[7:2]) begin
      if (bus_i.wr_strb[0]) key_q.proto <= bus_i.wr_data[STEER_KEY_PROTO_PROTO_LSB+:STEER_KEY_PROTO_PROTO_W];
      if (bus_i.wr_strb[1]) begin
        key_q.ipv6 <= bus_i.wr_data[STEER_KEY_PROTO_IPV6_LSB];
        any_q <= bus_i.wr_data[STEER_KEY_PROTO_ANY_LSB];
      end
    end
    if (staging && wr_word == REG_STEER_ENTRY[7:2]) begin
      if (bus_i.wr_strb[0]) info_q.target <= target_e'(bus_i.wr_data[STEER_ENTRY_TARGET_LSB+:STEER_ENTRY_TARGET_W]);
      if (bus_i.wr_strb[1]) info_q.pair <= bus_i.wr_data[STEER_ENTRY_PAIR_LSB+:STEER_ENTRY_PAIR_W];
    end
    if (staging && wr_word == REG_STEER_ENTRY_ID[7:2])
      {info_q.generation, info_q.id} <= tupelo_axil_pkg::merge(
          {info_q.generation, info_q.id}, bus_i.wr_data, bus_i.wr_strb);
    for (int unsigned w = 0; w < 12; w++)
    if (staging && wr_word == REG_STEER_TABLE_KEY[7:2] + 6'(w))
      key_o[32*(11-w)+:32] <= tupelo_axil_pkg::merge(key_o[32*(11-w)+:32], bus_i.wr_data, bus_i.wr_strb);

    if (taken && op_q == STEER_OP_FLOW_READ) begin
      {valid_q, key_q, info_q} <= flow_entries_i[flow_place];
      any_q <= 1'b0;
    end
    if (taken && op_q == STEER_OP_LISTENER_READ) begin
      valid_q <= listener_entries_i[listener_place][ListenerEntryW-1];
      info_q  <= listener_entries_i[listener_place][$bits(info_t)-1:0];
      any_q   <= read_key.any;
      key_q   <= '{
          ipv6: read_key.ipv6,
          proto: read_key.proto,
          local_addr: read_key.local_addr,
          remote_addr: '0,
          local_port: read_key.local_port,
          remote_port: '0
      };
    end
    if (taken && op_q == STEER_OP_FLOW_HITS_READ) count_q <= flow_count_i;
    if (taken && op_q == STEER_OP_LISTENER_HITS_READ) count_q <= listener_count_i;
    if (rst) begin
      {key_q, any_q, info_q, valid_q} <= '0;
      count_q <= '0;
      key_o   <= TableKeyReset;
    end
  end

  always_ff @(posedge clk) begin
    if (wr_hit && wr_word == REG_STEER_CONTROL[7:2] && bus_i.wr_strb[0])
      enable_o <= bus_i.wr_data[STEER_CONTROL_TABLES_ENABLE_LSB];
    if (wr_hit && wr_word == REG_STEER_LOCAL_SELECT[7:2] && bus_i.wr_strb[0])
      select_q <= bus_i.wr_data[STEER_LOCAL_SELECT_INDEX_LSB+:STEER_LOCAL_SELECT_INDEX_W];
    if (wr_hit && in_words(wr_word, REG_STEER_LOCAL_ADDR[7:2]))
      addr_q <= put_word(addr_q, wr_word[1:0] - REG_STEER_LOCAL_ADDR[3:2], bus_i.wr_data, bus_i.wr_strb);
    if (wr_hit && wr_word == REG_STEER_LOCAL_CONTROL[7:2] && bus_i.wr_strb[0]) begin
      locals_o[select_q].valid <= bus_i.wr_data[STEER_LOCAL_CONTROL_VALID_LSB];
      locals_o[select_q].ipv6  <= bus_i.wr_data[STEER_LOCAL_CONTROL_IPV6_LSB];
      locals_o[select_q].addr  <= addr_q & {{96{bus_i.wr_data[STEER_LOCAL_CONTROL_IPV6_LSB]}}, 32'hFFFF_FFFF};
    end
    if (rst) begin
      enable_o <= RESET_STEER_CONTROL[STEER_CONTROL_TABLES_ENABLE_LSB];
      {select_q, addr_q} <= '0;
      locals_o <= '0;
    end
  end

  always_ff @(posedge clk) begin
    if (bus_i.rd_p) begin
      rd_data_o <= '0;
      if (rd_hit) begin
        case (rd_word)
          REG_STEER_CONTROL[7:2]: rd_data_o[STEER_CONTROL_TABLES_ENABLE_LSB] <= enable_o;
          REG_STEER_FLOW_CAPACITY[7:2]: rd_data_o <= 32'(FLOWS);
          REG_STEER_LISTENER_CAPACITY[7:2]: rd_data_o <= 32'(LISTENERS);
          REG_STEER_LOCAL_SELECT[7:2]: rd_data_o[STEER_LOCAL_SELECT_INDEX_W-1:0] <= select_q;
          REG_STEER_LOCAL_CONTROL[7:2]: begin
            rd_data_o[STEER_LOCAL_CONTROL_VALID_LSB] <= locals_o[select_q].valid;
            rd_data_o[STEER_LOCAL_CONTROL_IPV6_LSB]  <= locals_o[select_q].ipv6;
          end
          REG_STEER_STATUS[7:2]: begin
            rd_data_o[STEER_STATUS_BUSY_LSB] <= state_q != StIdle;
            rd_data_o[STEER_STATUS_BAD_LSB]  <= bad_q;
          end
          REG_STEER_KEY_PORTS[7:2]: rd_data_o <= {key_q.local_port, key_q.remote_port};
          REG_STEER_KEY_PROTO[7:2]: begin
            rd_data_o[STEER_KEY_PROTO_PROTO_LSB+:STEER_KEY_PROTO_PROTO_W] <= key_q.proto;
            rd_data_o[STEER_KEY_PROTO_IPV6_LSB] <= key_q.ipv6;
            rd_data_o[STEER_KEY_PROTO_ANY_LSB] <= any_q;
          end
          REG_STEER_ENTRY[7:2]: begin
            rd_data_o[STEER_ENTRY_VALID_LSB] <= valid_q;
            rd_data_o[STEER_ENTRY_TARGET_LSB+:STEER_ENTRY_TARGET_W] <= info_q.target;
            rd_data_o[STEER_ENTRY_PAIR_LSB+:STEER_ENTRY_PAIR_W] <= info_q.pair;
          end
          REG_STEER_ENTRY_ID[7:2]: rd_data_o <= {info_q.generation, info_q.id};
          REG_STEER_HITS[7:2]: rd_data_o <= count_q[31:0];
          REG_STEER_HITS[7:2] + 6'd1: rd_data_o <= count_q[63:32];
          default: ;
        endcase
        for (int unsigned w = 0; w < 4; w++) begin
          if (rd_word == REG_STEER_LOCAL_ADDR[7:2] + 6'(w)) rd_data_o <= addr_q[32*(3-w)+:32];
          if (rd_word == REG_STEER_KEY_LOCAL[7:2] + 6'(w)) rd_data_o <= key_q.local_addr[32*(3-w)+:32];
          if (rd_word == REG_STEER_KEY_REMOTE[7:2] + 6'(w)) rd_data_o <= key_q.remote_addr[32*(3-w)+:32];
        end
        for (int unsigned w = 0; w < 12; w++)
        if (rd_word == REG_STEER_TABLE_KEY[7:2] + 6'(w)) rd_data_o <= key_o[32*(11-w)+:32];
      end
    end
  end

  wire unused = &{1'b0, bus_i.wr_addr[1:0], bus_i.rd_addr[1:0]};
endmodule
`default_nettype wire
