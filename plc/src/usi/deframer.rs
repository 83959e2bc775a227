//! Finds frames in a stream of octets that may begin anywhere, be damaged or never end.

use super::{ESCAPE, ESCAPE_BIT, FLAG, Frame, MAX_FRAME};
use crate::{Reject, Rejects};

/// The receiving side of a line. A flag is the end of one frame and the beginning of the next, so that frames may share
/// it, and garbage costs no more than the frame that it stands in.
#[derive(Debug, Default)]
pub struct Deframer {
    /// Unescaped octets since the last flag, at most those of the longest frame.
    buffer: Vec<u8>,
    /// There were more, which are counted already: nothing is a frame until the next flag.
    is_lost: bool,
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
            _ => {
                self.buffer.push(if self.is_escaped { octet ^ ESCAPE_BIT } else { octet });
                self.is_escaped = false;
            }
        }
        // Counted now, and once: what is no frame may never have a flag.
        if self.buffer.len() > MAX_FRAME {
            self.buffer.clear();
            if !std::mem::replace(&mut self.is_lost, true) {
                self.rejects.add(Reject::TooLong);
            }
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
        if std::mem::take(&mut self.is_lost) {
            self.buffer.clear();
            return None;
        }
        if self.buffer.is_empty() && !is_escaped {
            return None;
        }
        let frame = match &self.buffer {
            _ if is_escaped => Err(Reject::Reserved("escape")),
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
