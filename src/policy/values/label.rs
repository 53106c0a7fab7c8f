//! Keys and values of labels, and names, by the rules of the API server (apimachinery, `pkg/util/validation`).

/// Whether a text can be the key of a label, annotation or taint: `name` or `prefix/name`.
#[must_use]
pub fn is_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(is_subdomain) && is_name(name)
}

/// Whether a text can be the value of a label; an empty one can.
#[must_use]
pub fn is_value(text: &str) -> bool {
    text.is_empty() || is_name(text)
}

fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let outer = |c: char| c.is_ascii_alphanumeric();
    (1..=63).contains(&text.len()) && text.chars().all(allowed) && text.starts_with(outer) && text.ends_with(outer)
}

/// Whether a text is a DNS subdomain in small letters, as the names of most objects are.
#[must_use]
pub fn is_subdomain(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.len() <= 253
        && text
            .split('.')
            .all(|part| !part.is_empty() && part.chars().all(allowed) && !part.starts_with('-') && !part.ends_with('-'))
}
