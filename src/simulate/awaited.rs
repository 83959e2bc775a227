//! What a run that is over still waits for, in words: while it does, and when it gives up.

use std::fmt;
use std::time::Duration;

/// What has not come to its end yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Awaited {
    /// A kill that was drawn for the last moment.
    pub is_kill_due: bool,
    /// The service was killed, and does not answer as the process that was started then.
    pub is_healing: bool,
    /// A telegram is going out.
    pub is_sending: bool,
    /// What was heard is not known to be committed and acknowledged.
    pub is_hearing: bool,
    /// Heard, and not arrived.
    pub readings: u64,
    /// Reported as durable, and not arrived.
    pub records: u64,
    /// Values of slots that ended in time, and not arrived.
    pub values: u64,
}

/// Why nothing is waited for any more, though something has not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Impatience {
    /// It was waited so long, by the kernel's clock: so go commits, batches and connections, however fast days pass.
    Late(Duration),
    /// Somebody wanted it to end.
    Told,
}

impl Awaited {
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Why the run has not come to a good end, and what would help.
    pub fn complaint(&self, why: Impatience) -> String {
        let why = match why {
            Impatience::Late(patience) => format!("not everything had arrived {} s after the end", patience.as_secs()),
            Impatience::Told => "told to end before everything had arrived".to_owned(),
        };
        let is_much = self.readings + self.records + self.values > 0;
        let help = if is_much { " (fewer meters, a longer --day or a lower --rate give it less to do)" } else { "" };
        format!("{why}: awaited {self}{help}")
    }
}

/// `7 values of slots, 2 records that are durable`
impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_kill_due, is_healing, is_sending, is_hearing, readings, records, values } = *self;
        let count = |count: u64, what: &str| (count > 0).then(|| format!("{count} {what}"));
        let words = [
            is_kill_due.then(|| "a kill that is due".to_owned()),
            is_healing.then(|| "the service, to be ready again after it was killed".to_owned()),
            is_sending.then(|| "a telegram that is going out".to_owned()),
            count(values, "values of slots"),
            count(readings, "readings that were heard"),
            count(records, "records that are durable"),
            is_hearing.then(|| "the service, to say that what it heard is acknowledged".to_owned()),
        ];
        f.write_str(&words.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_what_a_run_waited_for_in_vain_and_what_would_help() {
        let late = Impatience::Late(Duration::from_secs(63));
        let healing = Awaited { is_healing: true, ..Awaited::default() };
        assert_eq!(
            healing.complaint(late),
            "not everything had arrived 63 s after the end: awaited the service, to be ready again after it was killed"
        );
        let much = Awaited { values: 7, records: 2, ..Awaited::default() };
        assert_eq!(
            much.complaint(Impatience::Told),
            "told to end before everything had arrived: awaited 7 values of slots, 2 records that are durable \
             (fewer meters, a longer --day or a lower --rate give it less to do)"
        );
        assert!(Awaited::default().is_nothing() && !healing.is_nothing() && !much.is_nothing());
    }
}
