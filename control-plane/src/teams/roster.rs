//! Who is in a team, and as what. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Team;

/// A member of a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Member {
    pub(crate) role: MemberRole,
    pub(crate) user_id: Option<String>,
    pub(crate) user_email: Option<String>,
}

/// What a member may do with the team: `admin` manages it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MemberRole {
    Admin,
    User,
}

/// What somebody is to a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Admin,
    Member,
    Outside,
}

/// What members may always do with the keys of their team.
pub(super) const BASELINE: [&str; 2] = ["/key/info", "/key/health"];

impl Team {
    /// What this user is to the team.
    pub(crate) fn standing(&self, user_id: &str) -> Standing {
        let roles = self.members.iter().filter(|member| member.user_id.as_deref() == Some(user_id));
        roles.fold(Standing::Outside, |standing, member| match (standing, member.role) {
            (Standing::Admin, _) | (_, MemberRole::Admin) => Standing::Admin,
            (_, MemberRole::User) => Standing::Member,
        })
    }

    /// Whether members may call this route for keys of the team.
    pub(crate) fn grants_members(&self, route: &str) -> bool {
        let granted = self.more.get("team_member_permissions").and_then(Value::as_array);
        BASELINE.contains(&route) || granted.is_some_and(|routes| routes.iter().any(|granted| granted == route))
    }

    /// Adds a member who is not there yet, and says whether they were not.
    pub(super) fn add(&mut self, member: Member) -> bool {
        let same = |known: &Member| match (&member.user_id, &member.user_email) {
            (Some(user_id), _) => known.user_id.as_ref() == Some(user_id),
            (None, email) => known.user_email == *email,
        };
        if self.members.iter().any(same) {
            return false;
        }
        self.members.push(member);
        true
    }
}

/// A member as a request writes one. `None` where it names nobody.
pub(crate) fn member_from(members: &Map<String, Value>) -> Option<Member> {
    let text =
        |name: &str| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let member = Member {
        role: match text("role").as_deref() {
            Some("admin") => MemberRole::Admin,
            Some(_) | None => MemberRole::User,
        },
        user_id: text("user_id"),
        user_email: text("user_email"),
    };
    (member.user_id.is_some() || member.user_email.is_some()).then_some(member)
}
