// SPDX-License-Identifier: Apache-2.0
// tupelo_rx_store - the receive buffer: frames go in as they come and leave in any order
// Guarantees: a beat in and a beat out a cycle, from frame to frame. A frame's room is free as soon as it has been read
//   or thrown away, wherever it lies: frames that stay take up their own beats and nothing else. The frame that comes
//   in can be taken back until its last beat. A frame to be read: first beat 3 cycles behind its command.
// Clock/reset: clk; rst synchronous, active high, empties it. s_abort takes back the beats of the unfinished frame.
// Contract: the writer looks at free_beats_o before it writes: there is no back-pressure on that side. A frame is known
//   by its first beat's place, told with commit_o; the reader's side counts its beats. Each frame is given back once,
//   by rd_valid or by toss_valid. No more than READS frames to be read wait at a time.
// How: beats are a linked list. A frame that is given back is one chain of free beats, pushed whole; frames that come
//   in take beats from the chain in hand, which is followed in order, so taking back restores where the writer stood.
`default_nettype none
module tupelo_rx_store #(
    parameter integer DATA_W = 512,  // bits of a beat, 128, 256, 512
    parameter integer BEATS  = 512,  // beats held, a power of two
    parameter integer BEATS_W = 8,   // bits of a frame's length in beats
    parameter integer READS  = 16,   // frames to be read that may wait, a power of two
    localparam integer AddrW  = $clog2(BEATS)
) (
    input  wire                clk,
    input  wire                rst,
    // in
    input  wire  [ DATA_W-1:0] s_data,
    input  wire                s_last,
    input  wire                s_valid,
    input  wire                s_abort,
    output wire  [    AddrW:0] free_beats_o,
    output wire                commit_o,      // pulse: the frame at commit_slot_o is whole
    output wire  [  AddrW-1:0] commit_slot_o,
    // frames to be read
    input  wire                rd_valid,
    input  wire  [  AddrW-1:0] rd_slot,
    input  wire  [BEATS_W-1:0] rd_beats,
    // frames to be thrown away
    input  wire                toss_valid,
    output wire                toss_ready,
    input  wire  [  AddrW-1:0] toss_slot,
    input  wire  [BEATS_W-1:0] toss_beats,
    // out
    output wire  [ DATA_W-1:0] m_data,
    output wire                m_last,
    output wire                m_valid,
    input  wire                m_ready
);
  typedef struct packed {
    logic [AddrW-1:0]   slot;
    logic [BEATS_W-1:0] beats;
  } chain_t;
  // Where the next beat goes: into the chain in hand, else to a place never used, else into the oldest free chain.
  typedef struct packed {
    logic [AddrW-1:0]   slot;
    logic [BEATS_W-1:0] left;
    logic [AddrW:0]     unused;
    logic [AddrW:0]     taken;   // chains taken from free_mem
  } cursor_t;

  logic [DATA_W-1:0] mem[BEATS];
  logic [AddrW-1:0] next_mem[BEATS];  // the beat behind, in a frame and in a free chain
  chain_t free_mem[BEATS];
  cursor_t at_q, start_q;  // now, and at the start of the frame
  logic [AddrW:0] given_q;  // chains put into free_mem
  logic [AddrW:0] used_q;  // beats
  logic [BEATS_W-1:0] beats_q;  // of the unfinished frame
  logic [AddrW-1:0] first_q, before_q;

  // ---- in
  wire in_chain = at_q.left != '0;
  wire fresh = !in_chain && !at_q.unused[AddrW];
  wire chain_t oldest = free_mem[at_q.taken[AddrW-1:0]];
  wire [AddrW-1:0] place = in_chain ? at_q.slot : fresh ? at_q.unused[AddrW-1:0] : oldest.slot;
  wire first = beats_q == '0;
  wire write = s_valid && !s_abort;
  cursor_t at_next;
  always_comb begin
    at_next = at_q;
    if (write) begin
      if (fresh) at_next.unused = at_q.unused + 1'b1;
      else begin
        at_next.slot = next_mem[place];
        at_next.left = (in_chain ? at_q.left : oldest.beats) - 1'b1;
        if (!in_chain) at_next.taken = at_q.taken + 1'b1;
      end
    end
  end
  assign commit_o      = write && s_last;
  assign commit_slot_o = first ? place : first_q;
  assign free_beats_o  = (AddrW + 1)'(BEATS) - used_q;

  // ---- out: the reader runs ahead of a four-word FIFO, so that the memory can be a synchronous block RAM
  chain_t job, job_q, given;
  wire jobs_ready, job_valid, out_ready;
  wire [$clog2(READS):0] jobs;
  wire [2:0] out_level;
  logic [DATA_W-1:0] read_q;
  logic read_valid_q, read_last_q;
  logic [AddrW-1:0] read_at_q;
  logic [BEATS_W-1:0] left_q;

  wire reading = left_q != '0;
  wire [AddrW-1:0] read_at = reading ? read_at_q : job.slot;
  wire [BEATS_W-1:0] left = reading ? left_q : job.beats;
  wire read = (reading || job_valid) && ({1'b0, out_level} + {3'b000, read_valid_q} < 4'd4);
  wire read_last = left == BEATS_W'(1);

  tupelo_fifo #(
      .WIDTH(AddrW + BEATS_W),
      .DEPTH(READS)
  ) u_jobs (
      .clk    (clk),
      .rst    (rst),
      .s_data ({rd_slot, rd_beats}),
      .s_valid(rd_valid),
      .s_ready(jobs_ready),
      .m_data (job),
      .m_valid(job_valid),
      .m_ready(read && !reading),
      .level_o(jobs)
  );

  // ---- back: what has been read comes first
  wire done = read && read_last;
  wire give = done || toss_valid;
  assign toss_ready = !done;
  assign given = !done ? '{slot: toss_slot, beats: toss_beats} : reading ? job_q : job;

  always_ff @(posedge clk) begin
    if (write) begin
      mem[place] <= s_data;
      if (!first) next_mem[before_q] <= place;
      before_q <= place;
      if (first) first_q <= place;
    end
    at_q <= s_abort ? start_q : at_next;
    if (commit_o) start_q <= at_next;
    beats_q <= s_abort || commit_o ? '0 : beats_q + BEATS_W'(write);
    if (give) free_mem[given_q[AddrW-1:0]] <= given;
    given_q <= given_q + (AddrW + 1)'(give);
    used_q  <= used_q + (AddrW + 1)'(write) - (s_abort ? (AddrW + 1)'(beats_q) : '0)
        - (give ? (AddrW + 1)'(given.beats) : '0);

    if (read) begin
      read_q      <= mem[read_at];
      read_last_q <= read_last;
      read_at_q   <= next_mem[read_at];
      left_q      <= left - 1'b1;
      if (!reading) job_q <= job;
    end
    read_valid_q <= read;
    if (rst) begin
      at_q         <= '0;
      start_q      <= '0;
      given_q      <= '0;
      used_q       <= '0;
      beats_q      <= '0;
      left_q       <= '0;
      read_valid_q <= 1'b0;
    end
  end

  tupelo_fifo #(
      .WIDTH(DATA_W + 1),
      .DEPTH(4)
  ) u_out (
      .clk    (clk),
      .rst    (rst),
      .s_data ({read_last_q, read_q}),
      .s_valid(read_valid_q),
      .s_ready(out_ready),
      .m_data ({m_last, m_data}),
      .m_valid(m_valid),
      .m_ready(m_ready),
      .level_o(out_level)
  );

`ifdef TUPELO_CHECKS
  always @(posedge clk) if (!rst) begin
    if (write && used_q == (AddrW + 1)'(BEATS)) $fatal(1, "%m overflow: a beat for a full buffer at %0t", $time);
    if (write && !in_chain && !fresh && at_q.taken == given_q) $fatal(1, "%m lost: no free beat at %0t", $time);
    if (give && used_q < (AddrW + 1)'(given.beats)) $fatal(1, "%m twice: too much given back at %0t", $time);
    if (rd_valid && !jobs_ready) $fatal(1, "%m overflow: too many frames to be read at %0t", $time);
    if (read_valid_q && !out_ready) $fatal(1, "%m lost: read-ahead word has no place at %0t", $time);
  end
`endif
  wire unused = &{1'b0, out_ready, jobs_ready, jobs};
endmodule
`default_nettype wire
