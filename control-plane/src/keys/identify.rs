//! Which key a request means: management calls take a key's value or its hash.

use proto::KeyHash;

/// The key that a text means. Neither form says that the key exists.
pub(super) fn hash(text: &str) -> Option<KeyHash> {
    match text.starts_with("sk-") {
        true => Some(KeyHash::of(text)),
        false => text.parse().ok(),
    }
}

/// The same for calls that insist on the form of the text.
pub(super) fn strictly(text: &str) -> Option<KeyHash> {
    let sound =
        text.len() <= 100 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    hash(text).filter(|_| sound && text.len() > 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_and_its_hash_mean_the_same_key() {
        let value = "sk-0123456789abcdef";
        assert_eq!(hash(value), hash(&KeyHash::of(value).to_string()));
        assert_eq!(hash("nonsense"), None);
    }

    #[test]
    fn blocks_insist_on_the_form() {
        assert!(strictly("sk-abc_-9").is_some());
        assert!(strictly(&"a1".repeat(32)).is_some());
        assert_eq!(strictly("sk-"), None);
        assert_eq!(strictly("sk-with space"), None);
        assert_eq!(strictly(&format!("sk-{}", "a".repeat(98))), None);
    }
}
