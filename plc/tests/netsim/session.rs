//! What is asked of a meter in a day: exchanges, as octets of the request and of the answer, headers and tags included.

/// The daily read: association with its two steps, billing values, a profile of 2.7 kB in nine blocks, release.
pub(crate) fn daily() -> Vec<(u16, u16)> {
    let mut session = vec![(110, 110), (100, 100), (90, 300)];
    session.extend([(90, SMALL); 9]);
    session.push(RELEASE);
    session
}

/// The same values in as few exchanges as a meter with a PDU of 1,000 octets allows, and no release: association with its
/// two steps, billing values, three blocks.
pub(crate) fn daily_in_large_blocks() -> Vec<(u16, u16)> {
    let mut session = vec![(110, 110), (100, 100), (90, 300)];
    session.extend([(90, LARGE); 3]);
    session
}

/// The same where rows say null for what did not change and for clocks that go on by the period: six tenths of the octets
/// (as the emulated meter of the `dlms` crate sends the quarters of a day, 2,128 of 3,458).
pub(crate) fn compressed(session: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    let (mut others, profile): (Vec<_>, Vec<_>) = session.into_iter().partition(|(_, answer)| *answer <= 300);
    let octets = profile.iter().map(|(_, answer)| answer).sum::<u16>() / 10 * 6;
    let at = others.iter().take_while(|exchange| **exchange != RELEASE).count();
    others.splice(at..at, blocks(octets, &profile));
    others
}

/// An answer of so many octets, in blocks that are as long as each other, and as long at most as those of the meter.
fn blocks(octets: u16, of_meter: &[(u16, u16)]) -> impl Iterator<Item = (u16, u16)> {
    let most = if of_meter.iter().any(|(_, answer)| *answer > SMALL) { LARGE } else { SMALL };
    let count = octets.div_ceil(most);
    std::iter::repeat_n((90, octets / count), count.into())
}

/// The same where the association is open already.
pub(crate) fn without_association(mut session: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    session.retain(|(_, answer)| *answer >= 300);
    session
}

/// The same as the service asks for it: with the rows of each of the two profiles for its columns, and the association is
/// left open.
pub(crate) fn as_the_service(session: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    let opening = session.iter().copied().take_while(|(_, answer)| *answer < 300);
    let mut rows = session.iter().copied().filter(|(_, answer)| *answer >= 300);
    let billing = rows.next().map_or(0, |(_, answer)| answer);
    let profile: Vec<_> = rows.collect();
    let with_columns = |octets: u16| {
        blocks(octets + COLUMNS.1, &profile).enumerate().map(|(place, (request, answer))| match place {
            0 => (request + COLUMNS.0, answer),
            _ => (request, answer),
        })
    };
    opening.chain(with_columns(billing)).chain(with_columns(profile.iter().map(|(_, answer)| answer).sum())).collect()
}

const RELEASE: (u16, u16) = (50, 50);
/// Octets of a block of a profile.
const SMALL: u16 = 340;
const LARGE: u16 = 960;
/// What two attributes of a profile of six columns add to a request and to its answer.
const COLUMNS: (u16, u16) = (20, 160);
