//! Who may change what: an organiser what is theirs, an admin everything.
//!
//! Always holds: somebody else's thing that isn't public is answered like one that isn't there.
//! Leaves to others: whether a token is genuine (`holdfast-mesh`).

use holdfast_mesh::{Failure, auth::Claims};
use holdfast_types::{ErrorCode, UserId};

/// Somebody who may write to the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Actor {
    pub(crate) user_id: UserId,
    is_admin: bool,
}

impl Actor {
    /// The account behind a token, if it has a role that may write; else FORBIDDEN.
    pub(crate) fn of(claims: &Claims) -> Result<Self, Failure> {
        Self::with_role(claims, &["organiser"])
    }

    /// The same for venues and their plans, which may be somebody's who organises nothing.
    pub(crate) fn of_venues(claims: &Claims) -> Result<Self, Failure> {
        Self::with_role(claims, &["organiser", "venue_owner"])
    }

    fn with_role(claims: &Claims, roles: &[&str]) -> Result<Self, Failure> {
        let is_admin = claims.has_role("admin");
        if is_admin || roles.iter().any(|role| claims.has_role(role)) {
            return Ok(Self {
                user_id: claims.user_id,
                is_admin,
            });
        }
        let roles = roles.join(", ");
        Err(Failure::new(
            ErrorCode::Forbidden,
            format!("this needs the role {roles} or admin"),
        ))
    }

    /// Whether what `owner` made is theirs to change.
    pub(crate) fn may_change(&self, owner: UserId) -> bool {
        self.is_admin || self.user_id == owner
    }
}
