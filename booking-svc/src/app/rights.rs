//! Who may change a show's inventory, and see what was sold: whose it is, members in the name of the
//! organisation whose it is (viewers see), and admins.
//!
//! Always holds: a show is its first opener's for good; one that an admin opened is whose the admin
//! said it is, or else the admins'. Leaves to others: whether a token is genuine (`holdfast-mesh`),
//! and whose show it is in the catalogue (catalog-svc).

use holdfast_mesh::{
    Failure,
    auth::{Claims, OrganisationRole},
};
use holdfast_types::{ErrorCode, UserId};
use tonic::metadata::MetadataMap;

/// Somebody who may change an inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Actor {
    /// May change every show.
    Admin,
    /// May change the shows that this account, or organisation, opened.
    Organiser(UserId),
}

impl Actor {
    /// Who calls, and in whose name by `metadata`, if they may open shows; else `FORBIDDEN`.
    pub(crate) fn of(claims: &Claims, metadata: &MetadataMap) -> Result<Self, Failure> {
        Self::at_least(OrganisationRole::Manager, claims, metadata)
    }

    /// The same where nothing is changed: viewers of an organisation, too.
    pub(crate) fn reading(claims: &Claims, metadata: &MetadataMap) -> Result<Self, Failure> {
        Self::at_least(OrganisationRole::Viewer, claims, metadata)
    }

    fn at_least(
        wanted: OrganisationRole,
        claims: &Claims,
        metadata: &MetadataMap,
    ) -> Result<Self, Failure> {
        let own = claims.in_name_of(metadata)?;
        let is_whole = own.role.is_none() && claims.grants.scopes.is_none();
        match own.role {
            None if is_whole && claims.has_role("admin") => Ok(Self::Admin),
            None if claims.has_role("organiser") && !claims.user_id.as_uuid().is_nil() => {
                Ok(Self::Organiser(claims.user_id))
            }
            Some(role) if role >= wanted => Ok(Self::Organiser(own.owner)),
            _ => Err(Failure::new(
                ErrorCode::Forbidden,
                "only organisers may change an inventory",
            )),
        }
    }

    /// Whose a show is that this one opens; `None`: the admins'. An admin may open one that is
    /// `named` another's, an organiser only their own.
    pub(crate) fn as_owner(self, named: Option<UserId>) -> Option<UserId> {
        match self {
            Self::Admin => named,
            Self::Organiser(user_id) => Some(user_id),
        }
    }

    /// `FORBIDDEN` unless a show of `owner` is theirs to change.
    pub(crate) fn check(self, owner: Option<UserId>) -> Result<(), Failure> {
        match self {
            Self::Admin => Ok(()),
            Self::Organiser(user_id) if owner == Some(user_id) => Ok(()),
            Self::Organiser(_) => Err(Failure::new(
                ErrorCode::Forbidden,
                "another account opened this show",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use holdfast_mesh::auth::{Grants, Membership, ORGANISATION, Scope};
    use uuid::Uuid;

    use super::*;

    fn claims(user: u8, roles: &[&str], grants: Grants) -> Claims {
        Claims {
            user_id: UserId::from_bytes([user; 16]),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            expires_at_s: 0,
            grants,
        }
    }

    #[test]
    fn only_organisers_with_an_account_and_admins_may_change_inventories() {
        let own = MetadataMap::new();
        let of = |user, roles: &[&str]| Actor::of(&claims(user, roles, Grants::default()), &own);
        let organiser = Actor::Organiser(UserId::from_bytes([1; 16]));
        assert_eq!(of(1, &["organiser"]), Ok(organiser));
        assert_eq!(of(0, &["admin"]), Ok(Actor::Admin));
        for nobody in [of(1, &["customer"]), of(0, &["organiser"])] {
            let refused = nobody.expect_err("refused");
            assert_eq!(refused.code(), ErrorCode::Forbidden);
        }
        let keys = Grants {
            scopes: Some(vec![Scope::SalesRead]),
            ..Grants::default()
        };
        let key = claims(1, &["admin", "organiser"], keys);
        assert_eq!(
            Actor::of(&key, &own),
            Ok(organiser),
            "a key has no admin's rights"
        );
    }

    #[test]
    fn members_act_in_the_name_of_their_organisation_and_viewers_only_look() {
        let id = Uuid::from_bytes([9; 16]);
        let mut named = MetadataMap::new();
        let text = id.to_string().parse().expect("is metadata");
        named.insert(ORGANISATION, text);
        let of = |role| {
            let orgs = vec![Membership { id, role }];
            let grants = Grants {
                orgs,
                ..Grants::default()
            };
            claims(1, &["customer"], grants)
        };
        let organisation = Actor::Organiser(UserId::from_uuid(id));
        for role in [OrganisationRole::Manager, OrganisationRole::Owner] {
            assert_eq!(Actor::of(&of(role), &named), Ok(organisation));
        }
        let viewer = of(OrganisationRole::Viewer);
        assert_eq!(Actor::reading(&viewer, &named), Ok(organisation));
        let stranger = claims(1, &["organiser", "admin"], Grants::default());
        for refused in [Actor::of(&viewer, &named), Actor::of(&stranger, &named)] {
            let refused = refused.expect_err("refused");
            assert_eq!(refused.code(), ErrorCode::Forbidden);
        }
    }
}
