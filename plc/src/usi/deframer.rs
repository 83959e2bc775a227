//! Finds frames in a stream of octets that may begin anywhere, be damaged or never end.

use super::{ESCAPE, ESCAPE_BIT, FLAG, Frame, MAX_FRAME};
use crate::{Reject, Rejects};

/// The receiving side of a line. A flag is the end of one frame and the beginning of the next, so that frames may share
/// it, and garbage costs no more than the frame that it stands in.
#[derive(Debug, Default)]
pub struct Deframer {
    /// Unescaped octets since the last flag, at most those of the longest frame and one more.
    buffer: Vec<u8>,
    is_escaped: bool,
    octets: u64,
    frames: u64,
    rejects: Rejects,
}

impl Deframer {
    /// Takes one octet; the frame that it ends comes back.
    pub fn take(&mut self, octet: u8) -> Option<Frame> {
        self.octets += 1;
        match octet {
            FLAG => return self.end(),
            ESCAPE => self.is_escaped = true,
            // Over the longest frame nothing more is kept: the flag finds it too long.
            _ if self.buffer.len() <= MAX_FRAME => {
                self.buffer.push(if self.is_escaped { octet ^ ESCAPE_BIT } else { octet });
                self.is_escaped = false;
            }
            _ => self.is_escaped = false,
        }
        None
    }

    /// Octets and frames taken since the beginning.
    pub fn taken(&self) -> (u64, u64) {
        (self.octets, self.frames)
    }

    pub fn rejects(&self) -> &Rejects {
        &self.rejects
    }

    fn end(&mut self) -> Option<Frame> {
        let is_escaped = std::mem::take(&mut self.is_escaped);
        if self.buffer.is_empty() && !is_escaped {
            return None;
        }
        let frame = match &self.buffer {
            _ if is_escaped => Err(Reject::Reserved("escape")),
            long if long.len() > MAX_FRAME => Err(Reject::TooLong),
            whole => Frame::parse(whole),
        };
        self.buffer.clear();
        match frame {
            Ok(frame) => {
                self.frames += 1;
                Some(frame)
            }
            Err(reject) => {
                self.rejects.add(reject);
                None
            }
        }
    }
}
