//! Class 71: the emergency profile of a limiter.

use crate::data::Encoder;
use crate::{Data, DateTime, Reject};

/// Attribute 8: from when, and for how long, the emergency threshold holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Emergency {
    pub profile_id: u16,
    pub activation_time: DateTime,
    /// Seconds.
    pub duration: u32,
}

impl TryFrom<Data<'_>> for Emergency {
    type Error = Reject;

    fn try_from(data: Data<'_>) -> Result<Self, Reject> {
        let [profile_id, activation_time, duration] = data.fields("an emergency profile")?;
        Ok(Self {
            profile_id: profile_id.number()?,
            activation_time: activation_time.date_time()?,
            duration: duration.number()?,
        })
    }
}

impl Emergency {
    pub fn write(&self, out: &mut Encoder) {
        out.structure(3)
            .put(Data::LongUnsigned(self.profile_id))
            .date_time(self.activation_time)
            .put(Data::DoubleLongUnsigned(self.duration));
    }
}
