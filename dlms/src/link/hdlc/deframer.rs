//! Finds frames in a stream of octets.

use std::time::{Duration, Instant};

use super::frame::{FLAG, FORMAT_TYPE, Frame, LENGTH};
use crate::Reject;

/// Keeps what is not whole yet: at most one frame.
#[derive(Debug, Default)]
pub struct Deframer {
    pending: Vec<u8>,
    heard: Option<Instant>,
}

impl Deframer {
    /// Gives each whole frame to `take`, and each run of octets skipped as a reject.
    pub fn push(&mut self, bytes: &[u8], now: Instant, mut take: impl FnMut(Result<Frame<'_>, Reject>)) {
        let mut pending = std::mem::take(&mut self.pending);
        // What came a while ago, and was not whole, never will be: its flag was none.
        if self.heard.is_some_and(|heard| now.duration_since(heard) > PAUSE) && pending.first() == Some(&FLAG) {
            pending.drain(..1);
        }
        self.heard = Some(now);
        pending.extend_from_slice(bytes);
        let rest = Self::frames(&pending, &mut take).len();
        pending.drain(..pending.len() - rest);
        self.pending = pending;
    }

    fn frames<'a>(mut bytes: &'a [u8], take: &mut impl FnMut(Result<Frame<'_>, Reject>)) -> &'a [u8] {
        loop {
            let Some(start) = bytes.iter().position(|octet| *octet == FLAG) else {
                if !bytes.is_empty() {
                    take(Err(Reject::Noise));
                }
                return &[];
            };
            if start > 0 {
                take(Err(Reject::Noise));
                bytes = bytes.get(start..).unwrap_or_default();
            }
            // A flag may end one frame and begin the next.
            let Some(body) = bytes.get(1..).filter(|body| !body.is_empty()) else { return bytes };
            if body.first() == Some(&FLAG) {
                bytes = body;
                continue;
            }
            let [high, low, ..] = *body else { return bytes };
            let format = u16::from_be_bytes([high, low]);
            let length = usize::from(format & LENGTH);
            if format >> 12 != FORMAT_TYPE || length < 7 {
                take(Err(Reject::Noise));
                bytes = Self::skip(body);
                continue;
            }
            let Some((frame, behind)) = body.split_at_checked(length) else { return bytes };
            match behind.first() {
                None => return bytes,
                Some(&FLAG) => {
                    let frame = Frame::parse(frame);
                    bytes = if frame.is_ok() { behind } else { Self::skip(body) };
                    take(frame);
                }
                Some(_) => {
                    take(Err(Reject::Noise));
                    bytes = Self::skip(body);
                }
            }
        }
    }

    /// From the next flag on.
    fn skip(body: &[u8]) -> &[u8] {
        let next = body.iter().position(|octet| *octet == FLAG).unwrap_or(body.len());
        body.get(next..).unwrap_or_default()
    }
}

/// Octets of one frame follow each other faster, TCP gateways included.
const PAUSE: Duration = Duration::from_secs(1);
