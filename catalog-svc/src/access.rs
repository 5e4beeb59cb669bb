//! Who may change what: an organiser what is theirs, members what is their organisation's while they act in
//! its name, an admin everything.
//!
//! Always holds: somebody else's thing that isn't public is answered like one that isn't there; viewers, and
//! keys that only read, change nothing. Leaves to others: whether a token is genuine (`holdfast-mesh`), and
//! who is in an organisation (identity-svc).

use holdfast_mesh::{
    Failure,
    auth::{Claims, OrganisationRole, Scope},
};
use holdfast_types::{ErrorCode, UserId};
use tonic::metadata::MetadataMap;

/// Scopes of keys that may read the catalogue's drafts, and change it.
pub(crate) const READING: &[Scope] = &[Scope::CatalogueRead, Scope::CatalogueWrite];
const WRITING: &[Scope] = &[Scope::CatalogueWrite];

/// Somebody who may see, and perhaps change, what is theirs in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Actor {
    /// In whose name: an account, or an organisation's id in its place.
    pub(crate) user_id: UserId,
    is_admin: bool,
    writes: bool,
}

impl Actor {
    /// Who calls, and in whose name by `metadata`, if they have a role that may write or are in that
    /// organisation; else FORBIDDEN.
    pub(crate) fn of(claims: &Claims, metadata: &MetadataMap) -> Result<Self, Failure> {
        Self::with_role(claims, metadata, &["organiser"])
    }

    /// The same for venues and their plans, which may be somebody's who organises nothing.
    pub(crate) fn of_venues(claims: &Claims, metadata: &MetadataMap) -> Result<Self, Failure> {
        Self::with_role(claims, metadata, &["organiser", "venue_owner"])
    }

    fn with_role(claims: &Claims, metadata: &MetadataMap, roles: &[&str]) -> Result<Self, Failure> {
        let own = claims.in_name_of(metadata)?;
        // A key is for what is its account's, whatever else that may do.
        let is_admin =
            claims.has_role("admin") && own.role.is_none() && claims.grants.scopes.is_none();
        let may = own.role.is_some()
            || claims.has_role("admin")
            || roles.iter().any(|role| claims.has_role(role));
        if may {
            let manages = own
                .role
                .is_none_or(|role| role >= OrganisationRole::Manager);
            return Ok(Self {
                user_id: own.owner,
                is_admin,
                writes: manages && claims.require_scope(WRITING).is_ok(),
            });
        }
        let roles = roles.join(", ");
        Err(Failure::new(
            ErrorCode::Forbidden,
            format!("this needs the role {roles} or admin"),
        ))
    }

    /// Itself, if it may change anything; else FORBIDDEN.
    pub(crate) fn writing(self) -> Result<Self, Failure> {
        match self.writes {
            true => Ok(self),
            false => Err(Failure::new(
                ErrorCode::Forbidden,
                "this needs a manager of the organisation, or a key with scope catalogue:write",
            )),
        }
    }

    /// Whether what `owner` made is theirs: to see, and to change once they may change anything
    /// ([`Actor::writing`]).
    pub(crate) fn may_change(&self, owner: UserId) -> bool {
        self.is_admin || self.user_id == owner
    }
}
