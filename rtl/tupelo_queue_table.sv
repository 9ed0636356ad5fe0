// SPDX-License-Identifier: Apache-2.0
// tupelo_queue_table - ring size, vector and the three ring addresses of every virtqueue
// Guarantees: a write is seen by every read port on the next cycle; reads are combinational.
// Clock/reset: clk; no reset: the owner clears every queue through clear_i before use
//   (size QUEUE_SIZE_MAX, vector 0xffff, addresses 0; VIRTIO 1.2 section 4.1.4.3).
// Contract: a clear that meets a write is done in the next cycle without one; only one may wait.
`default_nettype none
module tupelo_queue_table
  import tupelo_pkg::*;
#(
    parameter integer QUEUES         = 16,    // virtqueues, 2..128
    parameter integer QUEUE_SIZE_MAX = 1024,  // 2..32768
    parameter integer READ_PORTS     = 2,
    localparam integer QidxW = $clog2(QUEUES)
) (
    input  wire                              clk,
    input  wire                              clear_i,
    input  wire  [     QidxW-1:0]            clear_queue_i,
    input  wire                              we_i,
    input  wire  [     QidxW-1:0]            queue_i,
    input  wire  [           2:0]            field_i,        // as tupelo_bar's qt_field_o
    input  wire  [          31:0]            wdata_i,
    input  wire  [READ_PORTS-1:0][QidxW-1:0] rd_queue_i,
    output queue_cfg_t [READ_PORTS-1:0]      rd_cfg_o
);
  // A memory a field: a partial write needs no read, and each maps to distributed RAM.
  localparam integer Words = 6;  // desc, driver, device; low word first
  logic [15:0] size_mem[QUEUES];
  logic [15:0] vector_mem[QUEUES];

  logic late_q;
  logic [QidxW-1:0] late_queue_q;
  wire clear = (clear_i || late_q) && !we_i;
  wire [QidxW-1:0] wr_queue = we_i ? queue_i : late_q ? late_queue_q : clear_queue_i;

  always_ff @(posedge clk) begin
    late_q <= (clear_i || late_q) && we_i;
    if (clear_i) late_queue_q <= clear_queue_i;
    if (clear || (we_i && field_i == 3'd0)) size_mem[wr_queue] <= clear ? 16'(QUEUE_SIZE_MAX) : wdata_i[15:0];
    if (clear || (we_i && field_i == 3'd1)) vector_mem[wr_queue] <= clear ? 16'hffff : wdata_i[15:0];
  end

  wire [Words-1:0][READ_PORTS-1:0][31:0] word;
  for (genvar w = 0; w < Words; w++) begin : gen_word
    logic [31:0] mem[QUEUES];
    always_ff @(posedge clk)
      if (clear || (we_i && field_i == 3'(w + 2))) mem[wr_queue] <= clear ? 32'd0 : wdata_i;
    for (genvar p = 0; p < READ_PORTS; p++) begin : gen_port
      assign word[w][p] = mem[rd_queue_i[p]];
    end
  end

  for (genvar p = 0; p < READ_PORTS; p++) begin : gen_cfg
    assign rd_cfg_o[p] = '{
        size: size_mem[rd_queue_i[p]],
        vector: vector_mem[rd_queue_i[p]],
        desc: {word[1][p], word[0][p]},
        driver: {word[3][p], word[2][p]},
        device: {word[5][p], word[4][p]}
    };
  end
endmodule
`default_nettype wire
