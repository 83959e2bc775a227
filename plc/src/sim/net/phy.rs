//! G3-PLC in the CENELEC A band as far as time and errors go. Constants: `../shared/facts/plc-protocol.md`, PHY/MAC
//! airtime (ITU-T G.9903).

/// Microseconds of virtual time.
pub type Micros = u64;

/// What the payload of a frame is modulated with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Modulation {
    Robo,
    Dbpsk,
    Dqpsk,
    D8psk,
}

/// One transmission medium: how long frames take, and how well they are heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    Plc,
    /// SUN-FSK at 50 kbit/s, 868 MHz.
    Rf,
}

impl Modulation {
    /// Signal to noise, in dB, from which on it is chosen.
    pub fn threshold(self) -> f64 {
        match self {
            Self::Robo => -2.0,
            Self::Dbpsk => 4.0,
            Self::Dqpsk => 8.0,
            Self::D8psk => 13.0,
        }
    }

    /// The fastest that `snr` dB carries.
    pub fn for_snr(snr: f64) -> Self {
        let fast = [Self::D8psk, Self::Dqpsk, Self::Dbpsk].into_iter();
        fast.into_iter().find(|modulation| snr >= modulation.threshold()).unwrap_or(Self::Robo)
    }

    /// Index of the link cost: ROBO, DBPSK, DQPSK, D8PSK.
    pub fn index(self) -> usize {
        self as usize
    }

    const fn bits(self) -> u64 {
        match self {
            Self::Robo | Self::Dbpsk => 1,
            Self::Dqpsk => 2,
            Self::D8psk => 3,
        }
    }

    const fn repetition(self) -> u64 {
        if matches!(self, Self::Robo) { 4 } else { 1 }
    }

    /// Parity octets of the Reed-Solomon code.
    const fn parity(self) -> u64 {
        if matches!(self, Self::Robo) { 8 } else { 16 }
    }
}

impl Medium {
    /// Octets that one frame carries at most; more are sent in segments.
    pub fn segment(self, modulation: Modulation) -> u16 {
        match (self, modulation) {
            (Self::Plc, Modulation::Robo) => 133,
            (Self::Plc, _) => 235,
            (Self::Rf, _) => 1_280,
        }
    }

    /// From the begin of the preamble to the end of the last symbol.
    pub fn airtime(self, modulation: Modulation, octets: u16) -> Micros {
        match self {
            Self::Plc => {
                let coded = (u64::from(octets) + modulation.parity()) * 8 + 6;
                let symbols = (coded * 2 * modulation.repetition()).div_ceil(CARRIERS * modulation.bits());
                PREAMBLE + FCH + symbols * SYMBOL
            }
            // Preamble of 8, SFD of 2, PHR of 2 and FCS of 4 octets at 50 kbit/s.
            Self::Rf => (u64::from(octets) + 16) * 160,
        }
    }

    /// Silence and the acknowledgement that follow a frame for one receiver.
    pub fn acknowledgement(self) -> Micros {
        match self {
            Self::Plc => RIFS + PREAMBLE + FCH,
            Self::Rf => 1_000 + (5 + 16) * 160,
        }
    }

    /// The silence before a contention window.
    pub fn silence(self) -> Micros {
        match self {
            Self::Plc => CIFS,
            Self::Rf => 1_000,
        }
    }

    /// The silence of who does not know how long others send yet: the longest frame, its acknowledgement and what lies
    /// between them.
    pub fn extended_silence(self) -> Micros {
        match self {
            Self::Plc => PREAMBLE + FCH + LONGEST * SYMBOL + self.acknowledgement() + CIFS,
            Self::Rf => 0,
        }
    }

    /// From the begin of a frame until its control header is known.
    pub fn header(self) -> Micros {
        match self {
            Self::Plc => PREAMBLE + FCH,
            Self::Rf => 1_920,
        }
    }

    pub fn slot(self) -> Micros {
        match self {
            Self::Plc => 2 * SYMBOL,
            Self::Rf => 1_000,
        }
    }

    /// How long until others know that somebody sends: the slot is as long as it takes to see a preamble.
    pub fn detection(self) -> Micros {
        match self {
            Self::Plc => 2 * SYMBOL,
            Self::Rf => 1_280,
        }
    }

    /// Signal to noise, in dB, from which on frames in this modulation are worth sending.
    pub fn threshold(self, modulation: Modulation) -> f64 {
        match self {
            Self::Plc => modulation.threshold(),
            Self::Rf => 8.0,
        }
    }

    /// The chance that `octets` arrive at `snr` dB.
    pub fn success(self, modulation: Modulation, octets: u16, snr: f64) -> f64 {
        // Three dB below where it is chosen, half of the frames of 100 octets are lost.
        let middle = self.threshold(modulation) - 3.0;
        let lost = 1.0 / (1.0 + ((snr - middle) / 1.5).exp());
        (1.0 - lost).powf(f64::from(octets.max(20)) / 100.0)
    }

    /// The chance that a preamble with its control header is heard.
    pub fn is_heard(self, snr: f64) -> bool {
        snr > self.sensitivity()
    }

    /// The link quality indicator: on the power line quarters of a dB from -10 dB on; of a radio the level in dBm from
    /// -174 on (Microchip's `pal_rf_rm.c`), which is told from the floor here.
    pub(super) fn lqi(self, snr: f64) -> u8 {
        match self {
            Self::Plc => ((snr + 10.0) * 4.0).clamp(0.0, 255.0) as u8,
            Self::Rf => (snr + FLOOR_DBM + 174.0).clamp(0.0, 254.0) as u8,
        }
    }

    /// Signal to noise, in dB, from which on a transmission keeps the others from sending.
    pub fn sensitivity(self) -> f64 {
        match self {
            Self::Plc => -3.0,
            Self::Rf => 0.0,
        }
    }
}

/// What a radio hears where nobody sends.
pub(super) const FLOOR_DBM: f64 = -107.0;
const SYMBOL: Micros = 695;
const CARRIERS: u64 = 36;
const PREAMBLE: Micros = 6_080;
const FCH: Micros = 13 * SYMBOL;
/// Symbols of the longest payload.
const LONGEST: u64 = 252;
const RIFS: Micros = 10 * SYMBOL;
const CIFS: Micros = 10 * SYMBOL;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_take_as_long_as_the_facts_say() {
        // Payload alone, in milliseconds: `../shared/facts/plc-routes.md`, own airtime arithmetic.
        for (modulation, expected) in [(Modulation::Robo, 133), (Modulation::Dbpsk, 36), (Modulation::Dqpsk, 18)] {
            let payload = (Medium::Plc.airtime(modulation, 100) - PREAMBLE - FCH) / 1_000;
            assert!(payload.abs_diff(expected) <= 2, "{modulation:?} {payload}");
        }
        assert_eq!((PREAMBLE + FCH) / 100, 151);
        assert_eq!(Medium::Plc.extended_silence() / 1_000, 219);
    }

    #[test]
    fn more_signal_is_never_worse() {
        for modulation in [Modulation::Robo, Modulation::Dbpsk, Modulation::Dqpsk, Modulation::D8psk] {
            let chances: Vec<f64> = (-20..30).map(|snr| Medium::Plc.success(modulation, 100, f64::from(snr))).collect();
            assert!(chances.is_sorted(), "{modulation:?}");
            let at_threshold = Medium::Plc.success(modulation, 100, modulation.threshold());
            assert!((0.85..0.9).contains(&at_threshold), "{at_threshold}");
        }
    }

    #[test]
    fn a_link_quality_of_52_is_3_db() {
        let lqi = |snr| Medium::Plc.lqi(snr);
        assert_eq!((lqi(3.0), lqi(-30.0), lqi(99.0)), (52, 0, 255));
    }

    #[test]
    fn a_radio_tells_link_qualities_by_the_level() {
        // 95 is -79 dBm.
        let lqi = |dbm: f64| Medium::Rf.lqi(dbm - FLOOR_DBM);
        assert_eq!((lqi(-79.0), lqi(-180.0), lqi(90.0)), (95, 0, 254));
        let worth_sending = Medium::Rf.threshold(Modulation::Robo);
        assert!((0.85..0.9).contains(&Medium::Rf.success(Modulation::Robo, 100, worth_sending)));
    }
}
