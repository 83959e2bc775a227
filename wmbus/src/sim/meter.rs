//! Telegrams of a simulated meter: records, transport layer, protection, frame.

use aes::Aes128Enc;
use aes::cipher::KeyInit;
use bytes::BufMut;

use crate::afl::Afl;
use crate::ell::{Ell, SessionNumber};
use crate::format::{CompactFrame, FormatFrame, signature};
use crate::record::{Draft, IDLE, Records};
use crate::security::{self, Purpose};
use crate::spec::Content;
use crate::tpl::{Configuration, Extension, ShortHeader, Status, Tpl};
use crate::{Address, Form, Key, Link, link};

/// A telegram to be built. The same message gives the same octets.
#[derive(Debug, Clone)]
pub struct Message<'a> {
    /// SND-NR is 44.
    pub c_field: u8,
    /// The sender of the frame.
    pub link_address: Address,
    /// The meter, where it is not the sender: a long header then names it.
    pub meter_address: Option<Address>,
    pub access_number: u8,
    pub status: u8,
    pub protection: Protection<'a>,
    pub records: &'a [Draft<'a>],
    pub layout: Layout,
    /// Bits of the configuration field that say whether the meter listens: C000 where it does.
    pub access: u16,
}

/// How the records are laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    #[default]
    Full,
    /// Signature, CRC of the full frame, data.
    Compact,
    /// Signature, DIBs and VIBs.
    Format,
}

/// How the records are protected.
#[derive(Debug, Clone)]
pub enum Protection<'a> {
    /// Mode 0.
    None,
    /// Mode 5, OMS profile A.
    AesCbcIv(&'a Key),
    /// Mode 7, OMS profile B: AFL with message counter and a CMAC of eight octets, behind an ELL I.
    AesCbcNoIv { key: &'a Key, counter: u32 },
    /// Mode 10, OMS profile D, behind an ELL I.
    AesCcm { key: &'a Key, counter: u32 },
    /// AES-128-CTR of an ELL II, no transport header. The session number's encryption mode is set here.
    EllAesCtr { key: &'a Key, session_number: u32 },
}

impl<'a> Message<'a> {
    /// A spontaneous telegram (SND-NR) of a meter, unprotected, all well.
    pub const fn new(address: Address, access_number: u8, records: &'a [Draft<'a>]) -> Self {
        Self {
            c_field: SND_NR,
            link_address: address,
            meter_address: None,
            access_number,
            status: 0,
            protection: Protection::None,
            records,
            layout: Layout::Full,
            access: 0,
        }
    }

    #[must_use]
    pub fn protection(mut self, protection: Protection<'a>) -> Self {
        self.protection = protection;
        self
    }

    #[must_use]
    pub const fn status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    #[must_use]
    pub const fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// The frame in a form; None where the records are too long for it or for their protection.
    pub fn emit(&self, form: Form) -> Option<Vec<u8>> {
        link::frame(form, &self.body()?)
    }

    /// The octets from the C-field on; None where the records are too long for their protection.
    pub fn body(&self) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(128);
        Link::Wireless { c_field: self.c_field, address: self.link_address }.emit(&mut out);
        match self.protection {
            Protection::None => {
                let configuration = Configuration { field: 0, extension: Extension::None };
                self.tpl(configuration).emit(&mut out);
                self.application(&mut out);
            }
            Protection::AesCbcIv(key) => {
                let mut plain = self.padded();
                self.tpl(blocks(5, &plain, Extension::None)?).emit(&mut out);
                let iv = security::mode_5_iv(&self.meter(), self.access_number);
                security::cbc_encrypt(key.octets(), &iv, &mut plain);
                out.extend_from_slice(&plain);
            }
            Protection::AesCbcNoIv { key, counter } => self.profile_b(key, counter, &mut out)?,
            Protection::AesCcm { key, counter } => self.profile_d(key, counter, &mut out),
            Protection::EllAesCtr { key, session_number } => self.ell_ctr(key, session_number, &mut out),
        }
        Some(out)
    }

    fn profile_b(&self, key: &Key, counter: u32, out: &mut Vec<u8>) -> Option<()> {
        let tpdu = self.profile_b_tpdu(key, counter)?;
        let mac = self.mac(key, counter, &Afl::profile_b(counter, [0; 8]), &tpdu);
        self.ell(None).emit(out);
        Afl::profile_b(counter, mac).emit(out);
        out.extend_from_slice(&tpdu);
        Some(())
    }

    /// The frames of a message under [`Protection::AesCbcNoIv`] in fragments of so many octets, at least two of them;
    /// None where the records are too long, or another protection is asked for.
    pub fn fragments(&self, form: Form, octets: usize) -> Option<Vec<Vec<u8>>> {
        let Protection::AesCbcNoIv { key, counter } = self.protection else { return None };
        let tpdu = self.profile_b_tpdu(key, counter)?;
        let first = Afl::first_fragment(counter, u16::try_from(tpdu.len()).ok()?);
        let mac = self.mac(key, counter, &first, &tpdu);
        let chunks: Vec<&[u8]> = tpdu.chunks(octets.clamp(1, tpdu.len() - 1)).collect();
        let frame = |(id, chunk): (u8, &&[u8])| {
            let afl = match usize::from(id) {
                1 => first,
                last if last == chunks.len() => Afl::later_fragment(id, Some(mac)),
                _ => Afl::later_fragment(id, None),
            };
            let mut body = Vec::with_capacity(64);
            Link::Wireless { c_field: self.c_field, address: self.link_address }.emit(&mut body);
            self.ell(None).emit(&mut body);
            afl.emit(&mut body);
            body.extend_from_slice(chunk);
            link::frame(form, &body)
        };
        (1..=u8::MAX).zip(&chunks).map(frame).collect::<Option<Vec<_>>>().filter(|frames| frames.len() == chunks.len())
    }

    fn profile_b_tpdu(&self, key: &Key, counter: u32) -> Option<Vec<u8>> {
        let mut plain = self.padded();
        let mut tpdu = Vec::with_capacity(128);
        self.tpl(blocks(7, &plain, Extension::Kdf(KDF_A))?).emit(&mut tpdu);
        let derived = security::derive(key, Purpose::EncryptFromMeter, counter, self.meter().identification);
        security::cbc_encrypt(&derived, &[0; 16], &mut plain);
        tpdu.extend_from_slice(&plain);
        Some(tpdu)
    }

    fn mac(&self, key: &Key, counter: u32, afl: &Afl, tpdu: &[u8]) -> [u8; 8] {
        let mut authenticated = Vec::with_capacity(tpdu.len() + 16);
        afl.authenticated(&mut authenticated);
        authenticated.extend_from_slice(tpdu);
        let derived = security::derive(key, Purpose::AuthenticateFromMeter, counter, self.meter().identification);
        let [a, b, c, d, e, f, g, h, ..] = security::cmac(&Aes128Enc::new((&derived).into()), &[&authenticated]);
        [a, b, c, d, e, f, g, h]
    }

    fn profile_d(&self, key: &Key, counter: u32, out: &mut Vec<u8>) {
        self.ell(None).emit(out);
        let at = out.len();
        let extension = Extension::Ccm { field: KDF_A_TAG_8, counter };
        self.tpl(Configuration { field: MODE_10_ALL, extension }).emit(out);
        // The tag covers the header up to the counter.
        let associated = out.get(at..out.len() - 4).unwrap_or_default();
        let meter = self.meter();
        let derived = security::derive(key, Purpose::EncryptFromMeter, counter, meter.identification);
        let mut sealed = vec![IDLE, IDLE];
        self.application(&mut sealed);
        let tag = security::ccm_seal(&derived, &security::ccm_nonce(&meter, counter), associated, &mut sealed);
        out.extend_from_slice(&sealed);
        out.extend_from_slice(&tag);
    }

    fn ell_ctr(&self, key: &Key, session_number: u32, out: &mut Vec<u8>) {
        let session_number = SessionNumber(session_number & ELL_SESSION_AND_TIME | ELL_AES_CTR);
        let ell = self.ell(Some(session_number));
        ell.emit(out);
        let mut payload = vec![match self.layout {
            Layout::Full => CI_RECORDS,
            Layout::Compact => CI_COMPACT,
            Layout::Format => CI_FORMAT,
        }];
        self.application(&mut payload);
        let mut sealed = Vec::with_capacity(payload.len() + 2);
        sealed.put_u16_le(link::crc(&payload));
        sealed.extend_from_slice(&payload);
        let counter = security::ell_counter(&self.link_address, &ell, session_number);
        security::ctr_apply(key.encrypting(), &counter, &mut sealed);
        out.extend_from_slice(&sealed);
    }

    fn meter(&self) -> Address {
        self.meter_address.unwrap_or(self.link_address)
    }

    fn ell(&self, session_number: Option<SessionNumber>) -> Ell {
        Ell {
            communication_control: CC_SYNCHRONOUS,
            access_number: self.access_number,
            extended_control: None,
            receiver: None,
            session_number,
        }
    }

    fn tpl(&self, mut configuration: Configuration) -> Tpl {
        configuration.field |= self.access;
        Tpl {
            ci_field: match (self.layout, self.meter_address.is_some()) {
                (Layout::Full, true) => CI_RECORDS_LONG,
                (Layout::Full, false) => CI_RECORDS_SHORT,
                (Layout::Compact, true) => CI_COMPACT_LONG,
                (Layout::Compact, false) => CI_COMPACT_SHORT,
                (Layout::Format, true) => CI_FORMAT_LONG,
                (Layout::Format, false) => CI_FORMAT_SHORT,
            },
            address: self.meter_address,
            header: Some(ShortHeader { access_number: self.access_number, status: Status(self.status), configuration }),
            content: Content::Records,
            to_meter: false,
        }
    }

    fn application(&self, out: &mut Vec<u8>) {
        let mut full = Vec::new();
        self.records.iter().for_each(|record| record.emit(&mut full));
        let (mut chain, mut data) = (Vec::new(), Vec::new());
        for record in Records::new(&full).flatten() {
            chain.extend_from_slice(record.header());
            data.extend_from_slice(record.octets.get(record.header().len()..).unwrap_or_default());
        }
        match self.layout {
            Layout::Full => out.extend_from_slice(&full),
            Layout::Compact => {
                let (signature, full_frame_crc) = (signature(&chain), link::crc(&full));
                CompactFrame { signature, full_frame_crc, data: &data }.emit(out);
            }
            Layout::Format => FormatFrame { chain: &chain }.emit(out),
        }
    }

    /// Check octets, records, idle fillers up to whole blocks.
    fn padded(&self) -> Vec<u8> {
        let mut plain = vec![IDLE, IDLE];
        self.application(&mut plain);
        plain.resize(plain.len().next_multiple_of(16), IDLE);
        plain
    }
}

fn blocks(mode: u8, plain: &[u8], extension: Extension) -> Option<Configuration> {
    let blocks = u8::try_from(plain.len() / 16).ok().filter(|blocks| *blocks <= 15)?;
    Some(Configuration::with_blocks(mode, blocks, extension))
}

const SND_NR: u8 = 0x44;
const CI_FORMAT: u8 = 0x69;
const CI_FORMAT_SHORT: u8 = 0x6a;
const CI_FORMAT_LONG: u8 = 0x6b;
const CI_COMPACT_LONG: u8 = 0x73;
const CI_COMPACT: u8 = 0x79;
const CI_COMPACT_SHORT: u8 = 0x7b;
const CI_RECORDS_LONG: u8 = 0x72;
const CI_RECORDS: u8 = 0x78;
const CI_RECORDS_SHORT: u8 = 0x7a;
const KDF_A: u8 = 0x10;
const KDF_A_TAG_8: u16 = 0x0110;
const MODE_10_ALL: u16 = 0x0aff;
const CC_SYNCHRONOUS: u8 = 0x20;
const ELL_SESSION_AND_TIME: u32 = (1 << 29) - 1;
const ELL_AES_CTR: u32 = 1 << 29;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{DataField, DateTime, Value};
    use crate::{NoKeys, Scratch, SecurityMode, Telegram, Verdict};

    const METER: Address =
        Address { manufacturer: 0x2c2d, identification: 0x1234_5678, version: 0x1b, device_type: 0x16 };
    const ADAPTER: Address = Address { identification: 0x8765_4321, device_type: 0x37, ..METER };

    #[track_caller]
    fn check(message: &Message<'_>, key: &Key, mode: SecurityMode, authenticated: bool) {
        let mut scratch = Scratch::default();
        for form in [Form::FormatA, Form::FormatB, Form::Stripped] {
            let frame = message.emit(form).unwrap();
            let telegram = Telegram::decode(&frame, key, &mut scratch).unwrap();
            assert_eq!((telegram.form, telegram.verdict), (form, Verdict::Ok), "{telegram}");
            assert_eq!((telegram.address, telegram.access_number()), (METER, Some(42)));
            assert_eq!((telegram.security.mode, telegram.security.authenticated), (mode, authenticated));
            let records: Vec<_> = telegram.records().map(Result::unwrap).collect();
            assert_eq!(records.len(), message.records.len());
            for (record, draft) in records.iter().zip(message.records) {
                assert_eq!((record.value, record.storage_number.into()), (draft.value, draft.dib.storage_number));
                assert_eq!(record.vib.octets, draft.vib);
            }
            if mode != SecurityMode::None {
                assert_eq!(Telegram::decode(&frame, &NoKeys, &mut scratch).unwrap().verdict, Verdict::NoKey);
                let other = Key::new([9; 16]);
                assert_eq!(Telegram::decode(&frame, &other, &mut scratch).unwrap().verdict, Verdict::WrongKey);
            }
        }
    }

    #[test]
    fn what_a_meter_sends_is_what_is_read() {
        let key = Key::new(*b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f");
        let time = DateTime::parse_f([0x19, 0x12, 0xa6, 0x2b]).unwrap();
        let records = [
            Draft::new(DataField::Bcd8, &[0x13], Value::Integer(123_456)),
            Draft::new(DataField::Integer32, &[0x6d], Value::DateTime(time)),
            Draft::new(DataField::Integer32, &[0x13], Value::Integer(-3)).storage(1),
            Draft::new(DataField::Integer16, &[0xfd, 0x17], Value::Binary(&[0, 4])),
        ];
        let plain = Message::new(METER, 42, &records);
        check(&plain, &key, SecurityMode::None, false);
        check(&plain.clone().protection(Protection::AesCbcIv(&key)), &key, SecurityMode::AesCbcIv, false);
        let mode_7 = plain.clone().protection(Protection::AesCbcNoIv { key: &key, counter: 7 });
        check(&mode_7, &key, SecurityMode::AesCbcNoIv, true);
        let ell = plain.clone().protection(Protection::EllAesCtr { key: &key, session_number: 0x0316_e1a4 });
        check(&ell, &key, SecurityMode::EllAesCtr, false);
        let mode_10 = plain.clone().protection(Protection::AesCcm { key: &key, counter: 7 });
        check(&mode_10, &key, SecurityMode::AesCcm, true);
        let adapted = Message { link_address: ADAPTER, meter_address: Some(METER), ..mode_10 };
        check(&adapted, &key, SecurityMode::AesCcm, true);
        let adapted = Message { link_address: ADAPTER, meter_address: Some(METER), ..mode_7 };
        check(&adapted, &key, SecurityMode::AesCbcNoIv, true);
    }

    #[test]
    fn records_too_long_for_a_frame_are_refused() {
        let records = [Draft::new(DataField::Integer64, &[0x13], Value::Integer(1)); 30];
        assert_eq!(Message::new(METER, 0, &records).emit(Form::Stripped), None);
        let key = Key::new([1; 16]);
        let protection = Protection::AesCbcIv(&key);
        assert_eq!(Message::new(METER, 0, &records).protection(protection).body(), None);
    }
}
