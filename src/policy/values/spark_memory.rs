//! Amounts of memory as Spark and the JVM read them: `512m` is 512 MiB to both, `512Mi` to neither before Spark 4.2.
//!
//! Spark's rules are those of `JavaUtils.byteStringAs`; the suffixes of Kubernetes were added in 4.2 (SPARK-55051). The JVM's are those of
//! its option `-Xmx`, to which Spark's launcher gives the driver's memory as it was written (`SparkSubmitCommandBuilder`). The control
//! plane's tests ask both about every amount in the table below.

/// What Spark makes of an amount of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many bytes; of a number without a suffix, so many of whatever unit the setting has.
    Read(u128),
    /// Spark reads it from 4.2 on: `512Mi`, `1GiB`.
    ReadSince4_2(u128),
    /// No Spark reads it.
    Unreadable(Flaw),
}

/// Why Spark cannot read an amount of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// There is nothing.
    Empty,
    /// `1.5g`.
    Fraction,
    /// `512x`, `512 m`, `lots`.
    Form,
}

impl Amount {
    /// Reads an amount as Spark does, with blanks around and in any case.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let text = text.trim_matches(|c: char| c <= ' ').to_lowercase();
        let (number, rest) = split_digits(&text);
        if number.is_empty() {
            return Self::Unreadable(if text.is_empty() { Flaw::Empty } else { Flaw::Form });
        }
        if rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit())) {
            return Self::Unreadable(Flaw::Fraction);
        }
        let Some((unit, style)) = unit(rest) else { return Self::Unreadable(Flaw::Form) };
        // A Java long.
        let Ok(number) = number.parse::<i64>() else { return Self::Unreadable(Flaw::Form) };
        let bytes = u128::from(number.unsigned_abs()) << unit;
        if style == Style::Kubernetes { Self::ReadSince4_2(bytes) } else { Self::Read(bytes) }
    }
}

/// How a suffix is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Nothing, or one letter: Spark's and the JVM's.
    Short,
    /// `gb`: Spark's alone.
    WithB,
    /// `gi` and `gib`: Kubernetes', and Spark's from 4.2 on.
    Kubernetes,
}

/// The power of two that a suffix means.
fn unit(suffix: &str) -> Option<(u32, Style)> {
    let mut letters = suffix.chars();
    let power = match letters.next() {
        None => return Some((0, Style::Short)),
        Some('b') => return (suffix == "b").then_some((0, Style::WithB)),
        Some('k') => 10,
        Some('m') => 20,
        Some('g') => 30,
        Some('t') => 40,
        Some('p') => 50,
        Some(_) => return None,
    };
    match letters.as_str() {
        "" => Some((power, Style::Short)),
        "b" => Some((power, Style::WithB)),
        "i" | "ib" => Some((power, Style::Kubernetes)),
        _ => None,
    }
}

/// The bytes of a heap that is written so, if the JVM reads it: a whole number, and at most one of the letters k, m, g and t.
#[must_use]
pub fn heap_bytes(text: &str) -> Option<u128> {
    let text = text.trim_matches(|c: char| c <= ' ').to_lowercase();
    let (number, suffix) = split_digits(&text);
    let (unit, style) = unit(suffix)?;
    let is_known = style == Style::Short && unit <= 40;
    let bytes = u128::from(number.parse::<i64>().ok()?.unsigned_abs()) << unit;
    is_known.then_some(bytes)
}

/// A plain number up to here was meant in mebibytes.
const LARGEST_PLAIN: u64 = 65_536;

/// What to write instead, where that can be told: `512m` for `512Mi`, `512` and `512mb`, `1536m` for `1.5g`.
#[must_use]
pub fn meant(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
    let (whole, rest) = split_digits(&text);
    let (fraction, suffix) = rest.strip_prefix('.').map_or(("", rest), split_digits);
    let (unit, _) = unit(suffix)?;
    let whole: u64 = whole.parse().ok().filter(|whole| *whole <= 1 << 40)?;
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() {
        let letter = suffix.chars().next().unwrap_or('m');
        let is_plausible = !suffix.is_empty() || whole <= LARGEST_PLAIN;
        return (whole > 0 && letter != 'b' && is_plausible).then(|| format!("{whole}{letter}"));
    }
    // In the next smaller unit, rounded up.
    let letter = [(20, 'k'), (30, 'm'), (40, 'g'), (50, 't')].into_iter().find(|(power, _)| *power == unit)?.1;
    let digits = fraction.get(..fraction.len().min(9))?;
    let scale = 10_u64.pow(u32::try_from(digits.len()).ok()?);
    let part = (digits.parse::<u64>().ok()? * 1024).div_ceil(scale);
    Some(format!("{}{letter}", whole * 1024 + part))
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MI: u128 = 1 << 20;

    /// Beside `AMOUNTS` in tests/control_plane/spark_memory.rs, where real Spark and a real JVM read the same.
    #[test]
    #[rustfmt::skip]
    fn reads_as_spark_and_the_jvm_do() {
        use Amount::{Read, ReadSince4_2, Unreadable};
        for (case, text, amount, heap, instead) in [
            ("mebibytes", "512m", Read(512 * MI), Some(512 * MI), Some("512m")),
            ("in capitals", "512M", Read(512 * MI), Some(512 * MI), Some("512m")),
            ("with blanks around", " 512m ", Read(512 * MI), Some(512 * MI), Some("512m")),
            ("gibibytes", "2g", Read(2048 * MI), Some(2048 * MI), Some("2g")),
            ("tebibytes", "1t", Read(MI << 20), Some(MI << 20), Some("1t")),
            ("kibibytes", "512k", Read(MI / 2), Some(MI / 2), Some("512k")),
            ("a plain number", "512", Read(512), Some(512), Some("512m")),
            ("a plain number that nobody means in mebibytes", "1048575", Read(1_048_575), Some(1_048_575), None),
            ("nothing at all", "0", Read(0), Some(0), None),
            ("with a b, which the JVM does not know", "512mb", Read(512 * MI), None, Some("512m")),
            ("gigabytes with a b", "1gb", Read(1024 * MI), None, Some("1g")),
            ("pebibytes, which the JVM does not know", "1p", Read(MI << 30), None, Some("1p")),
            ("bytes", "512b", Read(512), None, None),
            ("as Kubernetes has it", "512Mi", ReadSince4_2(512 * MI), None, Some("512m")),
            ("as people have it", "1GiB", ReadSince4_2(1024 * MI), None, Some("1g")),
            ("a fraction", "1.5g", Unreadable(Flaw::Fraction), None, Some("1536m")),
            ("a fraction that is none", "1.0g", Unreadable(Flaw::Fraction), None, Some("1g")),
            ("a fraction of Kubernetes'", "1.5Gi", Unreadable(Flaw::Fraction), None, Some("1536m")),
            ("a fraction of nothing", "1.5", Unreadable(Flaw::Fraction), None, None),
            ("a fraction without a whole", ".5g", Unreadable(Flaw::Form), None, None),
            ("a point without a fraction", "1.g", Unreadable(Flaw::Form), None, Some("1g")),
            ("a blank inside", "512 m", Unreadable(Flaw::Form), None, Some("512m")),
            ("a sign", "-1g", Unreadable(Flaw::Form), None, None),
            ("an exponent", "1e3", Unreadable(Flaw::Form), None, None),
            ("exbibytes", "1e", Unreadable(Flaw::Form), None, None),
            ("a word", "lots", Unreadable(Flaw::Form), None, None),
            ("too large for a long", "9223372036854775808", Unreadable(Flaw::Form), None, None),
            ("nothing", "", Unreadable(Flaw::Empty), None, None),
            ("blanks", "  ", Unreadable(Flaw::Empty), None, None),
        ] {
            assert_eq!(Amount::read(text), amount, "{case}: {text}");
            assert_eq!(heap_bytes(text), heap, "{case}: {text}");
            assert_eq!(meant(text).as_deref(), instead, "{case}: {text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_meant_is_read_by_both(text in "[0-9]{0,12}[.]?[0-9]{0,12} ?[kmgtKMGT]?[iI]?[bB]?|.{0,12}") {
            if let Some(meant) = meant(&text) {
                prop_assert!(matches!(Amount::read(&meant), Amount::Read(_)), "{text}: {meant}");
                prop_assert!(heap_bytes(&meant).is_some() || meant.ends_with('p'), "{text}: {meant}");
            }
        }
    }
}
