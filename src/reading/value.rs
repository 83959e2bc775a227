//! How values are written: plain decimal digits, never rounded.

use std::fmt;

use super::Value;

impl fmt::Display for Value {
    /// `123.456`, `2025-12-31T23:59`, text as it is, octets in hex; nothing for `None`.
    ///
    /// A real is written with the fewest digits that give its bits again, and then shifted by its scaler.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decimal { mantissa, scaler } => {
                decimal(f, *mantissa < 0, &mantissa.unsigned_abs().to_string(), i32::from(*scaler))
            }
            Self::Float32 { bits, scaler } => real(f, &format!("{:e}", f32::from_bits(*bits)), *scaler),
            Self::Float64 { bits, scaler } => real(f, &format!("{:e}", f64::from_bits(*bits)), *scaler),
            Self::Date(date) => date.fmt(f),
            Self::DateTime(time) => time.fmt(f),
            Self::Text(text) => f.write_str(text),
            Self::Octets(octets) => octets.iter().try_for_each(|octet| write!(f, "{octet:02x}")),
            Self::None => Ok(()),
        }
    }
}

/// `scientific` is what `{:e}` writes: `-1.5e-7`, or `NaN` and `inf`, which have no digits to shift.
fn real(f: &mut fmt::Formatter<'_>, scientific: &str, scaler: i8) -> fmt::Result {
    let (sign, unsigned) = scientific.strip_prefix('-').map_or((false, scientific), |rest| (true, rest));
    let split = unsigned.split_once('e').and_then(|(digits, e)| Some((digits, e.parse::<i32>().ok()?)));
    let Some((digits, exponent)) = split else {
        return f.write_str(scientific);
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let places = i32::try_from(fraction.len()).unwrap_or(0);
    decimal(f, sign, &format!("{whole}{fraction}"), exponent - places + i32::from(scaler))
}

/// `digits` times ten to the power of `exponent`.
fn decimal(f: &mut fmt::Formatter<'_>, is_negative: bool, digits: &str, exponent: i32) -> fmt::Result {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        // Zero keeps its decimal places: they say how finely the meter counts.
        return match usize::try_from(-exponent) {
            Ok(places) if places > 0 => write!(f, "0.{:0>places$}", ""),
            _ => f.write_str("0"),
        };
    }
    let sign = if is_negative { "-" } else { "" };
    match usize::try_from(-exponent) {
        Err(_) | Ok(0) => {
            let zeros = usize::try_from(exponent).unwrap_or(0);
            write!(f, "{sign}{digits}{:0>zeros$}", "")
        }
        Ok(places) if places < digits.len() => {
            let (whole, fraction) = digits.split_at(digits.len() - places);
            write!(f, "{sign}{whole}.{fraction}")
        }
        Ok(places) => write!(f, "{sign}0.{digits:0>places$}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(value: Value, expected: &str) {
        assert_eq!(value.to_string(), expected);
    }

    #[test]
    fn decimals_are_exact() {
        for (mantissa, scaler, expected) in [
            (123_456, -3, "123.456"),
            (-5, -3, "-0.005"),
            (-1234, -3, "-1.234"),
            (0, -3, "0.000"),
            (0, 3, "0"),
            (7, 3, "7000"),
            (7, 0, "7"),
            (i64::MIN, -3, "-9223372036854775.808"),
            (1, -12, "0.000000000001"),
        ] {
            check(Value::Decimal { mantissa, scaler }, expected);
        }
    }

    #[test]
    fn reals_have_the_digits_that_give_their_bits_again() {
        for (real, scaler, expected) in [
            (1.5f32, 0, "1.5"),
            (0.1, 0, "0.1"),
            (-0.1, 3, "-100"),
            (1e-7, 0, "0.0000001"),
            (0.0, 0, "0"),
            (16_777_216.0, -3, "16777.216"),
        ] {
            check(Value::Float32 { bits: real.to_bits(), scaler }, expected);
        }
        check(Value::Float64 { bits: 0.1f64.to_bits(), scaler: 0 }, "0.1");
        check(Value::Float32 { bits: f32::NAN.to_bits(), scaler: 3 }, "NaN");
    }
}
