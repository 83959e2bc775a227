//! Classes 18, 40 and 64: firmware, push, and keys.

use crate::data::{Encoder, encode};
use crate::spec::enumeration;
use crate::{Data, Reject};

enumeration! {
    /// Attribute 6 of class 18.
    ImageTransferStatus {
        NotInitiated = 0 "not initiated",
        Initiated = 1 "initiated",
        VerificationInitiated = 2 "verification initiated",
        VerificationSuccessful = 3 "verification successful",
        VerificationFailed = 4 "verification failed",
        ActivationInitiated = 5 "activation initiated",
        ActivationSuccessful = 6 "activation successful",
        ActivationFailed = 7 "activation failed",
    }
}

/// What will be activated: an element of attribute 7 of class 18.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageToActivate {
    pub size: u32,
    pub identification: Vec<u8>,
    pub signature: Vec<u8>,
}

/// Where a push goes: attribute 3 of class 40.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushDestination {
    /// 0 TCP, 1 UDP, 2 FTP, 3 SMTP, 4 SMS, 5 HDLC, 6 M-Bus.
    pub service: u8,
    pub destination: Vec<u8>,
    /// 0 A-XDR.
    pub message: u8,
}

/// Attribute 2 of class 64, version 1: a bit for each demand. Version 0 has numbers: see [`Self::from_version_0`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SecurityPolicy(pub u8);

enumeration! {
    /// Which key is transferred.
    KeyKind {
        GlobalUnicastEncryption = 0 "global unicast encryption key",
        GlobalBroadcastEncryption = 1 "global broadcast encryption key",
        Authentication = 2 "authentication key",
        Master = 3 "master key",
    }
}

impl TryFrom<Data<'_>> for ImageToActivate {
    type Error = Reject;

    fn try_from(data: Data<'_>) -> Result<Self, Reject> {
        let [size, identification, signature] = data.fields("an image to activate")?;
        Ok(Self {
            size: size.number()?,
            identification: identification.string()?.to_vec(),
            signature: signature.string()?.to_vec(),
        })
    }
}

impl ImageToActivate {
    pub fn write(&self, out: &mut Encoder) {
        out.structure(3)
            .put(Data::DoubleLongUnsigned(self.size))
            .put(Data::OctetString(&self.identification))
            .put(Data::OctetString(&self.signature));
    }
}

impl TryFrom<Data<'_>> for PushDestination {
    type Error = Reject;

    fn try_from(data: Data<'_>) -> Result<Self, Reject> {
        let [service, destination, message] = data.fields("a push destination")?;
        Ok(Self { service: service.number()?, destination: destination.string()?.to_vec(), message: message.number()? })
    }
}

impl PushDestination {
    pub fn write(&self, out: &mut Encoder) {
        out.structure(3)
            .put(Data::Enum(self.service))
            .put(Data::OctetString(&self.destination))
            .put(Data::Enum(self.message));
    }
}

impl SecurityPolicy {
    pub const AUTHENTICATED_REQUEST: u8 = 0x04;
    pub const ENCRYPTED_REQUEST: u8 = 0x08;
    pub const SIGNED_REQUEST: u8 = 0x10;
    pub const AUTHENTICATED_RESPONSE: u8 = 0x20;
    pub const ENCRYPTED_RESPONSE: u8 = 0x40;
    pub const SIGNED_RESPONSE: u8 = 0x80;

    /// 0 nothing, 1 authenticated, 2 encrypted, 3 both, both ways.
    pub const fn from_version_0(number: u8) -> Result<Self, Reject> {
        let authenticated = Self::AUTHENTICATED_REQUEST | Self::AUTHENTICATED_RESPONSE;
        let encrypted = Self::ENCRYPTED_REQUEST | Self::ENCRYPTED_RESPONSE;
        match number {
            0 => Ok(Self(0)),
            1 => Ok(Self(authenticated)),
            2 => Ok(Self(encrypted)),
            3 => Ok(Self(authenticated | encrypted)),
            _ => Err(Reject::Reserved("security policy")),
        }
    }
}

/// The parameter of method 2 of class 64: keys, each wrapped by the master key.
pub fn key_transfer(keys: &[(KeyKind, &[u8])]) -> Vec<u8> {
    encode(|out| {
        out.array(keys.len());
        for (kind, wrapped) in keys {
            out.structure(2).put(Data::Enum((*kind).into())).put(Data::OctetString(wrapped));
        }
    })
}
