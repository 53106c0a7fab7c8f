//! The address by which the API server calls the webhook.

use std::str::FromStr;

use axum::http::{Uri, uri::Scheme};

/// `https://HOST:PORT` and no more: the API server refuses a user, a query and a fragment, and the server answers at its own paths only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    base: String,
    host: String,
    port: u16,
}

impl WebhookUrl {
    /// The host: a DNS name or an IP address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of one of the webhook's paths, such as `/mutate`.
    #[must_use]
    pub fn of(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

impl FromStr for WebhookUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            |why: &str| format!("{why}; write https://HOST:PORT, like https://spark-admission.example.com:8443");
        // A URI of a request has no fragment; the parser drops one in silence.
        if text.contains('#') {
            return Err(wrong("the API server takes no fragment (#)"));
        }
        let uri: Uri = text.parse().map_err(|_| wrong("not a URL"))?;
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return Err(wrong("the API server calls webhooks by https only"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("no host"))?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(wrong("the API server takes no user and no query"));
        }
        if !uri.path().trim_end_matches('/').is_empty() {
            return Err(wrong("the server has paths of its own, so there can be none here"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let has_port = authority.as_str().len() > authority.host().len();
        let is_port_good = authority.port_u16().is_some_and(|port| port > 0);
        if host.is_empty() || has_port && !is_port_good {
            return Err(wrong("no host, or no port between 1 and 65535"));
        }
        let port = authority.port_u16().unwrap_or(443);
        Ok(Self { base: text.trim_end_matches('/').to_owned(), host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_urls() {
        for (text, expected) in [
            ("https://localhost:8443", Ok(("localhost", "https://localhost:8443/mutate"))),
            ("https://webhook.example.com", Ok(("webhook.example.com", "https://webhook.example.com/mutate"))),
            ("https://10.0.0.7:443/", Ok(("10.0.0.7", "https://10.0.0.7:443/mutate"))),
            ("https://[::1]:8443", Ok(("::1", "https://[::1]:8443/mutate"))),
            ("https://localhost:8443/spark", Err("paths of its own")),
            ("https://localhost:99999", Err("no port between")),
            ("https://localhost:", Err("no port between")),
            ("http://localhost:8443", Err("by https only")),
            ("localhost:8443", Err("by https only")),
            ("https://", Err("not a URL")),
            ("https://:8443", Err("no host")),
            ("https://localhost:0", Err("no port between")),
            ("https://me@localhost:8443", Err("no user")),
            ("https://localhost:8443/?a=b", Err("no query")),
            ("https://localhost:8443/#a", Err("no fragment")),
            ("", Err("not a URL")),
        ] {
            let url = WebhookUrl::from_str(text);
            match expected {
                Ok((host, mutate)) => {
                    let url = url.unwrap_or_else(|why| panic!("{text}: {why}"));
                    assert_eq!((url.host(), url.of("/mutate").as_str()), (host, mutate), "{text}");
                }
                Err(why) => assert!(url.as_ref().is_err_and(|said| said.contains(why)), "{text}: {url:?}"),
            }
        }
    }
}
