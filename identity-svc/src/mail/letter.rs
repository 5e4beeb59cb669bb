//! What letters say.

use crate::store::mailed_tokens::Purpose;

/// Which letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Asks whether the address is the account's.
    VerifyEmail,
    /// Lets somebody set a new password.
    ResetPassword,
    /// Tells that the password is another now.
    PasswordChanged,
    /// Tells that a refresh token was used twice.
    RefreshReused,
    /// Invites somebody into an organisation.
    Invitation,
    /// Tells that a key for a system was made.
    ApiKeyMade,
    /// Tells somebody that an administrator made them an owner of an organisation.
    OwnerAppointed,
    /// Tells the other owners.
    OwnerAdded,
}

/// A letter, ready to go.
#[derive(Debug)]
pub(crate) struct Written {
    pub(super) subject: &'static str,
    pub(super) body: String,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::VerifyEmail,
        Self::ResetPassword,
        Self::PasswordChanged,
        Self::RefreshReused,
        Self::Invitation,
        Self::ApiKeyMade,
        Self::OwnerAppointed,
        Self::OwnerAdded,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::VerifyEmail => "verify_email",
            Self::ResetPassword => "reset_password",
            Self::PasswordChanged => "password_changed",
            Self::RefreshReused => "refresh_reused",
            Self::Invitation => "invitation",
            Self::ApiKeyMade => "api_key_made",
            Self::OwnerAppointed => "owner_appointed",
            Self::OwnerAdded => "owner_added",
        }
    }

    /// The one of that name; none for one of a later release.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// What its token is for, where it has one of an account's.
    pub(super) const fn purpose(self) -> Option<Purpose> {
        match self {
            Self::VerifyEmail => Some(Purpose::VerifyEmail),
            Self::ResetPassword => Some(Purpose::ResetPassword),
            Self::PasswordChanged
            | Self::RefreshReused
            | Self::Invitation
            | Self::ApiKeyMade
            | Self::OwnerAppointed
            | Self::OwnerAdded => None,
        }
    }

    /// Whether it is about an organisation, whose name it says.
    pub(super) const fn is_of_organisation(self) -> bool {
        matches!(self, Self::OwnerAppointed | Self::OwnerAdded)
    }

    /// The letter. `links` is where the pages are that it leads to, e.g. `https://tickets.example`;
    /// `about` the name of the organisation, of a letter about one.
    pub(super) fn write(self, links: &str, token: &str, about: &str) -> Written {
        let (subject, body) = match self {
            Self::VerifyEmail => (
                "Please confirm your e-mail address",
                format!(
                    "Somebody, probably you, made an account with this address.\n\n\
                     Confirm that it is yours, within 24 hours:\n\n\
                     {links}/account/verify?token={token}\n\n\
                     If it wasn't you, do nothing.\n"
                ),
            ),
            Self::ResetPassword => (
                "Your new password",
                format!(
                    "Somebody, probably you, asked to set a new password for the account with\n\
                     this address.\n\n\
                     Set it here, within 30 minutes:\n\n\
                     {links}/account/reset?token={token}\n\n\
                     It works once. If it wasn't you, do nothing: your password stays as it\n\
                     is.\n"
                ),
            ),
            Self::PasswordChanged => (
                "Your password was changed",
                format!(
                    "The password of your account was changed just now, and your other sign-ins\n\
                     have ended.\n\n\
                     If it wasn't you, set a new one at once:\n\n\
                     {links}/account/forgot\n"
                ),
            ),
            Self::Invitation => (
                "You are invited",
                format!(
                    "You are invited to organise together with others, as a member of:\n\n\
                     {about}\n\n\
                     Take the invitation up within 7 days, with an account of this address:\n\n\
                     {links}/account/invitation?token={token}\n\n\
                     If you don't know them, do nothing.\n"
                ),
            ),
            Self::ApiKeyMade => (
                "An API key was made",
                format!(
                    "With your account a key was made just now, by which a system of yours or\n\
                     of your organisation's may read or change what you organise.\n\n\
                     If it wasn't you, set a new password on this page, which ends all your\n\
                     keys and sign-ins:\n\n\
                     {links}/account/forgot\n"
                ),
            ),
            Self::OwnerAppointed => (
                "You own an organisation",
                format!(
                    "Whoever runs this service made you an owner just now of:\n\n\
                     {about}\n\n\
                     You decide from your next sign-in on what it organises and who is in it.\n\
                     If you don't know why, ask them. If others may know your password, set a\n\
                     new one first:\n\n\
                     {links}/account/forgot\n"
                ),
            ),
            Self::OwnerAdded => (
                "Your organisation has another owner",
                format!(
                    "Whoever runs this service made somebody an owner just now of:\n\n\
                     {about}\n\n\
                     You see who it is among the members. If you don't know why, ask them. If\n\
                     others may know your password, set a new one:\n\n\
                     {links}/account/forgot\n"
                ),
            ),
            Self::RefreshReused => (
                "A sign-in of yours was ended",
                format!(
                    "What keeps one of your devices signed in was used a second time. It may\n\
                     have been copied, so that sign-in was ended; please sign in again.\n\n\
                     If you don't know why, set a new password, which ends all your sign-ins:\n\n\
                     {links}/account/forgot\n"
                ),
            ),
        };
        Written { subject, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_round_trip_and_those_with_a_token_have_it_in_a_link() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.as_str()), Some(kind));
            let written = kind.write("https://tickets.example", "the-token", "Some hall");
            assert!(written.subject.is_ascii() && !written.subject.contains(['\r', '\n']));
            assert!(written.body.is_ascii() && written.body.lines().all(|line| line.len() <= 78));
            let link = written.body.contains("?token=the-token\n");
            let has_one = kind.purpose().is_some() || kind == Kind::Invitation;
            assert_eq!(link, has_one, "{kind:?}");
            assert!(written.body.contains("\nhttps://tickets.example/account/"));
        }
        assert_eq!(Kind::parse("of a later release"), None);
    }
}
