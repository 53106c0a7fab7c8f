//! Kubernetes quantities by value, and the memory quantity that was written as if it were Spark's.
//!
//! The rules are those of apimachinery (`pkg/api/resource/quantity.go` and `suffix.go`): what that parser accepts is accepted
//! here with the same value, and nothing is ever rounded through a float.

/// Nano units in one unit: the finest step Kubernetes keeps.
const NANO: i128 = 1_000_000_000;

/// A quantity with a binary suffix is capped here: `8Ei` is 2^63 - 1 (quantity.go, "Cap at min/max bounds").
const BINARY_MAXIMUM: i128 = i64::MAX as i128 * NANO;

/// More decimal places than an `i128` holds: multiplying by ten this often saturates whatever is not 0.
const PLACES_TO_SATURATION: i64 = 39;

/// The value of a Kubernetes `resource.Quantity`, in nano units, exact; beyond some 10^29 units it saturates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    nano: i128,
}

impl Quantity {
    /// Nothing at all.
    pub const ZERO: Self = Self { nano: 0 };
    /// `1Mi`: 1048576 bytes.
    pub const MEBIBYTE: Self = Self { nano: 1_048_576 * NANO };

    /// Reads a quantity as the API server does: the text of a JSON string, or that of a JSON number (both go through the same
    /// parser there, with blanks around trimmed: `Quantity.UnmarshalJSON`).
    ///
    /// As upstream, a missing digit counts as 0 (`.`, `-` and `m` are 0), only the empty text is nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, rest) = split_digits(unsigned);
        let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        let magnitude = match Suffix::parse(suffix)? {
            Suffix::PowerOfTen(exponent) => decimal(whole, fraction, exponent),
            Suffix::PowerOfTwo(exponent) => binary(whole, fraction, exponent),
        };
        Some(Self { nano: if negative { -magnitude } else { magnitude } })
    }

    /// So many bytes.
    #[must_use]
    pub fn from_bytes(bytes: u64) -> Self {
        Self { nano: i128::from(bytes) * NANO }
    }

    /// The value in whole mebibytes, rounded up; nothing below zero.
    #[must_use]
    pub fn mebibytes(self) -> u128 {
        u128::try_from(self.nano).unwrap_or_default().div_ceil(Self::MEBIBYTE.nano.unsigned_abs())
    }
}

/// What stands behind the number.
enum Suffix {
    PowerOfTen(i64),
    PowerOfTwo(u32),
}

impl Suffix {
    /// `E` alone is exa; `E` or `e` before a number is an exponent; `e` alone is nothing (suffix.go, `interpret`).
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "n" => Self::PowerOfTen(-9),
            "u" => Self::PowerOfTen(-6),
            "m" => Self::PowerOfTen(-3),
            "" => Self::PowerOfTen(0),
            "k" => Self::PowerOfTen(3),
            "M" => Self::PowerOfTen(6),
            "G" => Self::PowerOfTen(9),
            "T" => Self::PowerOfTen(12),
            "P" => Self::PowerOfTen(15),
            "E" => Self::PowerOfTen(18),
            "Ki" => Self::PowerOfTwo(10),
            "Mi" => Self::PowerOfTwo(20),
            "Gi" => Self::PowerOfTwo(30),
            "Ti" => Self::PowerOfTwo(40),
            "Pi" => Self::PowerOfTwo(50),
            "Ei" => Self::PowerOfTwo(60),
            _ => Self::PowerOfTen(text.strip_prefix(['e', 'E'])?.parse().ok()?),
        })
    }
}

/// `whole.fraction * 10^exponent` in nano units; what is finer is rounded away from zero (quantity.go: "if you want some
/// resources, you should get some resources").
fn decimal(whole: &str, fraction: &str, exponent: i64) -> i128 {
    let point = length(whole).saturating_add(exponent).saturating_add(9);
    let (mut nano, mut finer) = (0_i128, false);
    for (position, digit) in (0_i64..).zip(digits(whole).chain(digits(fraction))) {
        if position < point {
            nano = nano.saturating_mul(10).saturating_add(digit);
        } else {
            finer |= digit != 0;
        }
    }
    let missing = point.saturating_sub(length(whole).saturating_add(length(fraction)));
    for _ in 0..missing.min(PLACES_TO_SATURATION) {
        nano = nano.saturating_mul(10);
    }
    nano.saturating_add(i128::from(finer))
}

/// `whole.fraction * 2^exponent` in nano units, rounded up and capped as upstream does; `exponent` is at most 60.
fn binary(whole: &str, fraction: &str, exponent: u32) -> i128 {
    let unit = NANO << exponent;
    let whole = digits(whole).fold(0_i128, |value, digit| value.saturating_mul(10).saturating_add(digit));
    // From the last digit to the first, rounding up at each: for integers that is the same as rounding up once at the end.
    let fraction = digits(fraction).rev().fold(0_i128, |nano, digit| (digit * unit + nano + 9) / 10);
    whole.saturating_mul(unit).saturating_add(fraction).min(BINARY_MAXIMUM)
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len()))
}

fn digits(text: &str) -> impl DoubleEndedIterator<Item = i128> {
    text.bytes().map(|digit| i128::from(digit.saturating_sub(b'0')))
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

/// What is to be done with a memory quantity of a container or a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemoryVerdict {
    /// Nothing: it is 0 (no limit), 1Mi or more, negative, or no quantity (the API server says so itself).
    Fine,
    /// `512m` is 0.512 byte to Kubernetes and 512 MiB to Spark and the JVM: this is what was meant.
    Repair(String),
    /// Over 0 and under 1Mi, but what was meant cannot be told.
    TooSmall,
}

/// Judges a memory request, limit or `sizeLimit` by its value: no container and no volume lives in less than 1Mi.
///
/// Only `Nm` with a plain integer N from 16 to 65536 has one likely meaning, N MiB. `1717986918400m` is how the API server writes
/// `1.6Gi`, and is fine by its value.
#[must_use]
pub fn mistaken_memory(text: &str) -> MemoryVerdict {
    let suspicious = |value| value > Quantity::ZERO && value < Quantity::MEBIBYTE;
    if !Quantity::parse(text).is_some_and(suspicious) {
        return MemoryVerdict::Fine;
    }
    match meant_mebibytes(text.trim()) {
        Some(mebibytes) => MemoryVerdict::Repair(format!("{mebibytes}Mi")),
        None => MemoryVerdict::TooSmall,
    }
}

fn meant_mebibytes(text: &str) -> Option<u32> {
    let number = text.strip_suffix('m')?;
    let plain = number.starts_with(|first: char| matches!(first, '1'..='9'));
    number.parse().ok().filter(|mebibytes| plain && (16..=65_536).contains(mebibytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_grammar_of_apimachinery() {
        let nano = |nano: i128| Some(Quantity { nano });
        for (case, text, expected) in [
            ("a plain number", "12", nano(12 * NANO)),
            ("a sign", "+12", nano(12 * NANO)),
            ("a negative value", "-1.5", nano(-1_500_000_000)),
            ("leading zeros", "0012", nano(12 * NANO)),
            ("a fraction without a whole part", ".5", nano(500_000_000)),
            ("a point without a fraction", "1.", nano(NANO)),
            ("a point before a suffix", "1.G", nano(1_000_000_000 * NANO)),
            ("nano", "7n", nano(7)),
            ("micro", "7u", nano(7_000)),
            ("milli: the trap", "512m", nano(512_000_000)),
            ("kilo is a small k", "1k", nano(1_000 * NANO)),
            ("mega", "1M", nano(1_000_000 * NANO)),
            ("tera", "2T", nano(2_000_000_000_000 * NANO)),
            ("peta", "1P", nano(1_000_000_000_000_000 * NANO)),
            ("exa", "1E", nano(1_000_000_000_000_000_000 * NANO)),
            ("a capital E before a number is an exponent", "1E3", nano(1_000 * NANO)),
            ("a small e", "12e6", nano(12_000_000 * NANO)),
            ("a signed exponent", "1e+3", nano(1_000 * NANO)),
            ("a negative exponent", "15e-1", nano(1_500_000_000)),
            ("kibi", "1Ki", nano(1_024 * NANO)),
            ("mebi", "1Mi", Some(Quantity::MEBIBYTE)),
            ("a fraction of a gibi, exact", "1.5Gi", nano(1_610_612_736 * NANO)),
            ("what the API server writes for 1.6Gi", "1717986918400m", Quantity::parse("1.6Gi")),
            ("exbi", "1Ei", nano((1 << 60) * NANO)),
            ("a binary value past 2^63 - 1 is capped", "8Ei", nano(BINARY_MAXIMUM)),
            ("a negative one too", "-9Ei", nano(-BINARY_MAXIMUM)),
            (
                "a decimal value past 2^63 keeps its value",
                "18446744073709551616",
                nano(18_446_744_073_709_551_616 * NANO),
            ),
            ("less than a nano is one nano", "0.9n", nano(1)),
            ("away from zero below it", "-0.9n", nano(-1)),
            ("finer than a nano rounds up", "1.0000000001", nano(NANO + 1)),
            ("a tiny exponent", "1e-400", nano(1)),
            ("a tiny binary fraction", "0.00000000000000000000000000000001Ki", nano(1)),
            ("many exact binary places", "0.50000000000000000000000000000000Ki", nano(512 * NANO)),
            ("zero stays zero, however small the unit", "0e-400", Some(Quantity::ZERO)),
            ("zero stays zero, however large", "0e400", Some(Quantity::ZERO)),
            ("too large to hold saturates", "1e400", nano(i128::MAX)),
            ("the largest exponent", "-1e9223372036854775807", nano(-i128::MAX)),
            ("the smallest exponent", "1e-9223372036854775808", nano(1)),
            ("the text of a JSON number", "1073741824.0", nano(1_073_741_824 * NANO)),
            ("blanks around, as UnmarshalJSON trims them", " 1Mi\n", Some(Quantity::MEBIBYTE)),
            ("no digits at all are 0, as upstream", "m", Some(Quantity::ZERO)),
            ("a sign alone is 0, as upstream", "-", Some(Quantity::ZERO)),
            ("nothing", "", None),
            ("only blanks", "  ", None),
            ("a small g", "1g", None),
            ("a small e alone", "1e", None),
            ("a capital K", "1K", None),
            ("a small mi", "0.1mi", None),
            ("an i alone", ".5i", None),
            ("two suffixes", "1MiB", None),
            ("a blank inside", "1 Gi", None),
            ("two points", "1.1.1", None),
            ("two signs", "+-1", None),
            ("an exponent without digits", "1e-", None),
            ("an exponent that is a fraction", "1e1.0", None),
            ("an exponent past 64 bits", "1e9223372036854775808", None),
            ("digits of another script", "١Mi", None),
            ("a word", "lots", None),
        ] {
            assert_eq!(Quantity::parse(text), expected, "{case}: {text}");
        }
    }

    #[test]
    fn orders_by_value() {
        for (case, smaller, larger) in [
            ("milli under one", "999m", "1"),
            ("mega under mebi", "1M", "1Mi"),
            ("negative under zero", "-1", "0"),
            ("giga under gibi", "1G", "1Gi"),
        ] {
            assert!(Quantity::parse(smaller) < Quantity::parse(larger), "{case}");
        }
        assert_eq!(Some(Quantity::from_bytes(1 << 20)), Quantity::parse("1048576"));
        assert_eq!(Some(Quantity::from_bytes(u64::MAX)), Quantity::parse("18446744073709551615"));
    }

    #[test]
    fn judges_memory() {
        let repair = |text: &str| MemoryVerdict::Repair(text.to_owned());
        for (case, text, expected) in [
            ("512m, written as for a JVM", "512m", repair("512Mi")),
            ("the smallest that is repaired", "16m", repair("16Mi")),
            ("the largest that is repaired", "65536m", repair("65536Mi")),
            ("blanks around it", " 512m ", repair("512Mi")),
            ("one below", "15m", MemoryVerdict::TooSmall),
            ("one above", "65537m", MemoryVerdict::TooSmall),
            ("a fraction of a milli", "512.5m", MemoryVerdict::TooSmall),
            ("a sign", "+512m", MemoryVerdict::TooSmall),
            ("a leading zero", "0512m", MemoryVerdict::TooSmall),
            ("a plain number that meant MiB", "512", MemoryVerdict::TooSmall),
            ("a JSON number", "0.512", MemoryVerdict::TooSmall),
            ("kilobytes", "512Ki", MemoryVerdict::TooSmall),
            ("just under", "1048575", MemoryVerdict::TooSmall),
            ("one mebibyte", "1Mi", MemoryVerdict::Fine),
            ("one mebibyte in milli", "1048576000m", MemoryVerdict::Fine),
            ("zero: no limit", "0", MemoryVerdict::Fine),
            ("zero with a suffix", "0m", MemoryVerdict::Fine),
            ("negative: the API server refuses it", "-512m", MemoryVerdict::Fine),
            ("what the API server writes for 1.6Gi", "1717986918400m", MemoryVerdict::Fine),
            ("no quantity: the API server refuses it", "1g", MemoryVerdict::Fine),
            ("nothing", "", MemoryVerdict::Fine),
        ] {
            assert_eq!(mistaken_memory(text), expected, "{case}: {text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[-+0-9.eEinumkKMGTP ]{0,60}|.{0,20}") {
            let _ = Quantity::parse(&text);
            let _ = mistaken_memory(&text);
        }

        #[test]
        fn a_repair_is_fine(number in 0_u64..100_000) {
            if let MemoryVerdict::Repair(text) = mistaken_memory(&format!("{number}m")) {
                prop_assert_eq!(mistaken_memory(&text), MemoryVerdict::Fine);
            }
        }
    }
}
