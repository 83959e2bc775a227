//! Units by their code in IEC 62056-6-2, table 4.
//!
//! The spelling is UCUM's where UCUM has one (`m3`, `Cel`, `a`): it is what the command line and JSON print.
//! Volumes "corrected" or "metered" print like plain ones; the unit's code and the OBIS code tell them apart.

use std::fmt;

/// A unit code. Codes we have no name for keep their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Unit(pub u8);

impl Unit {
    pub const YEAR: Self = Self(1);
    pub const MONTH: Self = Self(2);
    pub const WEEK: Self = Self(3);
    pub const DAY: Self = Self(4);
    pub const HOUR: Self = Self(5);
    pub const MINUTE: Self = Self(6);
    pub const SECOND: Self = Self(7);
    pub const DEGREE: Self = Self(8);
    pub const CELSIUS: Self = Self(9);
    pub const CURRENCY: Self = Self(10);
    pub const CUBIC_METRE: Self = Self(13);
    pub const CUBIC_METRE_CORRECTED: Self = Self(14);
    pub const CUBIC_METRE_PER_HOUR: Self = Self(15);
    pub const CUBIC_METRE_PER_HOUR_CORRECTED: Self = Self(16);
    pub const KILOGRAM: Self = Self(20);
    pub const BAR: Self = Self(24);
    pub const JOULE: Self = Self(25);
    pub const JOULE_PER_HOUR: Self = Self(26);
    pub const WATT: Self = Self(27);
    pub const VOLT_AMPERE: Self = Self(28);
    pub const VAR: Self = Self(29);
    pub const WATT_HOUR: Self = Self(30);
    pub const VOLT_AMPERE_HOUR: Self = Self(31);
    pub const VAR_HOUR: Self = Self(32);
    pub const AMPERE: Self = Self(33);
    pub const VOLT: Self = Self(35);
    pub const HERTZ: Self = Self(44);
    pub const KELVIN: Self = Self(52);
    pub const PERCENT: Self = Self(56);
    pub const DECIBEL_MILLIWATT: Self = Self(70);
    pub const FAHRENHEIT: Self = Self(131);
    pub const CUBIC_FOOT: Self = Self(137);
    pub const GALLON: Self = Self(140);
    pub const GALLON_PER_MINUTE: Self = Self(168);
    pub const GALLON_PER_HOUR: Self = Self(169);
    /// A unit that has no code, neither the standard's nor ours.
    pub const OTHER: Self = Self(254);
    /// A count, or a value without a unit.
    pub const NONE: Self = Self(255);

    // The standard reserves 175 to 252. Meters send the following units, no code of the standard stands for them
    // exactly, and a value is never converted: they get numbers of ours in the reserved range.
    pub const CUBIC_METRE_PER_MINUTE: Self = Self(200);
    pub const CUBIC_METRE_PER_SECOND: Self = Self(201);
    pub const KILOGRAM_PER_HOUR: Self = Self(202);
    pub const CALORIE: Self = Self(203);
    pub const CUBIC_METRE_CELSIUS: Self = Self(204);
    /// Parts of 4096: the rating factors of heat cost allocators.
    pub const PER_4096: Self = Self(205);
    pub const BAUD: Self = Self(206);
    pub const BIT_TIME: Self = Self(207);
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.binary_search_by_key(&self.0, |(code, _)| *code).ok().and_then(|at| NAMES.get(at)) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "unit{}", self.0),
        }
    }
}

/// In the order of the codes. 58, 59, 68, 69 and the gaps above are not assigned.
const NAMES: &[(u8, &str)] = &[
    (0, ""),
    (1, "a"),
    (2, "mo"),
    (3, "wk"),
    (4, "d"),
    (5, "h"),
    (6, "min"),
    (7, "s"),
    (8, "deg"),
    (9, "Cel"),
    (10, "currency"),
    (11, "m"),
    (12, "m/s"),
    (13, "m3"),
    (14, "m3"),
    (15, "m3/h"),
    (16, "m3/h"),
    (17, "m3/d"),
    (18, "m3/d"),
    (19, "l"),
    (20, "kg"),
    (21, "N"),
    (22, "N.m"),
    (23, "Pa"),
    (24, "bar"),
    (25, "J"),
    (26, "J/h"),
    (27, "W"),
    (28, "VA"),
    (29, "var"),
    (30, "Wh"),
    (31, "VAh"),
    (32, "varh"),
    (33, "A"),
    (34, "C"),
    (35, "V"),
    (36, "V/m"),
    (37, "F"),
    (38, "Ohm"),
    (39, "Ohm.m2/m"),
    (40, "Wb"),
    (41, "T"),
    (42, "A/m"),
    (43, "H"),
    (44, "Hz"),
    (45, "1/Wh"),
    (46, "1/varh"),
    (47, "1/VAh"),
    (48, "V2h"),
    (49, "A2h"),
    (50, "kg/s"),
    (51, "S"),
    (52, "K"),
    (53, "1/V2h"),
    (54, "1/A2h"),
    (55, "1/m3"),
    (56, "%"),
    (57, "Ah"),
    (60, "Wh/m3"),
    (61, "J/m3"),
    (62, "mol%"),
    (63, "g/m3"),
    (64, "Pa.s"),
    (65, "J/kg"),
    (66, "g/cm2"),
    (67, "atm"),
    (70, "dBm"),
    (71, "dBuV"),
    (72, "dB"),
    (128, "in"),
    (129, "ft"),
    (130, "lb"),
    (131, "degF"),
    (132, "degR"),
    (133, "in2"),
    (134, "ft2"),
    (135, "acre"),
    (136, "in3"),
    (137, "ft3"),
    (138, "acre.ft"),
    (139, "gal_imp"),
    (140, "gal_us"),
    (141, "lbf"),
    (142, "psi"),
    (143, "lb/ft3"),
    (144, "lb/ft.s"),
    (145, "ft2/s"),
    (146, "Btu"),
    (147, "therm_eu"),
    (148, "therm_us"),
    (149, "Btu/lb"),
    (150, "Btu/ft3"),
    (151, "ft3"),
    (152, "ft/s"),
    (153, "ft3/s"),
    (154, "ft3/min"),
    (155, "ft3/h"),
    (156, "ft3/d"),
    (157, "acre.ft/s"),
    (158, "acre.ft/min"),
    (159, "acre.ft/h"),
    (160, "acre.ft/d"),
    (161, "gal_imp"),
    (162, "gal_imp/s"),
    (163, "gal_imp/min"),
    (164, "gal_imp/h"),
    (165, "gal_imp/d"),
    (166, "gal_us"),
    (167, "gal_us/s"),
    (168, "gal_us/min"),
    (169, "gal_us/h"),
    (170, "gal_us/d"),
    (171, "Btu/s"),
    (172, "Btu/min"),
    (173, "Btu/h"),
    (174, "Btu/d"),
    (200, "m3/min"),
    (201, "m3/s"),
    (202, "kg/h"),
    (203, "cal"),
    (204, "m3.Cel"),
    (205, "1/4096"),
    (206, "Bd"),
    (207, "bit_time"),
    (254, "other"),
    (255, ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_it_can_be_searched() {
        assert!(NAMES.is_sorted_by_key(|(code, _)| *code));
        for (code, name) in NAMES {
            assert_eq!(Unit(*code).to_string(), *name);
        }
    }

    #[test]
    fn an_unassigned_code_keeps_its_number() {
        assert_eq!(Unit(58).to_string(), "unit58");
    }
}
