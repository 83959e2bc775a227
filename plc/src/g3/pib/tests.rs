use hex_literal::hex;

use super::*;

#[track_caller]
fn check(layer: Layer, name: &str, octets: &[u8], expected: Typed) {
    let attribute = layer.named(name).unwrap();
    assert_eq!(layer.parse(attribute.id, octets), Ok(expected.clone()));
    assert_eq!(expected.to_value().octets, octets);
    let mut long = octets.to_vec();
    long.extend([0; 40]);
    if attribute.kind != Kind::Octets {
        assert_eq!(layer.parse(attribute.id, &octets[..octets.len() - 1]), Err(Reject::Truncated));
        assert_eq!(layer.parse(attribute.id, &long), Err(Reject::TooLong));
    }
}

#[test]
fn values_have_their_types_on_the_line() {
    // Rows made here from the layouts of the attributes.
    check(Layer::Adp, "max_hops", &[8], Typed::U8(8));
    check(Layer::Adp, "routing_table_entry_ttl", &hex!("00b4"), Typed::U16(180));
    check(Layer::Mac, "frame_counter", &hex!("00012710"), Typed::U32(75_536));
    check(Layer::Adp, "manuf_disable_auto_rreq", &[1], Typed::Bool(true));
    check(Layer::Mac, "key_table", &[0x5a; 16], Typed::Key(Key([0x5a; 16])));
    check(
        Layer::Adp,
        "prefix_table",
        &hex!("40 01 01 0020c000 0020c000 fd00000000000001"),
        Typed::Prefix(Prefix {
            length_bits: 64,
            is_on_link: true,
            is_autonomous: true,
            valid_lifetime_s: 0x0020_c000,
            preferred_lifetime_s: 0x0020_c000,
            prefix: hex!("fd00000000000001").to_vec(),
        }),
    );
    check(
        Layer::Adp,
        "context_information_table",
        &hex!("ffff 01 50 fe80000000000000781d"),
        Typed::Context(Context {
            valid_lifetime_min: 0xffff,
            is_for_compression: true,
            length_bits: 80,
            context: hex!("fe80000000000000781d").to_vec(),
        }),
    );
    check(
        Layer::Mac,
        "pos_table_rf",
        &hex!("0005 50 51 02 03 04 00ff 00fe"),
        Typed::PosRf(PosRf {
            short_addr: 5,
            forward_lqi: 0x50,
            reverse_lqi: 0x51,
            duty_cycle: 2,
            forward_tx_power_offset: 3,
            reverse_tx_power_offset: 4,
            valid_time: 255,
            reverse_valid_time: 254,
        }),
    );
    check(
        Layer::Mac,
        "pos_table",
        &hex!("0005 50 00ff"),
        Typed::Pos(Pos { short_addr: 5, lqi: 0x50, valid_time: 255 }),
    );
    check(Layer::Mac, "tone_mask", &[0xff; 9], Typed::Octets(vec![0xff; 9]));
}

#[test]
fn rows_of_both_generations_are_read() {
    let old = Layer::Adp.parse(adp::ROUTING_TABLE, &hex!("0012 0001 0040 31 00b4"));
    let route = |medium| {
        Ok(Typed::Route(Route {
            destination: 0x12,
            next_hop: 1,
            route_cost: 0x40,
            hop_count: 3,
            weak_link_count: 1,
            medium,
            valid_time: 180,
        }))
    };
    assert_eq!(old, route(None));
    assert_eq!(Layer::Adp.parse(adp::ROUTING_TABLE, &hex!("0012 0001 0040 31 01 00b4")), route(Some(1)));
    let blacklisted = |medium| Ok(Typed::Blacklist(BlacklistEntry { short_addr: 5, medium, valid_time: 10 }));
    assert_eq!(Layer::Adp.parse(adp::BLACKLIST_TABLE, &hex!("0005 000a")), blacklisted(None));
    assert_eq!(Layer::Adp.parse(adp::BLACKLIST_TABLE, &hex!("0005 01 000a")), blacklisted(Some(1)));
    let neighbour = hex!("0005 3fffff 02 01 00 000000000000 01 03 55 0002");
    let Ok(Typed::Neighbour(new)) = Layer::Mac.parse(mac::NEIGHBOUR_TABLE, &neighbour) else { panic!() };
    assert_eq!((new.short_addr, new.lqi, new.phase_differential, new.neighbour_valid_time), (5, 0x55, 3, None));
    let mut old = neighbour.to_vec();
    old.extend([0, 0xff]);
    let Ok(Typed::Neighbour(old)) = Layer::Mac.parse(mac::NEIGHBOUR_TABLE, &old) else { panic!() };
    assert_eq!((old.tmr_valid_time, old.neighbour_valid_time), (2, Some(255)));
}

#[test]
fn tables_are_sorted_and_names_are_unique() {
    for table in [ADP, MAC] {
        assert!(table.windows(2).all(|pair| pair[0].id < pair[1].id));
        let mut names: Vec<_> = table.iter().map(|attribute| attribute.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), table.len());
    }
    assert_eq!(Layer::Mac.parse(0xdead, &[1, 2]), Ok(Typed::Octets(vec![1, 2])));
}

#[test]
fn any_octets_are_read_as_any_kind_without_panic() {
    for layer in [Layer::Adp, Layer::Mac] {
        for attribute in layer.table() {
            for length in 0..40 {
                for fill in [0x00, 0x12, 0xff] {
                    let octets = vec![fill; length];
                    if let Ok(typed) = layer.parse(attribute.id, &octets) {
                        assert_eq!(layer.parse(attribute.id, &typed.to_value().octets), Ok(typed));
                    }
                }
            }
        }
    }
}
