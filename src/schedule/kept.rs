//! What of one meter's schedule is kept over a restart: how far each task had come, and the highest invocation counter
//! that the meter sent.
//!
//! A version that does not know a record's number takes nothing of it. What came after version 5 therefore stands in lines
//! of no task, which version 5 reads and leaves alone: a unit that goes back to an older version loses what they say, and
//! nothing else.

use bytes::{Buf, BufMut};

use super::grid::Grid;
use super::meter::MeterState;
use super::number::{number, put_number, put_signed, signed};
use super::progress::Progress;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// The highest invocation counter that came; None where none did.
    pub received: Option<u32>,
    /// Of what it sent unasked.
    pub pushed: Option<u32>,
    pub state: MeterState,
    /// It is told that it cannot be reached, and not yet that it is back. The state does not say it: of who is part of an
    /// outage that is told, and a meter that was asked anew after a start is not in the state in which it was left.
    pub is_told: bool,
    /// When it answered last, milliseconds since 1970 UTC.
    pub answered_ms: Option<i64>,
    /// What its clock was last moved over, seconds since 1970 UTC.
    pub moved: Option<(i64, i64)>,
    /// How often it was handed over from unit to unit before this one read it.
    pub turn: u32,
    /// Who measures in its place, by system title.
    pub successor: Option<[u8; 8]>,
    /// Meters behind it, by channel: manufacturer, identification, version and device type as M-Bus sends them.
    pub channels: Vec<(u8, [u8; 8])>,
    /// Meters that are to be installed behind it, as they were behind the meter that it replaces.
    pub bindings: Vec<KeptBinding>,
    pub lines: Vec<KeptLine>,
}

/// A meter that is to be installed on a channel; meters by their octets as above, the replaced one by system title.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptBinding {
    pub channel: u8,
    pub meter: [u8; 8],
    pub old: [u8; 8],
    /// How often it was tried.
    pub attempts: u8,
}

/// One task of the meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLine {
    pub task: Box<str>,
    /// Tells the grid by which the slots are numbered.
    pub grid: u64,
    /// Tells what the rows meant; 0 where nothing was read.
    pub layout: u64,
    pub progress: Progress,
}

impl Kept {
    /// Appends what [`Self::parse`] reads. It is written with every exchange, so it is short.
    pub fn emit(&self, out: &mut Vec<u8>) {
        out.put_u8(VERSION);
        out.put_u8(self.state as u8);
        for counter in [self.received, self.pushed] {
            put_number(out, counter.map_or(0, |counter| u64::from(counter) + 1));
        }
        let times = [self.answered_ms, self.moved.map(|(from, _)| from), self.moved.map(|(_, to)| to)];
        for time in times {
            out.put_u8(time.is_some().into());
            time.into_iter().for_each(|time| put_signed(out, time));
        }
        put_number(out, u64::from(self.turn));
        out.put_u8(self.successor.is_some().into());
        out.put_slice(self.successor.as_ref().map_or(&[], <[u8; 8]>::as_slice));
        let channels = self.channels.get(..CHANNELS).unwrap_or(&self.channels);
        out.put_u8(channels.len() as u8);
        for (channel, meter) in channels {
            out.put_u8(*channel);
            out.put_slice(meter);
        }
        let bindings = self.bindings.get(..CHANNELS).unwrap_or(&self.bindings);
        out.put_u8(bindings.len() as u8);
        for KeptBinding { channel, meter, old, attempts } in bindings {
            out.put_u8(*channel);
            out.put_slice(meter);
            out.put_slice(old);
            out.put_u8(*attempts);
        }
        for line in &self.lines {
            out.put_u8(u8::try_from(line.task.len()).unwrap_or(u8::MAX));
            out.put_slice(line.task.as_bytes());
            out.put_u64_le(line.grid);
            out.put_u64_le(line.layout);
            line.progress.emit(out);
        }
        if self.is_told != is_told_by_state(self.state) {
            out.put_u8(0);
            out.put_u64_le(IS_TOLD);
            out.put_u64_le(self.is_told.into());
            Progress::new(0).emit(out);
        }
    }

    /// None where the octets are not what was written, now or by an earlier version.
    pub fn parse(mut octets: &[u8]) -> Option<Self> {
        let buf = &mut octets;
        let mut kept = match buf.try_get_u8().ok()? {
            version @ 1..=2 => Self::parse_wide(version, buf),
            version @ 3..=VERSION => Self::parse_short(version, buf),
            _ => None,
        }?;
        let (named, of_no_task): (Vec<_>, Vec<_>) = kept.lines.into_iter().partition(|line| !line.task.is_empty());
        let said = of_no_task.iter().find(|line| line.grid == IS_TOLD);
        // What wrote nothing of it told each that could not be reached.
        kept.is_told = said.map_or(is_told_by_state(kept.state), |line| line.layout != 0);
        kept.lines = named;
        Some(kept)
    }

    fn parse_short(version: u8, buf: &mut &[u8]) -> Option<Self> {
        let state = MeterState::from_number(buf.try_get_u8().ok()?)?;
        let (received, pushed) = (counter(number(buf)?)?, counter(number(buf)?)?);
        let mut times = [None; 3];
        for time in &mut times {
            *time = if buf.try_get_u8().ok()? == 0 { None } else { Some(signed(buf)?) };
        }
        let [answered_ms, from, to] = times;
        let mut kept = Self { received, pushed, state, answered_ms, moved: from.zip(to), ..Self::default() };
        // Before version 4 nothing of this was kept.
        if version > 3 {
            kept.turn = u32::try_from(number(buf)?).ok()?;
            kept.successor = if buf.try_get_u8().ok()? == 0 { None } else { Some(octets(buf)?) };
            for _ in 0..buf.try_get_u8().ok()? {
                kept.channels.push((buf.try_get_u8().ok()?, octets(buf)?));
            }
        }
        // Before version 5 what failed was not tried again.
        if version > 4 {
            for _ in 0..buf.try_get_u8().ok()? {
                let (channel, meter, old) = (buf.try_get_u8().ok()?, octets(buf)?, octets(buf)?);
                kept.bindings.push(KeptBinding { channel, meter, old, attempts: buf.try_get_u8().ok()? });
            }
        }
        Some(Self { lines: lines(buf, Progress::parse)?, ..kept })
    }

    /// Versions 1 and 2 wrote numbers of one length each.
    fn parse_wide(version: u8, buf: &mut &[u8]) -> Option<Self> {
        let received = counter(buf.try_get_u64_le().ok()?)?;
        // Before version 2 nobody was listened to.
        let pushed = if version == 1 { None } else { counter(buf.try_get_u64_le().ok()?)? };
        let state = MeterState::from_number(buf.try_get_u8().ok()?)?;
        let answered_ms = Some(buf.try_get_i64_le().ok()?).filter(|ms| *ms != i64::MIN);
        let moved = (buf.try_get_i64_le().ok()?, buf.try_get_i64_le().ok()?);
        let moved = Some(moved).filter(|(from, _)| *from != i64::MIN);
        let lines = lines(buf, Progress::parse_wide)?;
        Some(Self { received, pushed, state, answered_ms, moved, lines, ..Self::default() })
    }

    /// How far a task had come by this grid.
    pub fn progress(&self, task: &str, grid: &Grid) -> Option<&Progress> {
        let line = self.lines.iter().find(|line| &*line.task == task)?;
        (line.grid == signature(grid)).then_some(&line.progress)
    }
}

fn is_told_by_state(state: MeterState) -> bool {
    state == MeterState::Unreachable
}

/// Tells one grid from another: kept on disk, so that it must be the same in every build.
pub fn signature(grid: &Grid) -> u64 {
    // Where three slots end, one of them in summer, tells period, time and zone.
    let ends = [0, 1, 19_000].map(|slot| match grid {
        Grid::Monthly { .. } => grid.end(slot % 24_000),
        _ => grid.end(slot),
    });
    let summer = grid.end(grid.last_ended(1_782_900_000));
    let octets = ends.into_iter().chain([summer]).flat_map(i64::to_le_bytes);
    octets.fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(octet)).wrapping_mul(0x100_0000_01b3))
}

fn lines(buf: &mut &[u8], progress: impl Fn(&mut &[u8]) -> Option<Progress>) -> Option<Vec<KeptLine>> {
    let mut lines = Vec::new();
    while !buf.is_empty() {
        let length = usize::from(buf.try_get_u8().ok()?);
        let (name, rest) = buf.split_at_checked(length)?;
        *buf = rest;
        let task = std::str::from_utf8(name).ok()?.into();
        let (grid, layout) = (buf.try_get_u64_le().ok()?, buf.try_get_u64_le().ok()?);
        lines.push(KeptLine { task, grid, layout, progress: progress(buf)? });
    }
    Some(lines)
}

fn octets(buf: &mut &[u8]) -> Option<[u8; 8]> {
    let (octets, rest) = buf.split_first_chunk()?;
    *buf = rest;
    Some(*octets)
}

/// One more than the counter, or 0 for none.
fn counter(number: u64) -> Option<Option<u32>> {
    match number.checked_sub(1) {
        None => Some(None),
        Some(counter) => Some(Some(u32::try_from(counter).ok()?)),
    }
}

const VERSION: u8 = 5;
/// What a line of no task says, where a grid would be; its layout is the answer.
const IS_TOLD: u64 = 1;
/// Channels of one meter that are kept.
const CHANNELS: usize = 8;

#[cfg(test)]
mod tests {
    use jiff::civil::Time;
    use jiff::tz::TimeZone;

    use super::*;

    /// As earlier versions wrote it; nothing that these tests keep has bits above its watermark's word.
    fn wide(version: u8, kept: &Kept) -> Vec<u8> {
        let mut out = vec![version];
        let counters = [kept.received, kept.pushed].map(|counter| counter.map_or(0, |counter| u64::from(counter) + 1));
        counters.iter().take(version.into()).for_each(|counter| out.put_u64_le(*counter));
        out.put_u8(kept.state as u8);
        let (from, to) = kept.moved.unwrap();
        [kept.answered_ms.unwrap(), from, to].into_iter().for_each(|time| out.put_i64_le(time));
        for line in &kept.lines {
            out.put_u8(line.task.len() as u8);
            out.put_slice(line.task.as_bytes());
            out.put_u64_le(line.grid);
            out.put_u64_le(line.layout);
            line.progress.emit_wide(&mut out);
        }
        out
    }

    #[test]
    fn how_far_a_meter_has_come_takes_few_octets() {
        let (first, tasks) = (1_992_088, ["load-profile", "daily", "events", "clock"]);
        let lines = tasks.map(|task| {
            let mut progress = Progress::new(first);
            (first..first + 500).for_each(|slot| assert!(progress.read(slot)));
            KeptLine { task: task.into(), grid: 1 << 63, layout: 1 << 63, progress }
        });
        let (received, answered_ms) = (Some(1_000_000), Some(1_792_879_200_000));
        let (state, lines) = (MeterState::Active, lines.into());
        let kept = Kept { received, pushed: received, answered_ms, state, lines, ..Kept::default() };
        let mut out = Vec::new();
        kept.emit(&mut out);
        assert!(out.len() <= 160, "{}", out.len());
    }

    #[test]
    fn what_is_kept_comes_back_for_the_same_grid_only() {
        let quarters = Grid::Every { seconds: 900 };
        let mut progress = Progress::new(100);
        assert!(progress.read(105));
        let line = |task: &str, grid| KeptLine {
            task: task.into(),
            grid: signature(grid),
            layout: 7,
            progress: progress.clone(),
        };
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let days = Grid::Daily { at: Time::midnight(), zone: zone.clone() };
        let (state, answered_ms) = (MeterState::Silent, Some(7));
        let moved = Some((5, 9));
        let lines = vec![line("a", &quarters), line("b", &days)];
        let kept = Kept { received: Some(0), pushed: Some(9), state, answered_ms, moved, lines, ..Kept::default() };
        let mut out = Vec::new();
        let (successor, channels) = (Some([7; 8]), vec![(1, [1; 8]), (4, [4; 8])]);
        let bindings = vec![KeptBinding { channel: 2, meter: [2; 8], old: [8; 8], attempts: 3 }];
        let full = Kept { turn: 300, successor, channels, bindings, ..kept.clone() };
        full.emit(&mut out);
        assert_eq!(Kept::parse(&out), Some(full));
        out.clear();
        kept.emit(&mut out);
        assert_eq!(Kept::parse(&out), Some(kept.clone()));
        // Version 4 had no bindings, version 3 neither turn nor successor nor channels.
        let lines_at = out.windows(2).position(|at| at == [1, b'a']).unwrap();
        for (version, less) in [(4, 1), (3, 4)] {
            let before = [&[version], &out[1..lines_at - less], &out[lines_at..]].concat();
            assert_eq!(Kept::parse(&before), Some(kept.clone()), "version {version}");
        }
        for (state, is_told) in [
            (MeterState::Silent, true),
            (MeterState::Active, true),
            (MeterState::New, true),
            (MeterState::Unreachable, false),
        ] {
            let unlike = Kept { state, is_told, ..kept.clone() };
            let mut octets = Vec::new();
            unlike.emit(&mut octets);
            assert_eq!(Kept::parse(&octets), Some(unlike.clone()));
            // A version that knows nothing of it takes all the rest, and a line of a task that it has not.
            assert_eq!(octets[0], 5);
            let read = super::lines(&mut &octets[lines_at..], Progress::parse).unwrap();
            assert_eq!((&read[..2], &*read[2].task, read.len()), (&unlike.lines[..], "", 3));
            // And what this version does not know is no task either.
            octets[out.len() + 1] = 0x70;
            let is_told = state == MeterState::Unreachable;
            assert_eq!(Kept::parse(&octets), Some(Kept { is_told, ..unlike }));
        }
        // Who could not be reached was told of by the versions that did not write it.
        out[1] = MeterState::Unreachable as u8;
        let before = Kept { state: MeterState::Unreachable, is_told: true, ..kept.clone() };
        assert_eq!(Kept::parse(&out), Some(before.clone()));
        assert_eq!(Kept::parse(&wide(2, &before)), Some(before));
        out[1] = kept.state as u8;
        for cut in 0..out.len() {
            assert!(Kept::parse(&out[..cut]).is_none_or(|parsed| parsed.lines.len() < 2), "cut at {cut}");
        }
        assert_eq!(Kept::parse(&wide(1, &kept)), Some(Kept { pushed: None, ..kept.clone() }));
        assert_eq!(Kept::parse(&wide(2, &kept)), Some(kept.clone()));
        assert_eq!(kept.progress("a", &quarters), Some(&progress));
        assert_eq!(kept.progress("a", &Grid::Every { seconds: 1800 }), None);
        assert_eq!(kept.progress("b", &Grid::Daily { at: Time::midnight(), zone: TimeZone::UTC }), None);
        assert_eq!(kept.progress("b", &Grid::Daily { at: Time::constant(6, 0, 0, 0), zone: zone.clone() }), None);
        let winter = TimeZone::posix("CET-1").unwrap();
        assert_eq!(kept.progress("b", &Grid::Daily { at: Time::midnight(), zone: winter }), None);
        assert_eq!(kept.progress("c", &quarters), None);
    }
}
