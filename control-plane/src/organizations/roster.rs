//! Who is in an organization, and as what.

use serde::Serialize;
use sqlx::PgConnection;
use time::OffsetDateTime;
use utoipa::ToSchema;

/// What a member is in an organization: an admin manages its teams, keys and members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OrganizationRole {
    OrgAdmin,
    InternalUser,
    InternalUserViewer,
}

impl OrganizationRole {
    /// The names of the roles in the API.
    pub(super) const NAMES: &'static [&'static str] = &["org_admin", "internal_user", "internal_user_viewer"];

    /// The role under this name; an unknown one manages nothing.
    pub(super) fn named(name: &str) -> Self {
        match name {
            "org_admin" => Self::OrgAdmin,
            "internal_user_viewer" => Self::InternalUserViewer,
            _ => Self::InternalUser,
        }
    }

    /// The name of the role.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OrgAdmin => "org_admin",
            Self::InternalUser => "internal_user",
            Self::InternalUserViewer => "internal_user_viewer",
        }
    }
}

/// A member of an organization.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct OrganizationMember {
    pub(super) organization_id: String,
    pub(super) user_id: String,
    pub(super) role: OrganizationRole,
    pub(super) budget_id: Option<String>,
    pub(super) created_at: OffsetDateTime,
    pub(super) updated_at: OffsetDateTime,
}

/// What this user is in which organizations.
pub(crate) async fn roles_of(db: &mut PgConnection, user_id: &str) -> sqlx::Result<Vec<(String, OrganizationRole)>> {
    let rows = sqlx::query!("select organization_id, role from organization_members where user_id = $1", user_id);
    let rows = rows.fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| (row.organization_id, OrganizationRole::named(&row.role))).collect())
}

/// The members of these organizations, by user.
pub(super) async fn of(db: &mut PgConnection, ids: &[String]) -> sqlx::Result<Vec<OrganizationMember>> {
    let rows = sqlx::query_as!(
        Row,
        "select organization_id, user_id, role, budget_id, created_at, updated_at from organization_members
         where organization_id = any($1) order by organization_id, user_id",
        ids,
    );
    Ok(rows.fetch_all(db).await?.into_iter().map(Row::into_member).collect())
}

/// Writes a member, who is there already or not.
pub(super) async fn put(db: &mut PgConnection, member: &OrganizationMember) -> sqlx::Result<()> {
    sqlx::query!(
        "insert into organization_members (organization_id, user_id, role, budget_id, created_at, updated_at)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (organization_id, user_id) do update set
             role = excluded.role, budget_id = excluded.budget_id, updated_at = excluded.updated_at",
        member.organization_id,
        member.user_id,
        member.role.name(),
        member.budget_id.as_deref(),
        member.created_at,
        member.updated_at,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Removes a member.
pub(super) async fn remove(db: &mut PgConnection, organization_id: &str, user_id: &str) -> sqlx::Result<()> {
    sqlx::query!(
        "delete from organization_members where organization_id = $1 and user_id = $2",
        organization_id,
        user_id,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// Removes users from all organizations.
pub(super) async fn dismiss(db: &mut PgConnection, user_ids: &[String]) -> sqlx::Result<()> {
    sqlx::query!("delete from organization_members where user_id = any($1)", user_ids).execute(db).await?;
    Ok(())
}

struct Row {
    organization_id: String,
    user_id: String,
    role: String,
    budget_id: Option<String>,
    created_at: OffsetDateTime,
    updated_at: OffsetDateTime,
}

impl Row {
    fn into_member(self) -> OrganizationMember {
        OrganizationMember {
            organization_id: self.organization_id,
            user_id: self.user_id,
            role: OrganizationRole::named(&self.role),
            budget_id: self.budget_id,
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }
}
