//! Names of owners, as both planes write them.

use crate::v1::OwnerKind;

/// The kind as tables and resource ids name it; empty where it is none.
pub const fn kind_name(kind: OwnerKind) -> &'static str {
    match kind {
        OwnerKind::Unspecified => "",
        OwnerKind::Key => "key",
        OwnerKind::User => "user",
        OwnerKind::Team => "team",
        OwnerKind::Proxy => "proxy",
        OwnerKind::Organization => "organization",
        OwnerKind::Customer => "customer",
        OwnerKind::Tag => "tag",
        OwnerKind::Member => "member",
    }
}

/// The id of an owner's resource: `customer:ada`.
pub fn resource_id(kind: OwnerKind, id: &str) -> String {
    format!("{}:{id}", kind_name(kind))
}

/// The id of a user as a member of a team. No two pairs have the same.
pub fn member_id(user_id: &str, team_id: &str) -> String {
    let user_id = user_id.replace('%', "%25").replace(':', "%3A");
    format!("{user_id}:{team_id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_different_teams_have_different_ids() {
        assert_eq!(member_id("ada", "t"), "ada:t");
        assert_ne!(member_id("a:b", "c"), member_id("a", "b:c"));
        assert_ne!(member_id("a%3Ab", "c"), member_id("a:b", "c"));
    }
}
