//! One log line: a time, a level, a message and fields, as text or as a JSON object.
//!
//! Promised: a line is one line and stays in its format, whatever its values hold.

use std::{fmt, io::Write as _, time::SystemTime};

use serde::Serialize;
use time::OffsetDateTime;
use tracing::{
    Event, Level,
    field::{Field, Visit},
};

use super::LogFormat;

/// The field that holds an event's message; it comes first.
const MESSAGE: &str = "message";

/// Writes an event behind what the buffer holds.
pub(super) fn push(line: &mut Vec<u8>, format: LogFormat, now: SystemTime, event: &Event<'_>) {
    let level = *event.metadata().level();
    match format {
        LogFormat::Text => {
            push_time(line, now);
            line.extend_from_slice(padded(level).as_bytes());
            event.record(&mut Text(line));
            line.push(b'\n');
        }
        LogFormat::Json => {
            line.extend_from_slice(br#"{"timestamp":""#);
            push_time(line, now);
            line.extend_from_slice(br#"","level":""#);
            line.extend_from_slice(level.as_str().as_bytes());
            line.push(b'"');
            event.record(&mut Json(line));
            line.extend_from_slice(b"}\n");
        }
    }
}

fn padded(level: Level) -> &'static str {
    match level {
        Level::ERROR => " ERROR",
        Level::WARN => "  WARN",
        Level::INFO => "  INFO",
        Level::DEBUG => " DEBUG",
        Level::TRACE => " TRACE",
    }
}

/// In UTC, by RFC 3339, with microseconds.
fn push_time(line: &mut Vec<u8>, time: SystemTime) {
    let time = OffsetDateTime::from(time);
    push_number(line, time.year().unsigned_abs(), b"0000-");
    push_number(line, u8::from(time.month()).into(), b"00-");
    push_number(line, time.day().into(), b"00T");
    push_number(line, time.hour().into(), b"00:");
    push_number(line, time.minute().into(), b"00:");
    push_number(line, time.second().into(), b"00.");
    push_number(line, time.microsecond(), b"000000Z");
}

/// Writes a number over the zeros of a pattern that ends with another character. `write!` would take longer than all the rest of a
/// line.
fn push_number(line: &mut Vec<u8>, mut number: u32, pattern: &[u8]) {
    let start = line.len();
    line.extend_from_slice(pattern);
    for place in line[start..].iter_mut().rev().skip(1) {
        *place += (number % 10) as u8;
        number /= 10;
    }
}

/// Fields for people: the message as it is, all others as `name=value`; in quotes where their end could not be told.
struct Text<'a>(&'a mut Vec<u8>);

impl Text<'_> {
    fn push(&mut self, text: &str, is_plain: impl Fn(char) -> bool) {
        if !text.is_empty() && text.chars().all(is_plain) {
            self.0.extend_from_slice(text.as_bytes());
        } else {
            // Writing into memory does not fail.
            let _ = write!(self.0, "{text:?}");
        }
    }
}

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let is_seen = |character: char| character.is_ascii_graphic() || character.is_alphanumeric();
        self.0.push(b' ');
        if field.name() == MESSAGE {
            self.push(value, |character| is_seen(character) || character == ' ');
        } else {
            self.0.extend_from_slice(field.name().as_bytes());
            self.0.push(b'=');
            self.push(value, |character| is_seen(character) && !matches!(character, '"' | '\\' | '='));
        }
    }
}

/// Fields for machines, each behind a comma.
struct Json<'a>(&'a mut Vec<u8>);

impl Json<'_> {
    fn push(&mut self, field: &Field, value: &(impl Serialize + ?Sized)) {
        self.0.push(b',');
        self.push_value(field.name());
        self.0.push(b':');
        self.push_value(value);
    }

    fn push_value(&mut self, value: &(impl Serialize + ?Sized)) {
        // Texts and numbers can be written, and memory takes them.
        let _ = serde_json::to_writer(&mut *self.0, value);
    }
}

impl Visit for Json<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, &value);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        time::{Duration, UNIX_EPOCH},
    };

    use proptest::prelude::*;
    use serde_json::Value;

    use super::{super::Log, *};

    thread_local! {
        static TAKEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    }

    /// What is logged while the function runs.
    fn logged(format: LogFormat, log: impl FnOnce()) -> String {
        let take = |line: &[u8]| TAKEN.with_borrow_mut(|taken| taken.extend_from_slice(line));
        let subscriber = Log { format, level: tracing::level_filters::LevelFilter::INFO, take };
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(TAKEN.take()).unwrap()
    }

    #[test]
    fn text_is_read_by_people() {
        let log = || {
            tracing::warn!(
                name = "pi-driver",
                uid = "",
                mutations = %"ivy-cache (observed)",
                says = "a=\"b\"\n",
                dry_run = false,
                absent = None::<&str>,
                microseconds = 41,
                "a review's message"
            );
        };
        let line = logged(LogFormat::Text, log);
        assert_eq!(
            line.split_once(' ').unwrap().1,
            " WARN a review's message name=pi-driver uid=\"\" mutations=\"ivy-cache (observed)\" says=\"a=\\\"b\\\"\\n\" \
             dry_run=false microseconds=41\n"
        );
    }

    #[test]
    fn times_are_rfc_3339() {
        for (microseconds, expected) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399_000_001, "2000-02-28T23:59:59.000001Z"),
            (951_782_400_999_999, "2000-02-29T00:00:00.999999Z"),
            (1_795_370_772_402_081, "2026-11-22T18:06:12.402081Z"),
        ] {
            let mut line = Vec::new();
            push_time(&mut line, UNIX_EPOCH + Duration::from_micros(microseconds));
            assert_eq!(String::from_utf8(line).unwrap(), expected);
        }
    }

    /// Any characters: those that break lines and end texts are among the favourites of [`char`]'s strategy.
    fn text() -> impl Strategy<Value = String> {
        proptest::collection::vec(any::<char>(), 0..20).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn json_gives_back_what_was_logged(
            message in text(),
            text in text(),
            shown in text(),
            maybe in proptest::option::of(text()),
            signed: i64,
            unsigned: u64,
            float: f64,
            truth: bool,
        ) {
            let line = logged(LogFormat::Json, || {
                let maybe = maybe.as_deref();
                tracing::info!(text, %shown, debug = ?text, maybe, signed, unsigned, float, truth, "{message}");
            });
            prop_assert!(!line.strip_suffix('\n').unwrap().contains('\n'), "{line:?}");
            let value: Value = serde_json::from_str(&line).unwrap();
            let keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
            prop_assert_eq!(&keys[..3], ["timestamp", "level", "message"]);
            prop_assert_eq!(value["level"].as_str(), Some("INFO"));
            let debug = format!("{text:?}");
            for (key, expected) in [("message", &message), ("text", &text), ("shown", &shown), ("debug", &debug)] {
                prop_assert_eq!(value[key].as_str(), Some(expected.as_str()), "{}", key);
            }
            prop_assert_eq!(value.get("maybe").map(|value| value.as_str().unwrap()), maybe.as_deref());
            prop_assert_eq!(value["signed"].as_i64(), Some(signed));
            prop_assert_eq!(value["unsigned"].as_u64(), Some(unsigned));
            prop_assert_eq!(value["float"].as_f64().is_some(), float.is_finite());
            prop_assert_eq!(value["truth"].as_bool(), Some(truth));
        }

        #[test]
        fn text_never_breaks_a_line(message in text(), text in text(), shown in text()) {
            let line = logged(LogFormat::Text, || tracing::info!(text, %shown, debug = ?text, "{message}"));
            let breaks = |character: char| character.is_control() || ['\u{2028}', '\u{2029}'].contains(&character);
            let is_one_line = !line.strip_suffix('\n').unwrap().contains(breaks);
            prop_assert!(is_one_line, "{line:?}");
        }
    }
}
