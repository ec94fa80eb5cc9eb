//! A configured base address, taken apart so that a task's path can be put between its path and its query.

use http::Uri;

use super::AddressError;

/// An absolute `http(s)` address without user name and fragment.
#[derive(Clone)]
pub(crate) struct Base<'a> {
    provider: &'static str,
    uri: Uri,
    /// As configured, up to the query.
    shown: &'a str,
}

impl<'a> Base<'a> {
    /// Reads a configured address.
    pub(crate) fn read(provider: &'static str, text: &'a str) -> Result<Self, AddressError> {
        let fail = |problem| AddressError::Base { provider, problem };
        let text = text.trim();
        if text.contains('#') {
            return Err(fail("must not have a fragment (`#…`)"));
        }
        let Ok(uri) = text.parse::<Uri>() else {
            return Err(fail("is not a URL"));
        };
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(fail("must start with `http://` or `https://`"));
        }
        let Some(authority) = uri.authority() else {
            return Err(fail("names no host"));
        };
        if authority.as_str().contains('@') {
            return Err(fail("must not hold a user name or password: use `api_key` or `extra_headers`"));
        }
        if authority.host().is_empty() {
            return Err(fail("names no host"));
        }
        if authority.as_str().len() > authority.host().len() && authority.port_u16().is_none() {
            return Err(fail("has a port that is not a number up to 65535"));
        }
        let shown = text.split('?').next().unwrap_or(text);
        Ok(Self { provider, uri, shown })
    }

    /// The host's name, as written.
    pub(crate) fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    /// The path without slashes at its end; empty for the root.
    pub(crate) fn path(&self) -> &str {
        self.uri.path().trim_end_matches('/')
    }

    /// What may be shown to clients: the address as configured, without its query.
    pub(crate) fn shown(&self) -> String {
        self.shown.to_owned()
    }

    /// Whether the query already has a member of this name.
    pub(crate) fn asks(&self, name: &str) -> bool {
        self.uri
            .query()
            .is_some_and(|query| query.split('&').any(|pair| pair.split('=').next().is_some_and(|key| key == name)))
    }

    /// The same place with another path, its query kept and `more` (`name=value`) added to it.
    pub(crate) fn with_path(&self, path: &str, more: Option<&str>) -> Result<Uri, AddressError> {
        let query: Vec<&str> = self.uri.query().filter(|query| !query.is_empty()).into_iter().chain(more).collect();
        let path_and_query = if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) };
        let mut parts = self.uri.clone().into_parts();
        let problem = "and the model's name make no URL";
        let Ok(path_and_query) = path_and_query.parse() else {
            return Err(AddressError::Base { provider: self.provider, problem });
        };
        parts.path_and_query = Some(path_and_query);
        Uri::from_parts(parts).or(Err(AddressError::Base { provider: self.provider, problem }))
    }
}

/// `path` followed by `end`, unless it ends so already: some people configure the whole URL.
pub(crate) fn ending(path: &str, end: &str) -> String {
    if path.ends_with(end) { path.to_owned() } else { format!("{path}{end}") }
}

#[cfg(test)]
mod tests {
    use super::{Base, ending};

    fn joined(base: &str) -> String {
        let base = Base::read("openai", base).expect("a good base");
        base.with_path(&ending(base.path(), "/chat/completions"), None).expect("a URL").to_string()
    }

    fn problem(base: &str) -> String {
        Base::read("openai", base).err().expect("a bad base").to_string()
    }

    #[test]
    fn a_path_goes_between_base_and_query() {
        assert_eq!(joined("https://a.example"), "https://a.example/chat/completions");
        assert_eq!(joined("https://a.example/"), "https://a.example/chat/completions");
        assert_eq!(joined(" https://a.example/v1// \n"), "https://a.example/v1/chat/completions");
        assert_eq!(joined("http://[::1]:8000/v1?x=1&y"), "http://[::1]:8000/v1/chat/completions?x=1&y");
        assert_eq!(joined("http://h:80/v1/chat/completions"), "http://h:80/v1/chat/completions");
        assert_eq!(joined("https://a.example/v1?"), "https://a.example/v1/chat/completions");
    }

    #[test]
    fn what_cannot_be_called_is_refused_without_being_quoted() {
        for (base, part) in [
            ("", "not a URL"),
            ("api.example/v1", "not a URL"),
            ("/v1", "must start with `http://`"),
            ("ftp://a.example", "must start with `http://`"),
            ("file:///etc/passwd", "not a URL"),
            ("https://user:hunter2@a.example", "user name or password"),
            ("https://a.example/#hunter2", "fragment"),
            ("https://a.example:99999/hunter2", "port"),
            ("https://a.example/hun ter2", "not a URL"),
            ("https://", "not a URL"),
        ] {
            let problem = problem(base);
            assert!(problem.contains(part), "{base}: {problem}");
            assert!(!problem.contains("hunter2"), "{base}: {problem}");
        }
    }
}
