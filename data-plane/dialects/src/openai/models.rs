//! The list of models, as `/v1/models` answers it. Which names a caller may see is decided elsewhere.

use bytes::Bytes;

use crate::json::push_quoted;

/// The list of these models, in this order.
pub fn list<'n>(names: impl Iterator<Item = &'n str>) -> Bytes {
    let mut out = br#"{"data":["#.to_vec();
    for (index, name) in names.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_model(&mut out, name);
    }
    out.extend_from_slice(br#"],"object":"list"}"#);
    Bytes::from(out)
}

/// One model alone.
pub fn one(name: &str) -> Bytes {
    let mut out = Vec::with_capacity(name.len() + 80);
    push_model(&mut out, name);
    Bytes::from(out)
}

/// `created` and `owned_by` are the constants that LiteLLM answers for every model.
fn push_model(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(br#"{"id":"#);
    push_quoted(out, name);
    out.extend_from_slice(br#","object":"model","created":1677610602,"owned_by":"openai"}"#);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_keeps_order_and_escapes_names() {
        assert_eq!(
            list(["b", "a\""].into_iter()),
            concat!(
                r#"{"data":[{"id":"b","object":"model","created":1677610602,"owned_by":"openai"},"#,
                r#"{"id":"a\"","object":"model","created":1677610602,"owned_by":"openai"}],"object":"list"}"#
            )
        );
        assert_eq!(list(std::iter::empty()), r#"{"data":[],"object":"list"}"#);
        assert_eq!(one("x"), r#"{"id":"x","object":"model","created":1677610602,"owned_by":"openai"}"#);
    }
}
