//! What was opened: which application layer it is, and compact frames made full.

use super::{Opened, Opening, Stop};
use crate::format::{CompactFrame, FormatFrame};
use crate::spec::Content;
use crate::telegram::Compact;
use crate::{Formats, Reject};

impl Opening {
    /// The application octets, those of the full frame where they came as a compact one.
    #[inline(always)]
    pub(super) fn content<'a>(
        &mut self,
        application: &'a [u8],
        formats: &Formats,
        full: &'a mut Vec<u8>,
    ) -> Opened<'a> {
        let cut = self.lacks_octets().then_some(Stop::from(Reject::Truncated));
        let Some(tpl) = &mut self.tpl else { return (application, cut) };
        match tpl.content {
            Content::CompactFrame => match self.full_frame(application, formats, full) {
                Ok(()) => {
                    self.tpl.iter_mut().for_each(|tpl| tpl.content = Content::Records);
                    (full, None)
                }
                Err(reject) => (application, Some(cut.unwrap_or(reject.into()))),
            },
            Content::FormatFrame => {
                let reject = FormatFrame::parse(&mut &*application).err();
                (application, cut.or(reject.map(Stop::from)))
            }
            Content::Foreign => (application, Some(Reject::UnsupportedCi(tpl.ci_field).into())),
            _ => (application, cut),
        }
    }

    fn full_frame(&mut self, mut application: &[u8], formats: &Formats, full: &mut Vec<u8>) -> Result<(), Reject> {
        let frame = CompactFrame::parse(&mut application)?;
        self.compact = Some(Compact { signature: frame.signature, full_frame_crc: frame.full_frame_crc });
        let address = self.address.ok_or(Reject::NoAddress)?;
        formats.expand(&address, &frame, full)
    }
}
