//! Fields of fixed layout, most significant octet first, and the two macros that make a codec of a list of fields:
//! `record!` of a struct, `messages!` of an enum whose variants have a command octet.

use std::fmt;

use bytes::Buf;

use crate::Reject;

/// What stands in a message. `parse` consumes exactly the field, `emit` appends what `parse` reads.
pub(crate) trait Field: Sized {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject>;
    fn emit(&self, out: &mut Vec<u8>);
}

/// Octets that are carried and not looked into; a log shows how many they are, and nothing else.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Octets(pub Vec<u8>);

impl fmt::Debug for Octets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Octets({})", self.0.len())
    }
}

impl From<Vec<u8>> for Octets {
    fn from(octets: Vec<u8>) -> Self {
        Self(octets)
    }
}

/// Behind a length of 16 bits. Longer ones are cut.
impl Field for Octets {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let length = buf.try_get_u16()?;
        take(buf, usize::from(length)).map(|octets| Self(octets.to_vec()))
    }

    fn emit(&self, out: &mut Vec<u8>) {
        let length = u16::try_from(self.0.len()).unwrap_or(u16::MAX);
        out.extend(length.to_be_bytes());
        out.extend(self.0.iter().take(usize::from(length)));
    }
}

/// A field that newer firmware has and older has not: it is the last one.
impl<T: Field> Field for Option<T> {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        if buf.is_empty() { Ok(None) } else { T::parse(buf).map(Some) }
    }

    fn emit(&self, out: &mut Vec<u8>) {
        if let Some(field) = self {
            field.emit(out);
        }
    }
}

impl<const N: usize> Field for [u8; N] {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        let (field, rest) = buf.split_first_chunk().ok_or(Reject::Truncated)?;
        *buf = rest;
        Ok(*field)
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.extend(self);
    }
}

impl Field for bool {
    fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
        Ok(buf.try_get_u8()? != 0)
    }

    fn emit(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

macro_rules! numbers {
    ($($number:ty),*) => { $(
        impl Field for $number {
            fn parse(buf: &mut &[u8]) -> Result<Self, Reject> {
                Field::parse(buf).map(Self::from_be_bytes)
            }

            fn emit(&self, out: &mut Vec<u8>) {
                out.extend(self.to_be_bytes());
            }
        }
    )* };
}

numbers!(u8, u16, u32);

/// The next `length` octets.
pub(crate) fn take<'a>(buf: &mut &'a [u8], length: usize) -> Result<&'a [u8], Reject> {
    let (taken, rest) = buf.split_at_checked(length).ok_or(Reject::Truncated)?;
    *buf = rest;
    Ok(taken)
}

/// A struct whose fields stand one behind the other.
macro_rules! record {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$doc:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name { $($(#[$doc])* pub $field: $type,)* }

        impl $name {
            /// Reads it and leaves `buf` at the first octet after it.
            ///
            /// # Errors
            /// `Truncated`, or what a field does not allow.
            pub fn parse(buf: &mut &[u8]) -> Result<Self, $crate::Reject> {
                Ok(Self { $($field: $crate::octets::Field::parse(buf)?,)* })
            }

            /// Appends exactly what `parse` reads.
            pub fn emit(&self, out: &mut Vec<u8>) {
                $($crate::octets::Field::emit(&self.$field, out);)*
            }
        }

        impl $crate::octets::Field for $name {
            fn parse(buf: &mut &[u8]) -> Result<Self, $crate::Reject> {
                Self::parse(buf)
            }

            fn emit(&self, out: &mut Vec<u8>) {
                Self::emit(self, out);
            }
        }
    };
}

/// An enum of messages: the command octet, its name, its fields.
macro_rules! messages {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$doc:meta])* $command:literal $variant:ident { $($field:ident: $type:ty),* $(,)? },)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant { $($field: $type),* },)* }

        impl $name {
            /// Reads a whole message. What newer firmware appends is passed over.
            ///
            /// # Errors
            /// `Truncated`, `UnknownCommand`, or what a field does not allow.
            pub fn parse(octets: &[u8]) -> Result<Self, $crate::Reject> {
                let buf = &mut &*octets;
                match <u8 as $crate::octets::Field>::parse(buf)? & 0x7f {
                    $($command => Ok(Self::$variant { $($field: $crate::octets::Field::parse(buf)?),* }),)*
                    command => Err($crate::Reject::UnknownCommand(command)),
                }
            }

            /// Appends exactly what `parse` reads.
            pub fn emit(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant { $($field),* } => {
                        out.push($command);
                        $($crate::octets::Field::emit($field, out);)*
                    })*
                }
            }

            /// The octet that names it.
            pub const fn command(&self) -> u8 {
                match self { $(Self::$variant { .. } => $command,)* }
            }

            /// The name of a command, for people.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant { .. } => stringify!($variant),)* }
            }
        }
    };
}
