//! EN 13757-7:2018, table 2: CI-fields of the transport layer and above.

/// What stands between CI-field and application data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Header {
    None,
    /// Access number, status, configuration.
    Short,
    /// The meter's address, then what the short header has.
    Long,
}

/// What the application data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Content {
    /// No application layer.
    Nothing,
    /// Data records, EN 13757-3 clause 6.
    Records,
    /// Data without DIF and VIF, EN 13757-3 annex G.
    CompactFrame,
    /// DIF and VIF without data, EN 13757-3 annex G.
    FormatFrame,
    ApplicationError,
    Alarm,
    ApplicationSelect,
    ClockSynchronisation,
    /// COSEM, OBIS, network management, image and security transfer: not decoded here.
    Foreign,
}

/// One CI-field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TplRow {
    pub ci_field: u8,
    pub header: Header,
    pub content: Content,
    /// Sent to the meter, not by it.
    pub to_meter: bool,
}

/// The row of a CI-field; None where the table has none, or where it is no transport layer.
pub fn tpl(ci_field: u8) -> Option<TplRow> {
    INDEX.get(usize::from(ci_field)).copied().flatten()
}

const fn up(ci_field: u8, header: Header, content: Content) -> TplRow {
    TplRow { ci_field, header, content, to_meter: false }
}

const fn down(ci_field: u8, header: Header, content: Content) -> TplRow {
    TplRow { ci_field, header, content, to_meter: true }
}

const ROWS: &[TplRow] = &[
    down(0x50, Header::None, Content::ApplicationSelect),
    down(0x51, Header::None, Content::Records),
    down(0x53, Header::Long, Content::ApplicationSelect),
    down(0x54, Header::None, Content::ApplicationSelect),
    down(0x55, Header::Long, Content::ApplicationSelect),
    down(0x5a, Header::Short, Content::Records),
    down(0x5b, Header::Long, Content::Records),
    down(0x60, Header::Long, Content::Foreign),
    down(0x61, Header::Short, Content::Foreign),
    down(0x64, Header::Long, Content::Foreign),
    down(0x65, Header::Short, Content::Foreign),
    up(0x66, Header::None, Content::ApplicationSelect),
    up(0x67, Header::Short, Content::ApplicationSelect),
    up(0x68, Header::Long, Content::ApplicationSelect),
    up(0x69, Header::None, Content::FormatFrame),
    up(0x6a, Header::Short, Content::FormatFrame),
    up(0x6b, Header::Long, Content::FormatFrame),
    down(0x6c, Header::Long, Content::ClockSynchronisation),
    down(0x6d, Header::Long, Content::ClockSynchronisation),
    up(0x6e, Header::Short, Content::ApplicationError),
    up(0x6f, Header::Long, Content::ApplicationError),
    up(0x70, Header::None, Content::ApplicationError),
    up(0x71, Header::None, Content::Alarm),
    up(0x72, Header::Long, Content::Records),
    up(0x73, Header::Long, Content::CompactFrame),
    up(0x74, Header::Short, Content::Alarm),
    up(0x75, Header::Long, Content::Alarm),
    up(0x78, Header::None, Content::Records),
    up(0x79, Header::None, Content::CompactFrame),
    up(0x7a, Header::Short, Content::Records),
    up(0x7b, Header::Short, Content::CompactFrame),
    up(0x7c, Header::Long, Content::Foreign),
    up(0x7d, Header::Short, Content::Foreign),
    up(0x7e, Header::Long, Content::Foreign),
    up(0x7f, Header::Short, Content::Foreign),
    down(0x80, Header::Long, Content::Nothing),
    down(0x82, Header::Long, Content::Foreign),
    down(0x84, Header::Long, Content::Nothing),
    down(0x85, Header::Long, Content::Nothing),
    up(0x87, Header::Long, Content::Foreign),
    up(0x88, Header::Short, Content::Foreign),
    up(0x89, Header::None, Content::Foreign),
    up(0x8a, Header::Short, Content::Nothing),
    up(0x8b, Header::Long, Content::Nothing),
    down(0xc0, Header::Long, Content::Foreign),
    up(0xc1, Header::Short, Content::Foreign),
    up(0xc2, Header::Long, Content::Foreign),
    down(0xc3, Header::Long, Content::Foreign),
    up(0xc4, Header::Short, Content::Foreign),
    up(0xc5, Header::Long, Content::Foreign),
];

static INDEX: [Option<TplRow>; 256] = index();

#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler: out of bounds does not compile")]
const fn index() -> [Option<TplRow>; 256] {
    let mut index = [None; 256];
    let mut at = 0;
    while at < ROWS.len() {
        assert!(index[ROWS[at].ci_field as usize].is_none(), "two rows for one CI-field");
        index[ROWS[at].ci_field as usize] = Some(ROWS[at]);
        at += 1;
    }
    index
}
