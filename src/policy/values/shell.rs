//! What becomes of a text that stands unquoted between the other words of a command for bash: whether it arrives as one word, as it was
//! written or without its quotes.
//!
//! The rules are those of bash 5 in a script of `-c`: no history, no extended globs, brace expansion. `tests/bash.rs` holds this against
//! the real one.

use super::connect_arguments::substitution_length;

/// What bash does to a text that keeps it from arriving as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShellFault {
    /// The word ends at this character, which stands outside of quotes: a blank, or an operator of bash's.
    Ends(char),
    /// This quote, backtick or bracket is never closed, or this backslash is the last character: what follows the text becomes part of it.
    Open(&'static str),
    /// A comment begins, and what follows the text is lost.
    Comment,
    /// A variable, a command or an arithmetic expression is replaced by its value.
    Expansion,
    /// A backslash is taken away.
    Backslash,
    /// Braces make several words of one.
    Braces,
    /// A pattern is replaced by the names of the files that it matches, if there are any.
    Pattern,
}

impl ShellFault {
    /// Whether the command is surely another one than was meant; else it depends on what was meant, or on the container.
    #[must_use]
    pub const fn is_certain(self) -> bool {
        matches!(self, Self::Ends(_) | Self::Open(_) | Self::Comment)
    }
}

/// What bash does to a text in a command, the surest first; nothing where it arrives as one word.
///
/// Quotes that are closed are no fault: whoever wrote them knows of the shell. Blanks around the text are none either.
#[must_use]
pub fn fault(text: &str) -> Option<ShellFault> {
    let text = text.trim_start_matches(BLANKS);
    if text.starts_with('#') {
        return Some(ShellFault::Comment);
    }
    let (mut doubt, mut rest, mut patterns) = (None, text, Patterns::default());
    while let Some(first) = rest.chars().next() {
        let (length, fault) = read(rest, first);
        match fault {
            Some(fault) if fault.is_certain() => return Some(fault),
            fault => doubt = doubt.or(fault).or_else(|| patterns.read(rest, first)),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    doubt
}

/// The text in quotes, so that it arrives as it is.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r#"'"'"'"#))
}

const BLANKS: [char; 2] = [' ', '\t'];

/// How many bytes belong together at the beginning of `rest`, outside of quotes, and what is wrong with them.
fn read(rest: &str, first: char) -> (usize, Option<ShellFault>) {
    let behind = rest.get(first.len_utf8()..).unwrap_or_default();
    let one = first.len_utf8();
    match first {
        ' ' | '\t' if behind.trim_start_matches(BLANKS).is_empty() => (rest.len(), None),
        ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => (one, Some(ShellFault::Ends(first))),
        '\'' => closed(behind.find('\'').map(|at| at + 2), "'"),
        '"' => double_quoted(behind),
        '\\' => match behind.chars().next() {
            Some(escaped) => (1 + escaped.len_utf8(), Some(ShellFault::Backslash)),
            None => (1, Some(ShellFault::Open("\\"))),
        },
        '`' => expansion(rest, "`"),
        '$' => dollar(rest, behind),
        _ => (one, None),
    }
}

fn closed(length: Option<usize>, quote: &'static str) -> (usize, Option<ShellFault>) {
    length.map_or((1, Some(ShellFault::Open(quote))), |length| (length, None))
}

/// What stands in double quotes, where only `$`, backticks and backslashes mean something. A backslash there is the author's own care.
fn double_quoted(text: &str) -> (usize, Option<ShellFault>) {
    let mut doubt = None;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let mut characters = rest.chars();
        let first = characters.next().unwrap_or_default();
        let (length, fault) = match first {
            '"' => return (at + 2, doubt),
            '\\' => (1 + characters.next().map_or(0, char::len_utf8), None),
            '`' => expansion(rest, "`"),
            '$' if matches!(characters.next(), Some('"' | '\'')) => (1, None),
            '$' => dollar(rest, rest.get(1..).unwrap_or_default()),
            other => (other.len_utf8(), None),
        };
        if let Some(fault @ ShellFault::Open(_)) = fault {
            return (1, Some(fault));
        }
        doubt = doubt.or(fault);
        at += length;
    }
    (1, Some(ShellFault::Open("\"")))
}

/// What a `$` begins; where nothing that can be expanded follows it stays as it is.
fn dollar(rest: &str, behind: &str) -> (usize, Option<ShellFault>) {
    match behind.chars().next() {
        Some('(') => expansion(rest, "$("),
        Some('{') => expansion(rest, "${"),
        Some('\'') => closed(ansi_quoted(behind.get(1..).unwrap_or_default()).map(|length| length + 2), "$'"),
        Some(name) if name.is_ascii_alphanumeric() || "_@*#?$!-[".contains(name) => {
            (1 + name.len_utf8(), Some(ShellFault::Expansion))
        }
        _ => (1, None),
    }
}

fn expansion(rest: &str, opening: &'static str) -> (usize, Option<ShellFault>) {
    match substitution_length(rest.as_bytes()) {
        Some(length) => (length, Some(ShellFault::Expansion)),
        None => (1, Some(ShellFault::Open(opening))),
    }
}

/// The length of what stands in `$'...'`, the closing quote included.
fn ansi_quoted(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    let end = text.bytes().position(|byte| {
        let is_end = byte == b'\'' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        is_end
    });
    end.map(|at| at + 1)
}

/// The patterns and braces of a word, outside of its quotes.
#[derive(Default)]
struct Patterns<'a> {
    /// What stands behind each `{` that is open, and whether a comma of its own has come.
    braces: Vec<(&'a str, bool)>,
    has_bracket: bool,
}

impl<'a> Patterns<'a> {
    /// Takes the next character into account, which stands at the beginning of `rest`.
    fn read(&mut self, rest: &'a str, first: char) -> Option<ShellFault> {
        match first {
            '*' | '?' => return Some(ShellFault::Pattern),
            ']' if self.has_bracket => return Some(ShellFault::Pattern),
            '[' => self.has_bracket = true,
            '{' => self.braces.push((rest.get(1..).unwrap_or_default(), false)),
            ',' => self.braces.last_mut()?.1 = true,
            '}' => {
                let (behind, has_comma) = self.braces.pop()?;
                let inside = behind.get(..behind.len() - rest.len()).unwrap_or_default();
                return (has_comma || is_sequence(inside)).then_some(ShellFault::Braces);
            }
            _ => {}
        }
        None
    }
}

/// `1..3`, `a..c`, and these with a step: `1..9..2`.
fn is_sequence(text: &str) -> bool {
    // Two numbers of 64 bits, a step and the dots.
    if text.len() > 64 {
        return false;
    }
    let parts: Vec<_> = text.split("..").collect();
    let is_number = |part: &str| part.parse::<i64>().is_ok();
    let is_letter = |part: &str| part.len() == 1 && part.bytes().all(|byte| byte.is_ascii_alphabetic());
    let (ends, step) = parts.split_at(parts.len().min(2));
    ends.len() == 2
        && (ends.iter().all(|part| is_number(part)) || ends.iter().all(|part| is_letter(part)))
        && matches!(step, [] | [_])
        && step.iter().all(|part| is_number(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn knows_what_bash_does() {
        use ShellFault::{Backslash, Braces, Comment, Ends, Expansion, Open, Pattern};
        for (text, expected) in [
            // What is another command.
            ("k=a b", Some(Ends(' '))),
            ("k=a\tb", Some(Ends('\t'))),
            ("k= a", Some(Ends(' '))),
            ("k =a", Some(Ends(' '))),
            ("k=a\nb", Some(Ends('\n'))),
            ("k=a\n", Some(Ends('\n'))),
            ("k=a;b", Some(Ends(';'))),
            ("k=a&b", Some(Ends('&'))),
            ("k=a|b", Some(Ends('|'))),
            ("k=a<b", Some(Ends('<'))),
            ("k=a>b", Some(Ends('>'))),
            ("k=(a", Some(Ends('('))),
            ("k=a)", Some(Ends(')'))),
            ("k=it's", Some(Open("'"))),
            ("k=a\"b", Some(Open("\""))),
            ("k=`a", Some(Open("`"))),
            ("k=$(a", Some(Open("$("))),
            ("k=${a", Some(Open("${"))),
            ("k=\"$(a\"", Some(Open("$("))),
            ("k=$'a", Some(Open("$'"))),
            ("k=a\\", Some(Open("\\"))),
            ("#k=a", Some(Comment)),
            (" #k=a", Some(Comment)),
            ("k=$a b", Some(Ends(' '))),
            // What depends on what was meant.
            ("k=$A", Some(Expansion)),
            ("k=${A}", Some(Expansion)),
            ("k=${spark.a}", Some(Expansion)),
            ("k=$(a b; c)", Some(Expansion)),
            ("k=`a b`", Some(Expansion)),
            ("k=\"$A\"", Some(Expansion)),
            ("k=$1", Some(Expansion)),
            ("k=$$", Some(Expansion)),
            ("k=$[1+1]", Some(Expansion)),
            ("k=a\\b", Some(Backslash)),
            ("k=a\\ b", Some(Backslash)),
            ("k=a\\\nb", Some(Backslash)),
            ("k=/opt/*.jar", Some(Pattern)),
            ("k=a?b", Some(Pattern)),
            ("k=[ab]", Some(Pattern)),
            ("k={a,b}", Some(Braces)),
            ("k={1..3}", Some(Braces)),
            ("k={a..c}", Some(Braces)),
            ("k={1..9..2}", Some(Braces)),
            ("k={{a,b}", Some(Braces)),
            ("k={a{b,c}}", Some(Braces)),
            ("k={\"a\":1,\"b\":2}", Some(Braces)),
            // What arrives.
            ("k=a", None),
            ("k=", None),
            ("k=a ", None),
            (" k=a", None),
            ("k='a b;c'", None),
            ("k=\"a b;c\"", None),
            ("k='$A'", None),
            ("k='a\nb'", None),
            ("k=\"a\\\"b\"", None),
            ("k=$'a\\'b c'", None),
            ("k=$\"a b\"", None),
            ("k=\"$\"", None),
            ("k=a#b", None),
            ("k=#a", None),
            ("k=~/a", None),
            ("k=a:~/b", None),
            ("k=a!b", None),
            ("k=a$", None),
            ("k=a$.b", None),
            ("k=[", None),
            ("k=a]", None),
            ("k={a}", None),
            ("k={a,b", None),
            ("k={a..3}", None),
            ("k={ab..c}", None),
            ("k={a..b..c..d}", None),
            ("k=%d{HH:mm}", None),
            ("k=%^@+,:=-_.", None),
            ("k=a\rb", None),
            ("k=ü\u{a0}", None),
        ] {
            assert_eq!(fault(text), expected, "{text}");
        }
    }

    #[test]
    fn quotes_so_that_nothing_is_left_to_do() {
        for text in ["a b", "it's", "$A `b` \\", "", "a\nb"] {
            assert_eq!(fault(&quoted(text)), None, "{text}");
        }
    }

    #[test]
    fn survives_what_nobody_would_write() {
        for (text, expected) in [
            ("$(", Some(ShellFault::Open("$("))),
            ("\"$(", Some(ShellFault::Open("$("))),
            ("'\"`", Some(ShellFault::Open("`"))),
            ("\\", Some(ShellFault::Backslash)),
            ("{a,", None),
            ("[", None),
        ] {
            assert_eq!(fault(&text.repeat(100_000)), expected, "{text}");
        }
        let nested = ["{".repeat(100_000), "}".repeat(100_000)].concat();
        assert_eq!(fault(&nested), None);
    }
}
