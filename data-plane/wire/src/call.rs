//! One HTTP exchange as two values. How they travel is the transport's business.

use std::fmt;

use bytes::Bytes;

/// A request that is ready to be sent: everything but the connection.
///
/// `Debug` shows the method, scheme, host and path, and sizes for the rest: headers carry credentials, bodies carry
/// prompts, and a query may carry a key.
#[derive(Clone)]
pub struct Call {
    pub method: http::Method,
    pub uri: http::Uri,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

/// A reply that has been read to its end.
///
/// `Debug` shows the status and sizes, for the same reasons.
#[derive(Clone)]
pub struct Reply {
    pub status: http::StatusCode,
    pub headers: http::HeaderMap,
    pub body: Bytes,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("method", &self.method)
            .field("scheme", &self.uri.scheme_str().unwrap_or_default())
            .field("host", &self.uri.host().unwrap_or_default())
            .field("path", &self.uri.path())
            .field("header_count", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("header_count", &self.headers.len())
            .field("body_bytes", &self.body.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_call_shows_neither_headers_nor_body_nor_query_nor_userinfo() {
        let mut headers = http::HeaderMap::new();
        headers.insert("authorization", http::HeaderValue::from_static("Bearer sk-header"));
        let call = Call {
            method: http::Method::POST,
            uri: http::Uri::from_static("https://me:sk-userinfo@api.example.com/v1/chat?key=sk-query"),
            headers,
            body: Bytes::from_static(b"sk-body"),
        };
        let shown = format!("{call:?}");
        assert!(shown.contains("api.example.com") && shown.contains("/v1/chat"), "{shown}");
        assert!(!shown.contains("sk-"), "{shown}");
    }

    #[test]
    fn debug_of_a_reply_shows_the_status_and_no_content() {
        let reply = Reply {
            status: http::StatusCode::OK,
            headers: http::HeaderMap::new(),
            body: Bytes::from_static(b"said in confidence"),
        };
        let shown = format!("{reply:?}");
        assert!(shown.contains("200") && shown.contains("18"), "{shown}");
        assert!(!shown.contains("confidence"), "{shown}");
    }
}
