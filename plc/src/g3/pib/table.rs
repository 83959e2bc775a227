//! The table of attributes, in the order of their numbers, and names for those that the code asks for.

use super::{Attribute, Kind};

const fn row(id: u32, name: &'static str, kind: Kind) -> Attribute {
    Attribute { id, name, kind }
}

/// Of the adaptation layer, G.9903 table 9-30; from 0800_0000 on the maker's own.
pub static ADP: &[Attribute] = &[
    row(0x00, "security_level", Kind::U8),
    row(0x01, "prefix_table", Kind::Prefix),
    row(0x02, "broadcast_log_table_entry_ttl", Kind::U16),
    row(0x03, "metric_type", Kind::U8),
    row(0x04, "low_lqi_value", Kind::U8),
    row(0x05, "high_lqi_value", Kind::U8),
    row(0x06, "rrep_wait", Kind::U8),
    row(0x07, "context_information_table", Kind::Context),
    row(0x08, "coord_short_address", Kind::U16),
    row(0x09, "rlc_enabled", Kind::Bool),
    row(0x0a, "add_rev_link_cost", Kind::U8),
    row(0x0b, "broadcast_log_table", Kind::BroadcastLog),
    row(0x0c, "routing_table", Kind::Route),
    row(0x0d, "unicast_rreq_gen_enable", Kind::Bool),
    row(0x0e, "group_table", Kind::Group),
    row(0x0f, "max_hops", Kind::U8),
    row(0x10, "device_type", Kind::U8),
    row(0x11, "net_traversal_time", Kind::U8),
    row(0x12, "routing_table_entry_ttl", Kind::U16),
    row(0x13, "kr", Kind::U8),
    row(0x14, "km", Kind::U8),
    row(0x15, "kc", Kind::U8),
    row(0x16, "kq", Kind::U8),
    row(0x17, "kh", Kind::U8),
    row(0x18, "rreq_retries", Kind::U8),
    row(0x19, "rreq_wait", Kind::U8),
    row(0x1a, "weak_lqi_value", Kind::U8),
    row(0x1b, "krt", Kind::U8),
    row(0x1c, "soft_version", Kind::Octets),
    row(0x1d, "sniffer_mode", Kind::U8),
    row(0x1e, "blacklist_table", Kind::Blacklist),
    row(0x1f, "blacklist_table_entry_ttl", Kind::U16),
    row(0x20, "max_join_wait_time", Kind::U16),
    row(0x21, "path_discovery_time", Kind::U8),
    row(0x22, "active_key_index", Kind::U8),
    row(0x23, "destination_address_set", Kind::U16),
    row(0x24, "default_coord_route_enabled", Kind::Bool),
    row(0x25, "delay_low_lqi", Kind::U16),
    row(0x26, "delay_high_lqi", Kind::U16),
    row(0x27, "rreq_jitter_low_lqi", Kind::U8),
    row(0x28, "rreq_jitter_high_lqi", Kind::U8),
    row(0x29, "trickle_data_enabled", Kind::Bool),
    row(0x2a, "trickle_lqi_threshold_low", Kind::U8),
    row(0x2b, "trickle_step", Kind::U8),
    row(0x2d, "trickle_imin", Kind::U16),
    row(0x2e, "trickle_max_ki", Kind::U8),
    row(0x2f, "trickle_adaptive_imin", Kind::U8),
    row(0x30, "trickle_adaptive_ki", Kind::U8),
    row(0x31, "cluster_trickle_enabled", Kind::Bool),
    row(0x32, "cluster_min_lqi", Kind::U8),
    row(0x33, "cluster_trickle_k", Kind::U8),
    row(0x34, "cluster_rreq_route_cost_deviation", Kind::U8),
    row(0x35, "cluster_trickle_i", Kind::U16),
    row(0x36, "trickle_lqi_threshold_high", Kind::U8),
    row(0xd0, "low_lqi_value_rf", Kind::U8),
    row(0xd1, "high_lqi_value_rf", Kind::U8),
    row(0xd2, "kq_rf", Kind::U8),
    row(0xd3, "kh_rf", Kind::U8),
    row(0xd4, "krt_rf", Kind::U8),
    row(0xd5, "kdc_rf", Kind::U8),
    row(0xd6, "use_backup_media", Kind::Bool),
    row(0xd7, "weak_lqi_value_rf", Kind::U8),
    row(0xf0, "disable_default_routing", Kind::Bool),
    row(0x0800_00c0, "manuf_reassembly_timer", Kind::U16),
    row(0x0800_00c1, "manuf_ipv6_header_compression", Kind::Bool),
    row(0x0800_00c3, "manuf_pan_id", Kind::U16),
    row(0x0800_00c4, "manuf_broadcast_sequence_number", Kind::U8),
    row(0x0800_00c6, "manuf_datagram_tag", Kind::U16),
    row(0x0800_00c8, "manuf_routing_table_count", Kind::U32),
    row(0x0800_00c9, "manuf_discover_sequence_number", Kind::U16),
    row(0x0800_00ca, "manuf_forced_no_ack_request", Kind::Bool),
    row(0x0800_00cb, "manuf_lqi_to_coord", Kind::U8),
    row(0x0800_00cc, "manuf_broadcast_route_all", Kind::U8),
    row(0x0800_00ce, "manuf_adp_version", Kind::Octets),
    row(0x0800_00cf, "manuf_circular_routes_detected", Kind::U16),
    row(0x0800_00d0, "manuf_last_circular_route_address", Kind::U16),
    row(0x0800_00d1, "manuf_ipv6_ula_dest_short_address", Kind::U16),
    row(0x0800_00d2, "manuf_max_repair_resend_attempts", Kind::U8),
    row(0x0800_00d3, "manuf_disable_auto_rreq", Kind::Bool),
    row(0x0800_00d4, "manuf_short_address", Kind::U16),
    row(0x0800_00df, "manuf_blacklist_table_count", Kind::U16),
    row(0x0800_00e0, "manuf_broadcast_log_table_count", Kind::U16),
    row(0x0800_00e1, "manuf_group_table_count", Kind::U16),
    row(0x0800_00e2, "manuf_routing_table_count_16", Kind::U16),
    row(0x0800_00e3, "manuf_routing_table_element", Kind::Route),
    row(0x0800_00e5, "manuf_hybrid_profile", Kind::U8),
    row(0x0800_00e6, "manuf_last_phase_differential", Kind::U8),
];

/// Numbers of [`ADP`] that the code asks for.
pub mod adp {
    pub const SECURITY_LEVEL: u32 = 0x00;
    pub const PREFIX_TABLE: u32 = 0x01;
    pub const CONTEXT_INFORMATION_TABLE: u32 = 0x07;
    pub const COORD_SHORT_ADDRESS: u32 = 0x08;
    pub const BROADCAST_LOG_TABLE: u32 = 0x0b;
    pub const ROUTING_TABLE: u32 = 0x0c;
    pub const UNICAST_RREQ_GEN_ENABLE: u32 = 0x0d;
    pub const GROUP_TABLE: u32 = 0x0e;
    pub const MAX_HOPS: u32 = 0x0f;
    pub const DEVICE_TYPE: u32 = 0x10;
    pub const ROUTING_TABLE_ENTRY_TTL: u32 = 0x12;
    pub const BLACKLIST_TABLE: u32 = 0x1e;
    pub const MAX_JOIN_WAIT_TIME: u32 = 0x20;
    pub const ACTIVE_KEY_INDEX: u32 = 0x22;
    pub const CLUSTER_TRICKLE_ENABLED: u32 = 0x31;
    pub const MANUF_PAN_ID: u32 = 0x0800_00c3;
    pub const MANUF_BROADCAST_SEQUENCE_NUMBER: u32 = 0x0800_00c4;
    pub const MANUF_DISCOVER_SEQUENCE_NUMBER: u32 = 0x0800_00c9;
    pub const MANUF_CIRCULAR_ROUTES_DETECTED: u32 = 0x0800_00cf;
    pub const MANUF_LAST_CIRCULAR_ROUTE_ADDRESS: u32 = 0x0800_00d0;
    pub const MANUF_IPV6_ULA_DEST_SHORT_ADDRESS: u32 = 0x0800_00d1;
}

/// Of the MAC layer, G.9903 table 9-28; from 0200 on of its RF side, from 0800_0000 on the maker's own.
pub static MAC: &[Attribute] = &[
    row(0x47, "max_be", Kind::U8),
    row(0x49, "bsn", Kind::U8),
    row(0x4c, "dsn", Kind::U8),
    row(0x4e, "max_csma_backoffs", Kind::U8),
    row(0x4f, "min_be", Kind::U8),
    row(0x50, "pan_id", Kind::U16),
    row(0x51, "promiscuous_mode", Kind::Bool),
    row(0x53, "short_address", Kind::U16),
    row(0x59, "max_frame_retries", Kind::U8),
    row(0x5c, "timestamp_supported", Kind::Bool),
    row(0x5d, "security_enabled", Kind::Bool),
    row(0x71, "key_table", Kind::Key),
    row(0x77, "frame_counter", Kind::U32),
    row(0x78, "duplicate_detection_ttl", Kind::U8),
    row(0x100, "high_priority_window_size", Kind::U8),
    row(0x101, "tx_data_packet_count", Kind::U32),
    row(0x102, "rx_data_packet_count", Kind::U32),
    row(0x103, "tx_cmd_packet_count", Kind::U32),
    row(0x104, "rx_cmd_packet_count", Kind::U32),
    row(0x105, "csma_fail_count", Kind::U32),
    row(0x106, "csma_no_ack_count", Kind::U32),
    row(0x107, "rx_data_broadcast_count", Kind::U32),
    row(0x108, "tx_data_broadcast_count", Kind::U32),
    row(0x109, "bad_crc_count", Kind::U32),
    row(0x10a, "neighbour_table", Kind::Neighbour),
    row(0x10b, "freq_notching", Kind::Bool),
    row(0x10c, "csma_fairness_limit", Kind::U8),
    row(0x10d, "tmr_ttl", Kind::U8),
    row(0x10e, "pos_table_entry_ttl", Kind::U8),
    row(0x10f, "rc_coord", Kind::U16),
    row(0x110, "tone_mask", Kind::Octets),
    row(0x111, "beacon_randomization_window_length", Kind::U8),
    row(0x112, "a", Kind::U8),
    row(0x113, "k", Kind::U8),
    row(0x114, "min_cw_attempts", Kind::U8),
    row(0x11e, "broadcast_max_cw_enabled", Kind::Bool),
    row(0x11f, "transmit_atten", Kind::U8),
    row(0x120, "pos_table", Kind::Pos),
    row(0x123, "plc_disable", Kind::Bool),
    row(0x207, "frame_counter_rf", Kind::U32),
    row(0x21d, "pos_table_rf", Kind::PosRf),
    row(0x21e, "operating_mode_rf", Kind::U8),
    row(0x21f, "channel_number_rf", Kind::U16),
    row(0x220, "duty_cycle_usage_rf", Kind::U8),
    row(0x222, "duty_cycle_limit_rf", Kind::U16),
    row(0x0800_0001, "manuf_extended_address", Kind::Octets),
    row(0x0800_0002, "manuf_neighbour_table_element", Kind::Neighbour),
    row(0x0800_0012, "manuf_neighbour_table_count", Kind::U16),
    row(0x0800_001e, "manuf_pos_table_count", Kind::U16),
    row(0x0800_0027, "manuf_pos_table_element", Kind::Pos),
    row(0x0800_0029, "manuf_neighbour_lqi", Kind::U8),
    row(0x0800_002d, "manuf_last_frame_duration", Kind::U16),
];

/// Numbers of [`MAC`] that the code asks for.
pub mod mac {
    pub const PAN_ID: u32 = 0x50;
    pub const SHORT_ADDRESS: u32 = 0x53;
    pub const KEY_TABLE: u32 = 0x71;
    pub const FRAME_COUNTER: u32 = 0x77;
    pub const NEIGHBOUR_TABLE: u32 = 0x10a;
    pub const POS_TABLE: u32 = 0x120;
    pub const FRAME_COUNTER_RF: u32 = 0x207;
    pub const POS_TABLE_RF: u32 = 0x21d;
    pub const MANUF_EXTENDED_ADDRESS: u32 = 0x0800_0001;
}
