//! Who may change a show's inventory: whose it is, and admins.
//!
//! Always holds: a show is its first opener's for good; one that an admin opened is whose the admin
//! said it is, or else the admins'. Leaves to others: whether a token is genuine (`holdfast-mesh`),
//! and whose show it is in the catalogue (catalog-svc).

use holdfast_mesh::{Failure, auth::Claims};
use holdfast_types::{ErrorCode, UserId};

/// Somebody who may change an inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Actor {
    /// May change every show.
    Admin,
    /// May change the shows that this account opened.
    Organiser(UserId),
}

impl Actor {
    /// The account behind a token, if it may open shows; else `FORBIDDEN`.
    pub(crate) fn of(claims: &Claims) -> Result<Self, Failure> {
        if claims.has_role("admin") {
            Ok(Self::Admin)
        } else if claims.has_role("organiser") && !claims.user_id.as_uuid().is_nil() {
            Ok(Self::Organiser(claims.user_id))
        } else {
            Err(Failure::new(
                ErrorCode::Forbidden,
                "only organisers may change an inventory",
            ))
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
    use super::*;

    fn claims(user: u8, roles: &[&str]) -> Claims {
        Claims {
            user_id: UserId::from_bytes([user; 16]),
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
            expires_at_s: 0,
            grants: Default::default(),
        }
    }

    #[test]
    fn only_organisers_with_an_account_and_admins_may_change_inventories() {
        let organiser = Actor::Organiser(UserId::from_bytes([1; 16]));
        assert_eq!(Actor::of(&claims(1, &["organiser"])), Ok(organiser));
        assert_eq!(Actor::of(&claims(0, &["admin"])), Ok(Actor::Admin));
        for nobody in [claims(1, &["customer"]), claims(0, &["organiser"])] {
            let refused = Actor::of(&nobody).expect_err("refused");
            assert_eq!(refused.code(), ErrorCode::Forbidden);
        }
    }
}
