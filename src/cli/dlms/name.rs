//! Attributes and methods as they are named on a command line: `CLASS:OBIS:NUMBER`.

use dlms::Obis;
use dlms::apdu::{Attribute, Method};
use dlms::cosem::{Class, class};

use crate::config::Companion;
use crate::config::electricity::What;

/// An attribute or a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) class_id: u16,
    pub(super) logical_name: Obis,
    pub(super) number: i8,
}

impl Name {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let form = || format!("{text:?} is not CLASS:OBIS:NUMBER, such as 3:1-0:1.8.0*255:2");
        let (class_id, rest) = text.split_once(':').ok_or_else(form)?;
        let (obis, number) = rest.rsplit_once(':').ok_or_else(form)?;
        Ok(Self {
            class_id: class_id.parse().map_err(|_| form())?,
            logical_name: obis.parse().map_err(|_| form())?,
            number: number.parse().map_err(|_| form())?,
        })
    }

    pub(super) const fn attribute(self) -> Attribute {
        Attribute::new(self.class_id, self.logical_name, self.number)
    }

    pub(super) const fn method(self) -> Method {
        Method::new(self.class_id, self.logical_name, self.number)
    }
}

/// What the standard calls an attribute: `register value`.
pub(super) fn said(attribute: &Attribute) -> String {
    let Some(class) = Class::numbered(attribute.class_id) else { return format!("class {}", attribute.class_id) };
    match class.attribute(attribute.attribute) {
        Some(name) => format!("{} {}", class.name, name.replace('_', " ")),
        None => format!("{} attribute {}", class.name, attribute.attribute),
    }
}

/// The attribute that has scaler and unit of this one.
pub(super) const fn scaler_unit_of(attribute: Attribute) -> Option<Attribute> {
    let number = match (attribute.class_id, attribute.attribute) {
        (class::REGISTER | class::EXTENDED_REGISTER, 2) => 3,
        (class::DEMAND_REGISTER, 2 | 3) => 4,
        _ => return None,
    };
    Some(Attribute { attribute: number, ..attribute })
}

/// A profile's name; its class may stand before it.
fn profile(text: &str) -> Result<Obis, String> {
    obis(text, "7:", "1-0:99.1.0*255")
}

/// A profile by its name, or by the task of a companion profile that reads it.
pub(super) fn profile_of(text: &str, companion: Option<&Companion>) -> Result<Obis, String> {
    let found = companion.into_iter().flat_map(|it| &it.tasks).find(|task| task.id == text);
    match found.map(|task| &task.what) {
        Some(What::Profile(object) | What::Events(object)) => Ok(Obis(object.0)),
        Some(_) => Err(format!("{text} reads no profile; these do: {}", profiles(companion))),
        None => profile(text).map_err(|error| match companion {
            Some(it) => format!("{error}, nor of what reads a profile after {}: {}", it.name, profiles(companion)),
            None => error,
        }),
    }
}

/// The tasks of a companion profile that read a profile.
fn profiles(companion: Option<&Companion>) -> String {
    let tasks = companion.into_iter().flat_map(|it| &it.tasks);
    let tasks = tasks.filter(|task| matches!(task.what, What::Profile(_) | What::Events(_)));
    tasks.map(|task| task.id.as_str()).collect::<Vec<_>>().join(", ")
}

/// The name of what holds an invocation counter; its class may stand before it.
pub(super) fn counter(text: &str) -> Result<Obis, String> {
    obis(text, "1:", "0-0:43.1.0*255")
}

fn obis(text: &str, class: &str, example: &str) -> Result<Obis, String> {
    let obis = text.strip_prefix(class).unwrap_or(text);
    obis.parse().map_err(|_| format!("{text:?} is no OBIS code such as {example}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_a_name_are_read() {
        let energy = Attribute::new(3, Obis::new(1, 0, 1, 8, 0, 255), 2);
        for text in ["3:1-0:1.8.0*255:2", "3:1.0.1.8.0.255:2", "3:1-0:1.8.0:2"] {
            assert_eq!(Name::parse(text).map(Name::attribute), Ok(energy), "{text}");
        }
        assert_eq!(said(&energy), "register value");
        assert_eq!(scaler_unit_of(energy), Some(Attribute { attribute: 3, ..energy }));
        for text in ["", "3", "3:1-0:1.8.0*255", "3:1-0:1.8:2", "x:1-0:1.8.0*255:2", "3:1-0:1.8.0*255:200"] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
        assert_eq!(profile("7:1-0:99.1.0"), profile("1.0.99.1.0.255"));
    }
}
