//! Class 18: firmware is taken block by block, checked, and activated.

use super::{Object, Returned, value};
use crate::Data;
use crate::apdu::Selection;
use crate::cosem::{ImageToActivate, ImageTransferStatus, class};
use crate::data::{BitString, encode};
use crate::sim::{Effect, World};
use crate::spec::{ActionResult, DataAccessResult};

#[derive(Debug, Clone)]
pub struct ImageTransfer {
    block_size: u32,
    is_enabled: bool,
    status: ImageTransferStatus,
    identification: Vec<u8>,
    /// Blocks that came.
    blocks: Vec<Option<Vec<u8>>>,
    size: u32,
    /// Verification takes so many polls.
    pub verification_polls: u32,
    polls_left: u32,
    /// An image whose first octet is another is refused.
    pub magic: Option<u8>,
}

impl ImageTransfer {
    pub const fn new(block_size: u32) -> Self {
        Self {
            block_size,
            is_enabled: true,
            status: ImageTransferStatus::NotInitiated,
            identification: Vec::new(),
            blocks: Vec::new(),
            size: 0,
            verification_polls: 0,
            polls_left: 0,
            magic: None,
        }
    }

    fn initiate(&mut self, parameter: Data<'_>) -> Returned {
        let [identification, size] = parameter.fields("an image").map_err(|_| ActionResult::TypeUnmatched)?;
        let identification = identification.string().map_err(|_| ActionResult::TypeUnmatched)?;
        self.size = size.number().map_err(|_| ActionResult::TypeUnmatched)?;
        if self.size == 0 || self.size > MAX_IMAGE {
            return Err(ActionResult::OtherReason);
        }
        // The same image again goes on where it was: its blocks stay.
        if self.identification != identification || self.status != ImageTransferStatus::Initiated {
            self.identification = identification.to_vec();
            self.blocks = vec![None; self.size.div_ceil(self.block_size.max(1)) as usize];
        }
        self.status = ImageTransferStatus::Initiated;
        self.polls_left = self.verification_polls;
        Ok(None)
    }

    fn block(&mut self, parameter: Data<'_>) -> Returned {
        if self.status != ImageTransferStatus::Initiated {
            return Err(ActionResult::TemporaryFailure);
        }
        let [number, octets] = parameter.fields("an image block").map_err(|_| ActionResult::TypeUnmatched)?;
        let number: u32 = number.number().map_err(|_| ActionResult::TypeUnmatched)?;
        let octets = octets.octet_string().map_err(|_| ActionResult::TypeUnmatched)?;
        let expected = self.size.saturating_sub(number.saturating_mul(self.block_size)).min(self.block_size);
        let place = self.blocks.get_mut(number as usize).ok_or(ActionResult::OtherReason)?;
        if octets.len() != expected as usize {
            return Err(ActionResult::OtherReason);
        }
        *place = Some(octets.to_vec());
        Ok(None)
    }

    fn verify(&mut self) -> Returned {
        if self.blocks.is_empty() || self.blocks.iter().any(Option::is_none) {
            return Err(ActionResult::OtherReason);
        }
        if self.polls_left > 0 {
            self.polls_left -= 1;
            self.status = ImageTransferStatus::VerificationInitiated;
            return Err(ActionResult::TemporaryFailure);
        }
        let first = self.blocks.first().and_then(|block| block.as_ref()?.first()).copied();
        if self.magic.is_some() && self.magic != first {
            self.status = ImageTransferStatus::VerificationFailed;
            return Err(ActionResult::OtherReason);
        }
        self.status = ImageTransferStatus::VerificationSuccessful;
        Ok(None)
    }
}

impl Object for ImageTransfer {
    fn class_id(&self) -> u16 {
        class::IMAGE_TRANSFER
    }

    fn get(&self, attribute: i8, _: Option<&Selection<'_>>, _: &World) -> Result<Vec<u8>, DataAccessResult> {
        match attribute {
            2 => value(Data::DoubleLongUnsigned(self.block_size)),
            3 => {
                let mut octets = vec![0; self.blocks.len().div_ceil(8)];
                for (place, octet) in self.blocks.chunks(8).zip(&mut octets) {
                    *octet = place
                        .iter()
                        .zip(0..)
                        .fold(0, |all, (block, bit)| all | if block.is_some() { 0x80_u8 >> bit } else { 0 });
                }
                let bits = BitString::new(self.blocks.len(), &octets).ok_or(DataAccessResult::OtherReason)?;
                value(Data::BitString(bits))
            }
            4 => {
                let first = self.blocks.iter().position(Option::is_none).unwrap_or(self.blocks.len());
                value(Data::DoubleLongUnsigned(first as u32))
            }
            5 => value(Data::Boolean(self.is_enabled)),
            6 => value(Data::Enum(self.status.into())),
            7 => Ok(encode(|out| {
                let is_verified = self.status == ImageTransferStatus::VerificationSuccessful;
                out.array(usize::from(is_verified));
                if is_verified {
                    let (size, identification) = (self.size, self.identification.clone());
                    ImageToActivate { size, identification, signature: Vec::new() }.write(out);
                }
            })),
            _ => Err(DataAccessResult::ObjectUnavailable),
        }
    }

    fn set(&mut self, attribute: i8, value: Data<'_>, _: &mut World) -> DataAccessResult {
        match (attribute, value) {
            (5, Data::Boolean(is_enabled)) => {
                self.is_enabled = is_enabled;
                DataAccessResult::Success
            }
            (5, _) => DataAccessResult::TypeUnmatched,
            _ => DataAccessResult::ReadWriteDenied,
        }
    }

    fn invoke(&mut self, method: i8, parameter: Option<Data<'_>>, world: &mut World) -> Returned {
        if !self.is_enabled {
            return Err(ActionResult::ReadWriteDenied);
        }
        let parameter = parameter.unwrap_or(Data::NullData);
        match method {
            1 => self.initiate(parameter),
            2 => self.block(parameter),
            3 => self.verify(),
            4 if self.status == ImageTransferStatus::VerificationSuccessful => {
                self.status = ImageTransferStatus::ActivationSuccessful;
                world.effects.push(Effect::Activated(self.identification.clone()));
                Ok(None)
            }
            4 => Err(ActionResult::OtherReason),
            _ => Err(ActionResult::ReadWriteDenied),
        }
    }

    fn writable(&self) -> &[i8] {
        &[5]
    }
}

/// 16 MiB.
const MAX_IMAGE: u32 = 1 << 24;
