// SPDX-License-Identifier: Apache-2.0
// tupelo_regs_pkg - register map of the BAR as constants
// Generated from rtl/regs/tupelo.rdl by `python -m sim.regs generate`; do not edit.
// Names: REG_<block>_<register> byte offset in the BAR (first copy of an array), RESET_* reset value,
//   <block>_<register>_<field>_LSB / _W place of a field, STAT_* index of a counter, FEATURE_* bit number.
`default_nettype none
package tupelo_regs_pkg;
  /* verilator lint_off UNUSEDPARAM */  // one package serves all modules; none uses every constant
  // virtio common configuration (VIRTIO 1.2 4.1.4.3)
  localparam logic [17:0] BASE_COMMON = 18'h00000;
  localparam logic [17:0] REG_COMMON_DEVICE_FEATURE_SELECT = 18'h00000;
  localparam logic [31:0] RESET_COMMON_DEVICE_FEATURE_SELECT = 32'h00000000;
  localparam logic [17:0] REG_COMMON_DEVICE_FEATURE = 18'h00004;
  localparam logic [17:0] REG_COMMON_DRIVER_FEATURE_SELECT = 18'h00008;
  localparam logic [31:0] RESET_COMMON_DRIVER_FEATURE_SELECT = 32'h00000000;
  localparam logic [17:0] REG_COMMON_DRIVER_FEATURE = 18'h0000c;
  localparam logic [31:0] RESET_COMMON_DRIVER_FEATURE = 32'h00000000;
  localparam logic [17:0] REG_COMMON_CONFIG_MSIX_VECTOR = 18'h00010;
  localparam logic [15:0] RESET_COMMON_CONFIG_MSIX_VECTOR = 16'hffff;
  localparam logic [17:0] REG_COMMON_NUM_QUEUES = 18'h00012;
  localparam logic [17:0] REG_COMMON_DEVICE_STATUS = 18'h00014;
  localparam logic [7:0] RESET_COMMON_DEVICE_STATUS = 8'h00;
  localparam integer COMMON_DEVICE_STATUS_ACKNOWLEDGE_LSB = 0;
  localparam integer COMMON_DEVICE_STATUS_ACKNOWLEDGE_W = 1;
  localparam integer COMMON_DEVICE_STATUS_DRIVER_LSB = 1;
  localparam integer COMMON_DEVICE_STATUS_DRIVER_W = 1;
  localparam integer COMMON_DEVICE_STATUS_DRIVER_OK_LSB = 2;
  localparam integer COMMON_DEVICE_STATUS_DRIVER_OK_W = 1;
  localparam integer COMMON_DEVICE_STATUS_FEATURES_OK_LSB = 3;
  localparam integer COMMON_DEVICE_STATUS_FEATURES_OK_W = 1;
  localparam integer COMMON_DEVICE_STATUS_DEVICE_NEEDS_RESET_LSB = 6;
  localparam integer COMMON_DEVICE_STATUS_DEVICE_NEEDS_RESET_W = 1;
  localparam integer COMMON_DEVICE_STATUS_FAILED_LSB = 7;
  localparam integer COMMON_DEVICE_STATUS_FAILED_W = 1;
  localparam logic [17:0] REG_COMMON_CONFIG_GENERATION = 18'h00015;
  localparam logic [7:0] RESET_COMMON_CONFIG_GENERATION = 8'h00;
  localparam logic [17:0] REG_COMMON_QUEUE_SELECT = 18'h00016;
  localparam logic [15:0] RESET_COMMON_QUEUE_SELECT = 16'h0000;
  localparam logic [17:0] REG_COMMON_QUEUE_SIZE = 18'h00018;
  localparam logic [17:0] REG_COMMON_QUEUE_MSIX_VECTOR = 18'h0001a;
  localparam logic [15:0] RESET_COMMON_QUEUE_MSIX_VECTOR = 16'hffff;
  localparam logic [17:0] REG_COMMON_QUEUE_ENABLE = 18'h0001c;
  localparam logic [15:0] RESET_COMMON_QUEUE_ENABLE = 16'h0000;
  localparam integer COMMON_QUEUE_ENABLE_ENABLE_LSB = 0;
  localparam integer COMMON_QUEUE_ENABLE_ENABLE_W = 1;
  localparam logic [17:0] REG_COMMON_QUEUE_NOTIFY_OFF = 18'h0001e;
  localparam logic [17:0] REG_COMMON_QUEUE_DESC = 18'h00020;
  localparam logic [63:0] RESET_COMMON_QUEUE_DESC = 64'h0000000000000000;
  localparam logic [17:0] REG_COMMON_QUEUE_DRIVER = 18'h00028;
  localparam logic [63:0] RESET_COMMON_QUEUE_DRIVER = 64'h0000000000000000;
  localparam logic [17:0] REG_COMMON_QUEUE_DEVICE = 18'h00030;
  localparam logic [63:0] RESET_COMMON_QUEUE_DEVICE = 64'h0000000000000000;
  localparam logic [17:0] REG_COMMON_QUEUE_NOTIFY_DATA = 18'h00038;
  localparam logic [17:0] REG_COMMON_QUEUE_RESET = 18'h0003a;
  localparam logic [15:0] RESET_COMMON_QUEUE_RESET = 16'h0000;
  localparam integer COMMON_QUEUE_RESET_RESET_LSB = 0;
  localparam integer COMMON_QUEUE_RESET_RESET_W = 1;

  // ISR status (VIRTIO 1.2 4.1.4.5)
  localparam logic [17:0] BASE_ISR = 18'h01000;
  localparam logic [17:0] REG_ISR = 18'h01000;
  localparam logic [7:0] RESET_ISR = 8'h00;
  localparam integer ISR_QUEUE_LSB = 0;
  localparam integer ISR_QUEUE_W = 1;
  localparam integer ISR_CONFIG_LSB = 1;
  localparam integer ISR_CONFIG_W = 1;

  // network device configuration (VIRTIO 1.2 5.1.4)
  localparam logic [17:0] BASE_NET = 18'h02000;
  localparam logic [17:0] REG_NET_MAC = 18'h02000;
  localparam integer NET_MAC_COUNT = 6;
  localparam integer NET_MAC_STRIDE = 1;
  localparam logic [17:0] REG_NET_STATUS = 18'h02006;
  localparam integer NET_STATUS_LINK_UP_LSB = 0;
  localparam integer NET_STATUS_LINK_UP_W = 1;
  localparam integer NET_STATUS_ANNOUNCE_LSB = 1;
  localparam integer NET_STATUS_ANNOUNCE_W = 1;
  localparam logic [17:0] REG_NET_MAX_VIRTQUEUE_PAIRS = 18'h02008;
  localparam logic [17:0] REG_NET_MTU = 18'h0200a;
  localparam logic [17:0] REG_NET_RSS_MAX_KEY_SIZE = 18'h02011;
  localparam logic [7:0] RESET_NET_RSS_MAX_KEY_SIZE = 8'h28;
  localparam logic [17:0] REG_NET_RSS_MAX_INDIRECTION_TABLE_LENGTH = 18'h02012;
  localparam logic [15:0] RESET_NET_RSS_MAX_INDIRECTION_TABLE_LENGTH = 16'h0080;
  localparam logic [17:0] REG_NET_SUPPORTED_HASH_TYPES = 18'h02014;
  localparam logic [31:0] RESET_NET_SUPPORTED_HASH_TYPES = 32'h0000003f;

  // notification area (VIRTIO 1.2 4.1.4.4)
  localparam logic [17:0] BASE_NOTIFY = 18'h03000;
  localparam integer NOTIFY_STRIDE = 4;
  localparam integer NOTIFY_COUNT_MAX = 128;
  localparam logic [17:0] REG_NOTIFY = 18'h03000;
  localparam logic [31:0] RESET_NOTIFY = 32'h00000000;
  localparam integer NOTIFY_QUEUE_LSB = 0;
  localparam integer NOTIFY_QUEUE_W = 16;
  localparam integer NOTIFY_NEXT_OFF_LSB = 16;
  localparam integer NOTIFY_NEXT_OFF_W = 15;
  localparam integer NOTIFY_NEXT_WRAP_LSB = 31;
  localparam integer NOTIFY_NEXT_WRAP_W = 1;

  // MSI-X table (PCIe 6.0 7.7.2.5)
  localparam logic [17:0] BASE_MSIX_TABLE = 18'h04000;
  localparam integer MSIX_TABLE_STRIDE = 16;
  localparam integer MSIX_TABLE_COUNT_MAX = 129;
  localparam logic [17:0] REG_MSIX_TABLE_ADDR_LO = 18'h04000;
  localparam logic [17:0] REG_MSIX_TABLE_ADDR_HI = 18'h04004;
  localparam logic [17:0] REG_MSIX_TABLE_DATA = 18'h04008;
  localparam logic [17:0] REG_MSIX_TABLE_CONTROL = 18'h0400c;
  localparam logic [31:0] RESET_MSIX_TABLE_CONTROL = 32'h00000001;
  localparam integer MSIX_TABLE_CONTROL_MASK_LSB = 0;
  localparam integer MSIX_TABLE_CONTROL_MASK_W = 1;

  // MSI-X pending bits (PCIe 6.0 7.7.2.10)
  localparam logic [17:0] BASE_MSIX_PBA = 18'h05000;
  localparam integer MSIX_PBA_STRIDE = 4;
  localparam integer MSIX_PBA_COUNT_MAX = 6;
  localparam logic [17:0] REG_MSIX_PBA = 18'h05000;
  localparam logic [31:0] RESET_MSIX_PBA = 32'h00000000;

  // vendor block
  localparam logic [17:0] BASE_VENDOR = 18'h08000;
  localparam logic [17:0] REG_VENDOR_MAGIC = 18'h08000;
  localparam logic [31:0] RESET_VENDOR_MAGIC = 32'h4c505554;
  localparam logic [17:0] REG_VENDOR_VERSION = 18'h08004;
  localparam logic [31:0] RESET_VENDOR_VERSION = 32'h00010001;
  localparam integer VENDOR_VERSION_MINOR_LSB = 0;
  localparam integer VENDOR_VERSION_MINOR_W = 16;
  localparam integer VENDOR_VERSION_MAJOR_LSB = 16;
  localparam integer VENDOR_VERSION_MAJOR_W = 16;
  localparam logic [17:0] REG_VENDOR_QUEUE_PAIRS = 18'h08008;
  localparam logic [17:0] REG_VENDOR_DATA_W = 18'h0800c;
  localparam logic [17:0] REG_VENDOR_QUEUE_SIZE_MAX = 18'h08010;
  localparam logic [17:0] REG_VENDOR_RD_SLOTS = 18'h08014;
  localparam logic [17:0] REG_VENDOR_DESC_CACHE = 18'h08018;
  localparam logic [17:0] REG_VENDOR_VECTORS = 18'h0801c;
  localparam logic [17:0] REG_VENDOR_MAX_FRAME = 18'h08020;
  localparam logic [31:0] RESET_VENDOR_MAX_FRAME = 32'h00002600;
  localparam logic [17:0] REG_VENDOR_MSIX_CONTROL = 18'h08030;
  localparam integer VENDOR_MSIX_CONTROL_TABLE_SIZE_LSB = 0;
  localparam integer VENDOR_MSIX_CONTROL_TABLE_SIZE_W = 11;
  localparam integer VENDOR_MSIX_CONTROL_FUNCTION_MASK_LSB = 14;
  localparam integer VENDOR_MSIX_CONTROL_FUNCTION_MASK_W = 1;
  localparam integer VENDOR_MSIX_CONTROL_ENABLE_LSB = 15;
  localparam integer VENDOR_MSIX_CONTROL_ENABLE_W = 1;
  localparam logic [17:0] REG_VENDOR_VQ_SELECT = 18'h08040;
  localparam logic [31:0] RESET_VENDOR_VQ_SELECT = 32'h00000000;
  localparam integer VENDOR_VQ_SELECT_VALUE_LSB = 0;
  localparam integer VENDOR_VQ_SELECT_VALUE_W = 16;
  localparam logic [17:0] REG_VENDOR_VQ_STATE = 18'h08044;
  localparam logic [31:0] RESET_VENDOR_VQ_STATE = 32'h00000000;
  localparam integer VENDOR_VQ_STATE_ENABLED_LSB = 0;
  localparam integer VENDOR_VQ_STATE_ENABLED_W = 1;
  localparam integer VENDOR_VQ_STATE_RESETTING_LSB = 1;
  localparam integer VENDOR_VQ_STATE_RESETTING_W = 1;
  localparam integer VENDOR_VQ_STATE_STOPPED_LSB = 2;
  localparam integer VENDOR_VQ_STATE_STOPPED_W = 1;
  localparam logic [17:0] REG_VENDOR_VQ_REASON = 18'h08048;
  localparam logic [31:0] RESET_VENDOR_VQ_REASON = 32'h00000000;
  localparam integer VENDOR_VQ_REASON_VALUE_LSB = 0;
  localparam integer VENDOR_VQ_REASON_VALUE_W = 8;
  localparam logic [17:0] REG_VENDOR_VQ_POS = 18'h0804c;
  localparam logic [31:0] RESET_VENDOR_VQ_POS = 32'h00000000;
  localparam logic [17:0] REG_VENDOR_VQ_ERR_ADDR = 18'h08050;
  localparam logic [63:0] RESET_VENDOR_VQ_ERR_ADDR = 64'h0000000000000000;
  localparam logic [17:0] REG_VENDOR_BAD_DOORBELL_COUNT = 18'h08060;
  localparam logic [31:0] RESET_VENDOR_BAD_DOORBELL_COUNT = 32'h00000000;
  localparam logic [17:0] REG_VENDOR_BAD_DOORBELL_LAST = 18'h08064;
  localparam logic [31:0] RESET_VENDOR_BAD_DOORBELL_LAST = 32'h00000000;
  localparam integer VENDOR_BAD_DOORBELL_LAST_VALUE_LSB = 0;
  localparam integer VENDOR_BAD_DOORBELL_LAST_VALUE_W = 16;
  localparam integer VENDOR_BAD_DOORBELL_LAST_QUEUE_LSB = 16;
  localparam integer VENDOR_BAD_DOORBELL_LAST_QUEUE_W = 16;
  localparam logic [17:0] REG_VENDOR_FEATURES_OFFERED = 18'h08070;
  localparam logic [63:0] RESET_VENDOR_FEATURES_OFFERED = 64'h020001573001b82b;
  localparam logic [17:0] REG_VENDOR_FEATURES_ACCEPTED = 18'h08078;
  localparam logic [63:0] RESET_VENDOR_FEATURES_ACCEPTED = 64'h0000000000000000;
  localparam logic [17:0] REG_VENDOR_VQ_STOPPED = 18'h08080;
  localparam integer VENDOR_VQ_STOPPED_COUNT = 4;
  localparam integer VENDOR_VQ_STOPPED_STRIDE = 4;
  localparam logic [31:0] RESET_VENDOR_VQ_STOPPED = 32'h00000000;
  localparam logic [17:0] REG_VENDOR_FEATURE_ENABLE = 18'h080e0;
  localparam logic [63:0] RESET_VENDOR_FEATURE_ENABLE = 64'h000001573001b82b;
  localparam logic [17:0] REG_VENDOR_STAT_SNAPSHOT = 18'h080e8;
  localparam logic [31:0] RESET_VENDOR_STAT_SNAPSHOT = 32'h00000000;
  localparam integer VENDOR_STAT_SNAPSHOT_HOLD_LSB = 0;
  localparam integer VENDOR_STAT_SNAPSHOT_HOLD_W = 1;

  // steering tables
  localparam logic [17:0] BASE_STEER = 18'h09000;
  localparam logic [17:0] REG_STEER_CONTROL = 18'h09000;
  localparam logic [31:0] RESET_STEER_CONTROL = 32'h00000000;
  localparam integer STEER_CONTROL_TABLES_ENABLE_LSB = 0;
  localparam integer STEER_CONTROL_TABLES_ENABLE_W = 1;
  localparam logic [17:0] REG_STEER_FLOW_CAPACITY = 18'h09004;
  localparam logic [17:0] REG_STEER_LISTENER_CAPACITY = 18'h09008;
  localparam logic [17:0] REG_STEER_LOCAL_SELECT = 18'h0900c;
  localparam logic [31:0] RESET_STEER_LOCAL_SELECT = 32'h00000000;
  localparam integer STEER_LOCAL_SELECT_INDEX_LSB = 0;
  localparam integer STEER_LOCAL_SELECT_INDEX_W = 3;
  localparam logic [17:0] REG_STEER_LOCAL_ADDR = 18'h09010;
  localparam integer STEER_LOCAL_ADDR_COUNT = 4;
  localparam integer STEER_LOCAL_ADDR_STRIDE = 4;
  localparam logic [31:0] RESET_STEER_LOCAL_ADDR = 32'h00000000;
  localparam logic [17:0] REG_STEER_LOCAL_CONTROL = 18'h09020;
  localparam logic [31:0] RESET_STEER_LOCAL_CONTROL = 32'h00000000;
  localparam integer STEER_LOCAL_CONTROL_VALID_LSB = 0;
  localparam integer STEER_LOCAL_CONTROL_VALID_W = 1;
  localparam integer STEER_LOCAL_CONTROL_IPV6_LSB = 1;
  localparam integer STEER_LOCAL_CONTROL_IPV6_W = 1;
  localparam logic [17:0] REG_STEER_COMMAND = 18'h09028;
  localparam logic [31:0] RESET_STEER_COMMAND = 32'h00000000;
  localparam integer STEER_COMMAND_OP_LSB = 0;
  localparam integer STEER_COMMAND_OP_W = 4;
  localparam integer STEER_COMMAND_INDEX_LSB = 16;
  localparam integer STEER_COMMAND_INDEX_W = 16;
  localparam logic [17:0] REG_STEER_STATUS = 18'h0902c;
  localparam logic [31:0] RESET_STEER_STATUS = 32'h00000000;
  localparam integer STEER_STATUS_BUSY_LSB = 0;
  localparam integer STEER_STATUS_BUSY_W = 1;
  localparam integer STEER_STATUS_BAD_LSB = 1;
  localparam integer STEER_STATUS_BAD_W = 1;
  localparam logic [17:0] REG_STEER_KEY_LOCAL = 18'h09030;
  localparam integer STEER_KEY_LOCAL_COUNT = 4;
  localparam integer STEER_KEY_LOCAL_STRIDE = 4;
  localparam logic [31:0] RESET_STEER_KEY_LOCAL = 32'h00000000;
  localparam logic [17:0] REG_STEER_KEY_REMOTE = 18'h09040;
  localparam integer STEER_KEY_REMOTE_COUNT = 4;
  localparam integer STEER_KEY_REMOTE_STRIDE = 4;
  localparam logic [31:0] RESET_STEER_KEY_REMOTE = 32'h00000000;
  localparam logic [17:0] REG_STEER_KEY_PORTS = 18'h09050;
  localparam logic [31:0] RESET_STEER_KEY_PORTS = 32'h00000000;
  localparam integer STEER_KEY_PORTS_REMOTE_LSB = 0;
  localparam integer STEER_KEY_PORTS_REMOTE_W = 16;
  localparam integer STEER_KEY_PORTS_LOCAL_LSB = 16;
  localparam integer STEER_KEY_PORTS_LOCAL_W = 16;
  localparam logic [17:0] REG_STEER_KEY_PROTO = 18'h09054;
  localparam logic [31:0] RESET_STEER_KEY_PROTO = 32'h00000000;
  localparam integer STEER_KEY_PROTO_PROTO_LSB = 0;
  localparam integer STEER_KEY_PROTO_PROTO_W = 8;
  localparam integer STEER_KEY_PROTO_IPV6_LSB = 8;
  localparam integer STEER_KEY_PROTO_IPV6_W = 1;
  localparam integer STEER_KEY_PROTO_ANY_LSB = 9;
  localparam integer STEER_KEY_PROTO_ANY_W = 1;
  localparam logic [17:0] REG_STEER_ENTRY = 18'h09058;
  localparam logic [31:0] RESET_STEER_ENTRY = 32'h00000000;
  localparam integer STEER_ENTRY_VALID_LSB = 0;
  localparam integer STEER_ENTRY_VALID_W = 1;
  localparam integer STEER_ENTRY_TARGET_LSB = 1;
  localparam integer STEER_ENTRY_TARGET_W = 2;
  localparam integer STEER_ENTRY_PAIR_LSB = 8;
  localparam integer STEER_ENTRY_PAIR_W = 6;
  localparam logic [17:0] REG_STEER_ENTRY_ID = 18'h0905c;
  localparam logic [31:0] RESET_STEER_ENTRY_ID = 32'h00000000;
  localparam integer STEER_ENTRY_ID_ID_LSB = 0;
  localparam integer STEER_ENTRY_ID_ID_W = 16;
  localparam integer STEER_ENTRY_ID_GENERATION_LSB = 16;
  localparam integer STEER_ENTRY_ID_GENERATION_W = 16;
  localparam logic [17:0] REG_STEER_HITS = 18'h09060;
  localparam logic [63:0] RESET_STEER_HITS = 64'h0000000000000000;
  localparam logic [17:0] REG_STEER_TABLE_KEY = 18'h09080;
  localparam integer STEER_TABLE_KEY_COUNT = 12;
  localparam integer STEER_TABLE_KEY_STRIDE = 4;

  // receive side scaling (VIRTIO 1.2 5.1.6.4)
  localparam logic [17:0] BASE_RSS = 18'h09400;
  localparam logic [17:0] REG_RSS_CONTROL = 18'h09400;
  localparam logic [31:0] RESET_RSS_CONTROL = 32'h00000000;
  localparam integer RSS_CONTROL_RSS_ENABLE_LSB = 0;
  localparam integer RSS_CONTROL_RSS_ENABLE_W = 1;
  localparam logic [17:0] REG_RSS_HASH_TYPES = 18'h09404;
  localparam logic [31:0] RESET_RSS_HASH_TYPES = 32'h00000000;
  localparam integer RSS_HASH_TYPES_IPV4_LSB = 0;
  localparam integer RSS_HASH_TYPES_IPV4_W = 1;
  localparam integer RSS_HASH_TYPES_TCPV4_LSB = 1;
  localparam integer RSS_HASH_TYPES_TCPV4_W = 1;
  localparam integer RSS_HASH_TYPES_UDPV4_LSB = 2;
  localparam integer RSS_HASH_TYPES_UDPV4_W = 1;
  localparam integer RSS_HASH_TYPES_IPV6_LSB = 3;
  localparam integer RSS_HASH_TYPES_IPV6_W = 1;
  localparam integer RSS_HASH_TYPES_TCPV6_LSB = 4;
  localparam integer RSS_HASH_TYPES_TCPV6_W = 1;
  localparam integer RSS_HASH_TYPES_UDPV6_LSB = 5;
  localparam integer RSS_HASH_TYPES_UDPV6_W = 1;
  localparam logic [17:0] REG_RSS_KEY = 18'h09410;
  localparam integer RSS_KEY_COUNT = 10;
  localparam integer RSS_KEY_STRIDE = 4;
  localparam logic [31:0] RESET_RSS_KEY = 32'h00000000;
  localparam logic [17:0] REG_RSS_TABLE = 18'h09480;
  localparam integer RSS_TABLE_COUNT = 32;
  localparam integer RSS_TABLE_STRIDE = 4;
  localparam logic [31:0] RESET_RSS_TABLE = 32'h00000000;

  // guard and windows
  localparam logic [17:0] BASE_GUARD = 18'h09800;
  localparam logic [17:0] REG_GUARD_SELECT = 18'h09800;
  localparam logic [31:0] RESET_GUARD_SELECT = 32'h00000000;
  localparam integer GUARD_SELECT_PAIR_LSB = 0;
  localparam integer GUARD_SELECT_PAIR_W = 8;
  localparam integer GUARD_SELECT_RANGE_LSB = 8;
  localparam integer GUARD_SELECT_RANGE_W = 2;
  localparam logic [17:0] REG_GUARD_PAIR_CONTROL = 18'h09804;
  localparam logic [31:0] RESET_GUARD_PAIR_CONTROL = 32'h00000000;
  localparam integer GUARD_PAIR_CONTROL_GUARD_LSB = 0;
  localparam integer GUARD_PAIR_CONTROL_GUARD_W = 1;
  localparam integer GUARD_PAIR_CONTROL_WINDOWS_LSB = 1;
  localparam integer GUARD_PAIR_CONTROL_WINDOWS_W = 1;
  localparam logic [17:0] REG_GUARD_WIN_BASE = 18'h09808;
  localparam logic [63:0] RESET_GUARD_WIN_BASE = 64'h0000000000000000;
  localparam logic [17:0] REG_GUARD_WIN_LAST = 18'h09810;
  localparam logic [63:0] RESET_GUARD_WIN_LAST = 64'h0000000000000000;
  localparam logic [17:0] REG_GUARD_WIN_RIGHTS = 18'h09818;
  localparam logic [31:0] RESET_GUARD_WIN_RIGHTS = 32'h00000000;
  localparam integer GUARD_WIN_RIGHTS_READ_LSB = 0;
  localparam integer GUARD_WIN_RIGHTS_READ_W = 1;
  localparam integer GUARD_WIN_RIGHTS_WRITE_LSB = 1;
  localparam integer GUARD_WIN_RIGHTS_WRITE_W = 1;
  localparam logic [17:0] REG_GUARD_STATUS = 18'h0981c;
  localparam logic [31:0] RESET_GUARD_STATUS = 32'h00000000;
  localparam integer GUARD_STATUS_REFUSED_LSB = 0;
  localparam integer GUARD_STATUS_REFUSED_W = 1;

  // transmit scheduler
  localparam logic [17:0] BASE_SCHED = 18'h09c00;
  localparam logic [17:0] REG_SCHED_SELECT = 18'h09c00;
  localparam logic [31:0] RESET_SCHED_SELECT = 32'h00000000;
  localparam integer SCHED_SELECT_PAIR_LSB = 0;
  localparam integer SCHED_SELECT_PAIR_W = 8;
  localparam logic [17:0] REG_SCHED_WEIGHT = 18'h09c04;
  localparam logic [31:0] RESET_SCHED_WEIGHT = 32'h00000020;
  localparam integer SCHED_WEIGHT_WEIGHT_LSB = 0;
  localparam integer SCHED_WEIGHT_WEIGHT_W = 16;
  localparam logic [17:0] REG_SCHED_CLASS = 18'h09c08;
  localparam logic [31:0] RESET_SCHED_CLASS = 32'h00000000;
  localparam integer SCHED_CLASS_HIGH_LSB = 0;
  localparam integer SCHED_CLASS_HIGH_W = 1;
  localparam logic [17:0] REG_SCHED_RATE = 18'h09c0c;
  localparam logic [31:0] RESET_SCHED_RATE = 32'h00000000;
  localparam logic [17:0] REG_SCHED_BURST = 18'h09c10;
  localparam logic [31:0] RESET_SCHED_BURST = 32'h00010000;
  localparam logic [17:0] REG_SCHED_READ_COST = 18'h09c14;
  localparam logic [31:0] RESET_SCHED_READ_COST = 32'h00000000;
  localparam integer SCHED_READ_COST_BYTES_LSB = 0;
  localparam integer SCHED_READ_COST_BYTES_W = 8;

  // interrupt moderation
  localparam logic [17:0] BASE_MODERATION = 18'h0a000;
  localparam logic [17:0] REG_MODERATION_SELECT = 18'h0a000;
  localparam logic [31:0] RESET_MODERATION_SELECT = 32'h00000000;
  localparam integer MODERATION_SELECT_QUEUE_LSB = 0;
  localparam integer MODERATION_SELECT_QUEUE_W = 8;
  localparam logic [17:0] REG_MODERATION_COUNT = 18'h0a004;
  localparam logic [31:0] RESET_MODERATION_COUNT = 32'h00000000;
  localparam integer MODERATION_COUNT_COUNT_LSB = 0;
  localparam integer MODERATION_COUNT_COUNT_W = 16;
  localparam logic [17:0] REG_MODERATION_TIME = 18'h0a008;
  localparam logic [31:0] RESET_MODERATION_TIME = 32'h00000000;
  localparam integer MODERATION_TIME_TIME_LSB = 0;
  localparam integer MODERATION_TIME_TIME_W = 16;

  // global statistics
  localparam logic [17:0] BASE_STAT = 18'h10000;

  // virtqueue statistics
  localparam logic [17:0] BASE_STAT_QUEUE = 18'h10200;
  localparam integer STAT_QUEUE_STRIDE = 64;
  localparam integer STAT_QUEUE_COUNT_MAX = 128;

  // Feature bit numbers (VIRTIO 1.2 5.1.3 and 6)
  localparam integer FEATURE_NET_CSUM = 0;
  localparam integer FEATURE_NET_GUEST_CSUM = 1;
  localparam integer FEATURE_NET_MTU = 3;
  localparam integer FEATURE_NET_MAC = 5;
  localparam integer FEATURE_NET_HOST_TSO4 = 11;
  localparam integer FEATURE_NET_HOST_TSO6 = 12;
  localparam integer FEATURE_NET_HOST_ECN = 13;
  localparam integer FEATURE_NET_MRG_RXBUF = 15;
  localparam integer FEATURE_NET_STATUS = 16;
  localparam integer FEATURE_RING_INDIRECT_DESC = 28;
  localparam integer FEATURE_RING_EVENT_IDX = 29;
  localparam integer FEATURE_VERSION_1 = 32;
  localparam integer FEATURE_ACCESS_PLATFORM = 33;
  localparam integer FEATURE_RING_PACKED = 34;
  localparam integer FEATURE_ORDER_PLATFORM = 36;
  localparam integer FEATURE_NOTIFICATION_DATA = 38;
  localparam integer FEATURE_RING_RESET = 40;
  localparam integer FEATURE_NET_HASH_REPORT = 57;
  localparam logic [63:0] FEATURES_OFFERED = 64'h020001573001b82b;

  // Statistics: counter c of queue q has index STAT_QUEUE_BASE + STAT_QUEUE_STEP * q + c
  localparam integer STAT_TX_FRAMES = 0;
  localparam integer STAT_TX_BYTES = 1;
  localparam integer STAT_RX_FRAMES = 2;
  localparam integer STAT_RX_BYTES = 3;
  localparam integer STAT_RX_WIRE_FRAMES = 4;
  localparam integer STAT_RX_DROP_BAD = 5;
  localparam integer STAT_RX_DROP_SHORT = 6;
  localparam integer STAT_RX_DROP_LONG = 7;
  localparam integer STAT_RX_DROP_OVERFLOW = 8;
  localparam integer STAT_RX_DROP_NO_BUFFER = 9;
  localparam integer STAT_RX_DROP_TOO_SMALL = 10;
  localparam integer STAT_RX_DROP_QUEUE_ERROR = 11;
  localparam integer STAT_TX_DROP_SHORT = 12;
  localparam integer STAT_TX_DROP_LONG = 13;
  localparam integer STAT_TX_DROP_HEADER = 14;
  localparam integer STAT_TX_DROP_QUEUE_ERROR = 15;
  localparam integer STAT_MSIX_SENT = 16;
  localparam integer STAT_DESC_FETCHES = 17;
  localparam integer STAT_DMA_READ_ERRORS = 18;
  localparam integer STAT_DMA_WRITE_ERRORS = 19;
  localparam integer STAT_RX_DROP_RESET = 20;
  localparam integer STAT_TX_DROP_RESET = 21;
  localparam integer STAT_RX_MALFORMED = 22;
  localparam integer STAT_RX_FRAGMENTS = 23;
  localparam integer STAT_RX_STEER_FLOW = 24;
  localparam integer STAT_RX_STEER_LISTENER = 25;
  localparam integer STAT_RX_STEER_ANY = 26;
  localparam integer STAT_RX_STEER_RSS = 27;
  localparam integer STAT_RX_STEER_HOST = 28;
  localparam integer STAT_RX_DROP_FILTER = 29;
  localparam integer STAT_RX_CSUM_OK = 30;
  localparam integer STAT_RX_CSUM_BAD = 31;
  localparam integer STAT_TX_DROP_GUARD_MAC = 32;
  localparam integer STAT_TX_DROP_GUARD_PROTO = 33;
  localparam integer STAT_TX_DROP_GUARD_FRAGMENT = 34;
  localparam integer STAT_TX_DROP_GUARD_OWNER = 35;
  localparam integer STAT_TX_DROP_GUARD_TUPLE = 36;
  localparam integer STAT_TX_CSUM_FRAMES = 37;
  localparam integer STAT_TX_TSO_FRAMES = 38;
  localparam integer STAT_TX_TSO_SEGMENTS = 39;
  localparam integer STAT_RX_BUFFERS = 40;
  localparam integer STAT_INDIRECT_TABLES = 41;
  localparam integer STAT_TX_CHAINS = 42;
  localparam integer STAT_IRQ_MODERATED = 43;
  localparam integer STAT_QUEUE_BASE = 64;
  localparam integer STAT_QUEUE_STEP = 8;
  localparam integer STAT_QUEUE_FRAMES = 0;
  localparam integer STAT_QUEUE_BYTES = 1;
  localparam integer STAT_QUEUE_USED_DESCRIPTORS = 2;
  localparam integer STAT_QUEUE_INTERRUPTS = 3;
  localparam integer STAT_QUEUE_KICKS = 4;
  localparam integer STAT_QUEUE_DROPS = 5;
  localparam integer STAT_QUEUE_EVENT_READS = 6;
  localparam integer STAT_QUEUE_DESC_FETCHES = 7;

  typedef enum logic [7:0] {
    // Not stopped.
    STOP_REASON_NONE = 8'd0,
    // Ring size or a ring address is illegal.
    STOP_REASON_RING_CONFIG = 8'd1,
    // Reading descriptors gave a bus error.
    STOP_REASON_DESC_READ = 8'd2,
    // Reading the driver event suppression structure gave a bus error.
    STOP_REASON_EVENT_READ = 8'd3,
    // Reading frame data gave a bus error.
    STOP_REASON_DATA_READ = 8'd4,
    // Writing frame data gave a bus error.
    STOP_REASON_DATA_WRITE = 8'd5,
    // Writing a used descriptor gave a bus error.
    STOP_REASON_USED_WRITE = 8'd6,
    // Writing the device event suppression structure gave a bus error.
    STOP_REASON_EVENT_WRITE = 8'd7,
    // A descriptor's length is zero or too large.
    STOP_REASON_DESC_LENGTH = 8'd8,
    // WRITE in a transmit ring, missing in a receive ring, or INDIRECT not negotiated.
    STOP_REASON_DESC_FLAGS = 8'd9,
    // A chain continues into a descriptor that is not available.
    STOP_REASON_CHAIN_BROKEN = 8'd10,
    // A chain is longer than the ring or the descriptor cache.
    STOP_REASON_CHAIN_LONG = 8'd11,
    // A ring area, indirect table or buffer is outside the windows of the queue pair.
    STOP_REASON_WINDOW = 8'd12,
    // An indirect table's length is 0, no multiple of 16 or too large, it is nested, or its descriptor has NEXT.
    STOP_REASON_INDIRECT = 8'd13
  } stop_reason_e;

  typedef enum logic [3:0] {
    // Nothing.
    STEER_OP_NONE = 4'd0,
    // Write key and entry to the flow slot.
    STEER_OP_FLOW_WRITE = 4'd1,
    // Empty the flow slot.
    STEER_OP_FLOW_CLEAR = 4'd2,
    // Read the flow slot into key and entry.
    STEER_OP_FLOW_READ = 4'd3,
    // Write key and entry to the listener slot.
    STEER_OP_LISTENER_WRITE = 4'd4,
    // Empty the listener slot.
    STEER_OP_LISTENER_CLEAR = 4'd5,
    // Read the listener slot into key and entry.
    STEER_OP_LISTENER_READ = 4'd6,
    // Read the hit counter of a flow's id into hits.
    STEER_OP_FLOW_HITS_READ = 4'd7,
    // Zero the hit counter of a flow's id.
    STEER_OP_FLOW_HITS_CLEAR = 4'd8,
    // Read the hit counter of a listener's id into hits.
    STEER_OP_LISTENER_HITS_READ = 4'd9,
    // Zero the hit counter of a listener's id.
    STEER_OP_LISTENER_HITS_CLEAR = 4'd10
  } steer_op_e;

  typedef enum logic [1:0] {
    // To the receive queue of `pair`.
    STEER_TARGET_QUEUE = 2'd0,
    // To the host, queue pair 0.
    STEER_TARGET_HOST = 2'd1,
    // Dropped and counted in rx_drop_filter.
    STEER_TARGET_DROP = 2'd2
  } steer_target_e;
  /* verilator lint_on UNUSEDPARAM */
endpackage
`default_nettype wire
