//! What can be wrong with a text or a member, said for the person who sent it.

/// Why a text is not the JSON object it should be. Positions are bytes from the beginning of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    #[error("the text is not UTF-8: byte {at} does not belong there")]
    NotUtf8 { at: usize },
    #[error("a JSON object is expected: the text must begin with '{{'")]
    NotAnObject,
    #[error("at byte {at}: {expected} expected")]
    Syntax { at: usize, expected: &'static str },
    #[error("at byte {at}: nested deeper than {limit} levels")]
    TooDeep { at: usize, limit: usize },
    #[error("the object has more than {members} members")]
    TooLarge { members: usize },
}

/// A member is there, but is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{name}' must be {expected}.")]
pub struct WrongType {
    pub name: String,
    pub expected: &'static str,
}
