//! What one unit tells another of an electricity meter that it reads no more: a file that nobody can alter unnoticed.

use serde::{Deserialize, Serialize};

use super::{Refusal, RefusalKind};
use crate::wire::columns::to_meter;
use crate::wire::signed::{self, PrivateKey, SignedError};
use crate::wire::trust::Trust;
use crate::wire::v1::MeterHandover;

/// The file of `dcu meter hand-over`. What people read in it is said again, and proven, in `signed`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    pub meter: String,
    /// Who has read it.
    pub unit: String,
    pub at_ms: i64,
    /// `Signed` around `MeterHandover` (`proto/dcu/v1/handover.proto`), in hexadecimal digits. No key is in it.
    pub signed: String,
}

impl Handover {
    /// Signed by the unit that has read the meter.
    pub fn sign(said: &MeterHandover, key: &PrivateKey) -> Option<Self> {
        Self::of(&signed::sign(said, &[key]))
    }

    /// What an envelope claims. None: it is none.
    pub fn of(envelope: &[u8]) -> Option<Self> {
        let claim: MeterHandover = signed::claim(envelope)?;
        let meter = to_meter(claim.meter.as_ref()?).ok()?.to_string();
        Some(Self { meter, unit: claim.dcu, at_ms: claim.at_ms, signed: hex::encode(envelope) })
    }

    pub fn envelope(&self) -> Option<Vec<u8>> {
        hex::decode(&self.signed).ok()
    }

    /// What the other unit said, if it is one of these.
    ///
    /// # Errors
    /// It is damaged, altered, or nobody's whom we trust.
    pub fn open(&self, peers: &Trust) -> Result<MeterHandover, Refusal> {
        let malformed = || Refusal::new(RefusalKind::Malformed, "the state of the meter is damaged");
        let envelope = self.envelope().ok_or_else(malformed)?;
        let altered = |why: &str| Refusal::new(RefusalKind::NotPermitted, format!("the state is not taken: {why}"));
        let verified = signed::open::<MeterHandover>(&envelope, peers).map_err(|error| match error {
            SignedError::TooLarge | SignedError::Malformed | SignedError::Body => malformed(),
            SignedError::UnknownKey => altered("no key in `electricity.peers` or `uplink.trust` has signed it"),
            error => altered(&error.to_string()),
        })?;
        if Self::of(&envelope).as_ref() != Some(self) {
            return Err(altered("what it says of meter, unit or time is not what was signed"));
        }
        Ok(verified.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::columns::from_meter;
    use crate::wire::trust::Role;

    #[test]
    fn nothing_of_a_hand_over_can_be_altered_or_made_up() {
        let key = |seed| PrivateKey::from_random(&[seed; 32]).unwrap();
        let trust = |dcu: &str, roles: &[Role]| {
            let mut trust = Trust::default();
            trust.add("peer".into(), roles, Some(dcu.into()), key(7).public()).unwrap();
            trust
        };
        let peers = trust("dcu-1", &[Role::Device]);
        let meter = Some(from_meter("4d4d4d0000bc614e".parse().unwrap()));
        let said = MeterHandover { dcu: "dcu-1".into(), meter, at_ms: 77, state: vec![1, 2, 3] };
        let good = Handover::sign(&said, &key(7)).unwrap();
        assert_eq!(good.open(&peers).unwrap(), said);
        assert_eq!((good.meter.as_str(), good.unit.as_str(), good.at_ms), ("4d4d4d0000bc614e", "dcu-1", 77));
        let stranger = Handover::sign(&said, &key(8)).unwrap();
        assert!(stranger.open(&peers).unwrap_err().message.contains("electricity.peers"));
        // A key speaks for its own unit, and a head-end's key for none.
        assert!(good.open(&trust("dcu-2", &[Role::Device])).is_err());
        assert!(good.open(&trust("dcu-1", &[Role::Installer])).is_err());
        for altered in [
            Handover { meter: "4d4d4d0000bc614f".into(), ..good.clone() },
            Handover { unit: "dcu-2".into(), ..good.clone() },
            Handover { at_ms: 78, ..good.clone() },
            Handover { signed: String::new(), ..good.clone() },
            Handover { signed: "no digits".into(), ..good.clone() },
        ] {
            assert!(altered.open(&peers).is_err(), "{altered:?}");
        }
        let envelope = good.envelope().unwrap();
        for bit in 0..envelope.len() * 8 {
            let mut octets = envelope.clone();
            octets[bit / 8] ^= 1 << (bit % 8);
            let altered = Handover { signed: hex::encode(&octets), ..good.clone() };
            assert!(altered.open(&peers).is_err(), "bit {bit}");
        }
    }
}
