//! Durations as people and the API server write them: `10s`, `500ms`, `1m30s` (Go's notation; a bare `0` too).

use std::time::Duration;

/// Reads a duration such as `10s`, `500ms` or `1m30s`. Units: `h`, `m`, `s`, `ms`, `us`.
///
/// # Errors
/// A sentence that says what a duration looks like.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write a number and a unit, like 10s, 500ms or 1m30s");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let (seconds, tail) = leading_term(rest).ok_or_else(wrong)?;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).map_err(|_| wrong())?).ok_or_else(wrong)?;
        rest = tail;
    }
    if text.is_empty() { Err(wrong()) } else { Ok(total) }
}

/// The first number and unit in seconds, and what follows them.
fn leading_term(text: &str) -> Option<(f64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, rest) = text.split_at(digits);
    let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
    let (unit, tail) = rest.split_at(unit);
    let scale = match unit {
        "h" => 3600.0,
        "m" => 60.0,
        "s" => 1.0,
        "ms" => 1e-3,
        "us" | "µs" => 1e-6,
        _ => return None,
    };
    Some((number.parse::<f64>().ok()? * scale, tail))
}

#[cfg(test)]
mod tests {
    use super::parse;
    use std::time::Duration;

    #[test]
    fn reads_durations() {
        for (text, expected) in [
            ("10s", Some(Duration::from_secs(10))),
            ("500ms", Some(Duration::from_millis(500))),
            ("1m30s", Some(Duration::from_secs(90))),
            ("0", Some(Duration::ZERO)),
            ("1.5s", Some(Duration::from_millis(1500))),
            ("1h", Some(Duration::from_hours(1))),
            ("", None),
            ("10", None),
            ("s", None),
            ("-1s", None),
            ("10 s", None),
            ("99999999999999999999999s", None),
        ] {
            assert_eq!(parse(text).ok(), expected, "{text:?}");
        }
    }
}
