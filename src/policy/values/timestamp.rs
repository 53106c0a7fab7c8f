//! Points in time as the API server writes them (RFC 3339), in whole seconds since 1970.

/// Reads a time such as `2026-11-22T10:00:00Z`, `2026-11-22T10:00:00.123456Z` or `2026-11-22T11:00:00+01:00`; fractions of a second
/// are dropped.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let clock = rest.strip_prefix(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let [hour, minute, second] = numbers(clock.get(..8)?, ':', [2, 2, 2])?;
    let in_range = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let offset = offset(without_fraction(&clock[8..])?)?;
    in_range.then(|| days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second - offset)
}

/// Writes a time as the API server does, RFC 3339; none for what no calendar holds.
#[must_use]
pub fn text(seconds: i64) -> Option<String> {
    let time = time::OffsetDateTime::from_unix_timestamp(seconds).ok()?;
    let (date, (hour, minute, second)) = (time.date(), time.to_hms());
    Some(format!("{date}T{hour:02}:{minute:02}:{second:02}Z"))
}

fn numbers<const N: usize>(text: &str, separator: char, widths: [usize; N]) -> Option<[i64; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(separator);
    for (number, width) in numbers.iter_mut().zip(widths) {
        let part = parts.next().filter(|part| part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

fn without_fraction(text: &str) -> Option<&str> {
    let Some(fraction) = text.strip_prefix('.') else { return Some(text) };
    let rest = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < fraction.len()).then_some(rest)
}

/// Seconds east of Greenwich.
fn offset(text: &str) -> Option<i64> {
    let sign = match text {
        "Z" | "z" => return Some(0),
        _ if text.starts_with('+') => 1,
        _ if text.starts_with('-') => -1,
        _ => return None,
    };
    let [hours, minutes] = numbers(&text[1..], ':', [2, 2])?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

/// Days since 1970-01-01 in the Gregorian calendar: years begin in March, so that a leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        for text in ["1970-01-01T00:00:00Z", "2026-11-22T10:00:00Z", "2000-02-29T23:59:59Z"] {
            assert_eq!(super::text(parse(text).unwrap()).as_deref(), Some(text));
        }
        assert_eq!(super::text(i64::MAX), None);
    }

    #[test]
    fn reads() {
        for (case, text, expected) in [
            ("the beginning", "1970-01-01T00:00:00Z", Some(0)),
            ("a day in this century", "2026-11-22T10:00:00Z", Some(1_795_341_600)),
            ("microseconds, as events have them", "2026-11-22T10:00:00.123456Z", Some(1_795_341_600)),
            ("another zone", "2026-11-22T11:30:00+01:30", Some(1_795_341_600)),
            ("a zone in the west", "2026-11-22T02:00:00-08:00", Some(1_795_341_600)),
            ("the day after a leap day", "2024-03-01T00:00:00Z", Some(1_709_251_200)),
            ("the last second of a leap day", "2000-02-29T23:59:59Z", Some(951_868_799)),
            ("before 1970", "1969-12-31T23:59:59Z", Some(-1)),
            ("without a zone", "2026-11-22T10:00:00", None),
            ("a date alone", "2026-11-22", None),
            ("a month that is none", "2026-13-01T00:00:00Z", None),
            ("an hour that is none", "2026-11-22T24:00:00Z", None),
            ("a fraction without digits", "2026-11-22T10:00:00.Z", None),
            ("letters", "yesterday, at noon or later", None),
            ("other alphabets", "２０２６-11-22T10:00:00Z", None),
            ("nothing", "", None),
        ] {
            assert_eq!(parse(text), expected, "{case}: {text}");
        }
    }
}
