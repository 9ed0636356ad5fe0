// SPDX-License-Identifier: Apache-2.0
// tupelo_rss - receive side scaling: its register block, the hash of a frame's addresses and the indirection table
// Guarantees: one frame a cycle; m_hash, m_report and m_pair come 2 cycles behind s_valid. m_report is 0 and so is
//   m_hash where no enabled type fits: TCP or UDP over addresses and ports if that type is enabled, otherwise over
//   the addresses if the IP type is.
// Clock/reset: clk; rst synchronous, active high, clears the registers (key, types, table all 0).
// Contract: the registers change while frames pass only as far as it does not matter which value a frame meets.
// Spec: VIRTIO 1.2 section 5.1.6.4.3 and 5.1.6.4.4; docs/registers.md, block `rss`. Limits: no _EX types.
`default_nettype none
module tupelo_rss
  import tupelo_pkg::*;
  import tupelo_regs_pkg::*;
(
    input  wire                                    clk,
    input  wire                                    rst,
    input  wire tupelo_axil_pkg::axil_bus_t        bus_i,
    output logic                            [31:0] rd_data_o,
    output logic                                   enable_o,   // frames that no table claims go by the hash
    input  wire                                    s_valid,
    input  wire                                    s_hashes,   // the frame is IP and well formed
    input  wire parsed_t                           s_parsed,
    output logic                            [31:0] m_hash,
    output logic                            [ 7:0] m_report,
    output logic                            [ 7:0] m_pair      // as written: it may not exist
);
  localparam integer BlockBits = 8;
  localparam integer KeyWords = RSS_KEY_COUNT;
  localparam integer TableWords = RSS_TABLE_COUNT;
  localparam integer InputW = 288;  // two IPv6 addresses and two ports
  localparam integer Types = 6;

  logic [Types-1:0] types_q;
  logic [KeyWords-1:0][31:0] key_q;
  logic [31:0] table_mem[TableWords];
  logic [TableWords-1:0] written_q;  // words of the table that hold what was written; the others are 0

  wire wr_hit = bus_i.wr_p && bus_i.wr_addr[17:BlockBits] == BASE_RSS[17:BlockBits];
  wire rd_hit = bus_i.rd_addr[17:BlockBits] == BASE_RSS[17:BlockBits];
  wire [5:0] wr_word = bus_i.wr_addr[7:2];
  wire [5:0] rd_word = bus_i.rd_addr[7:2];
  wire [5:0] wr_key = wr_word - REG_RSS_KEY[7:2];
  wire [5:0] rd_key = rd_word - REG_RSS_KEY[7:2];

  function automatic logic [31:0] entry(input logic [31:0] word, input logic written);
    entry = written ? word : 32'd0;
  endfunction

  always_ff @(posedge clk) begin
    if (wr_hit) begin
      if (wr_word == REG_RSS_CONTROL[7:2] && bus_i.wr_strb[0]) enable_o <= bus_i.wr_data[RSS_CONTROL_RSS_ENABLE_LSB];
      if (wr_word == REG_RSS_HASH_TYPES[7:2] && bus_i.wr_strb[0]) types_q <= bus_i.wr_data[Types-1:0];
      if (wr_key < 6'(KeyWords))
        key_q[wr_key[3:0]] <= tupelo_axil_pkg::merge(key_q[wr_key[3:0]], bus_i.wr_data, bus_i.wr_strb);
      if (wr_word[5]) begin
        table_mem[wr_word[4:0]] <= tupelo_axil_pkg::merge(
            entry(table_mem[wr_word[4:0]], written_q[wr_word[4:0]]), bus_i.wr_data, bus_i.wr_strb
        );
        written_q[wr_word[4:0]] <= 1'b1;
      end
    end
    if (rst) begin
      enable_o  <= 1'b0;
      types_q   <= '0;
      key_q     <= '0;
      written_q <= '0;
    end
  end

  always_ff @(posedge clk) begin
    if (bus_i.rd_p) begin
      rd_data_o <= '0;
      if (rd_hit) begin
        if (rd_word == REG_RSS_CONTROL[7:2]) rd_data_o <= {31'd0, enable_o};
        if (rd_word == REG_RSS_HASH_TYPES[7:2]) rd_data_o <= {26'd0, types_q};
        if (rd_key < 6'(KeyWords)) rd_data_o <= key_q[rd_key[3:0]];
        if (rd_word[5]) rd_data_o <= entry(table_mem[rd_word[4:0]], written_q[rd_word[4:0]]);
      end
    end
  end

  // ---- hash
  // Report values, VIRTIO 1.2 section 5.1.6.4.4: one more than the type's bit number.
  // verilator lint_off UNUSEDSIGNAL  // takes the whole struct, looks at a part
  function automatic logic [7:0] report(input parsed_t p, input logic [Types-1:0] types);
    logic [2:0] ip_type, l4_type;
    ip_type = p.ipv6 ? 3'd3 : 3'd0;
    l4_type = ip_type + (p.tcp ? 3'd1 : 3'd2);
    if ((p.tcp || p.udp) && !p.fragment && types[l4_type]) report = {5'd0, l4_type} + 8'd1;
    else if (types[ip_type]) report = {5'd0, ip_type} + 8'd1;
    else report = 8'd0;
  endfunction

  function automatic logic with_ports(input logic [7:0] kind);
    with_ports = kind != 8'd1 && kind != 8'd4;
  endfunction

  // The hash's input, its first bit on top.
  function automatic logic [InputW-1:0] hash_input(input parsed_t p, input logic [7:0] kind);
    logic [31:0] ports;
    ports = with_ports(kind) ? {p.sport, p.dport} : 32'd0;
    hash_input = p.ipv6 ? {p.src, p.dst, ports} : {p.src[31:0], p.dst[31:0], ports, 192'd0};
  endfunction
  // verilator lint_on UNUSEDSIGNAL

  // First key bit on top; a word holds its first byte in its low byte.
  function automatic logic [8*4*KeyWords-1:0] key_bits(input logic [KeyWords-1:0][31:0] words);
    // No cost in simulation while no frame passes:
    /* verilator no_inline_task */
    for (int unsigned w = 0; w < KeyWords; w++)
    for (int unsigned b = 0; b < 4; b++) key_bits[8*(4*(KeyWords-1-w)+3-b)+:8] = words[w][8*b+:8];
  endfunction

  logic [8*4*KeyWords-1:0] key_stream_q;  // the key in the order of its bits, a cycle behind the registers
  logic key_written_q;
  logic [7:0] report_q, report_d;
  logic [InputW-1:0] input_d;
  logic [31:0] hash;
  logic hash_valid, hashes;

  always_comb begin
    report_d = '0;
    input_d  = '0;
    if (s_valid && s_hashes) begin
      report_d = report(s_parsed, types_q);
      input_d  = hash_input(s_parsed, report_d);
    end
    hashes = report_d != '0;
  end

  tupelo_toeplitz #(
      .IN_W (InputW),
      .OUT_W(32)
  ) u_hash (
      .clk    (clk),
      .rst    (rst),
      .key_i  (key_stream_q[8*4*KeyWords-1:1]),
      .s_valid(s_valid && hashes),
      .s_data (input_d),
      .m_valid(hash_valid),
      .m_hash (hash)
  );

  wire [31:0] table_word = entry(table_mem[hash[6:2]], written_q[hash[6:2]]);

  always_ff @(posedge clk) begin
    if (wr_hit) key_written_q <= 1'b1;
    else key_written_q <= rst;
    if (key_written_q) key_stream_q <= key_bits(key_q);
    if (s_valid) report_q <= report_d;
    m_hash   <= hash_valid ? hash : 32'd0;
    m_report <= hash_valid ? report_q : 8'd0;
    if (hash_valid) m_pair <= table_word[8*hash[1:0]+:8];
  end

  wire unused = &{1'b0, bus_i.wr_addr[1:0], bus_i.rd_addr[1:0], key_stream_q[0]};
endmodule
`default_nettype wire
