//! What an account is made of: address, password, roles. Parsing is the only way to have one, so
//! what has the type is within bounds.

use holdfast_mesh::config::Secret;

/// Longest address (RFC 5321's longest path, without the angle brackets).
const EMAIL_BYTES_MAX: usize = 254;

/// Longest part before the `@` (RFC 5321).
const LOCAL_BYTES_MAX: usize = 64;

/// Longest label of a domain (RFC 1035).
const LABEL_BYTES_MAX: usize = 63;

/// Shortest password (NIST SP 800-63B).
const PASSWORD_CHARS_MIN: usize = 8;

/// Longest password: twice the 64 characters NIST asks to allow; bounds the work of a hash.
const PASSWORD_CHARS_MAX: usize = 128;

/// An address in the form it is compared: lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Email(String);

impl Email {
    /// Reads a valid e-mail address as the WHATWG HTML standard defines it ("valid e-mail
    /// address"), at most 254 bytes. The error says what is wrong, for people.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > EMAIL_BYTES_MAX {
            return Err("must be at most 254 bytes long");
        }
        let valid = text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && local.len() <= LOCAL_BYTES_MAX
                && local.bytes().all(|byte| {
                    byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte)
                })
                && domain.split('.').all(is_label)
        });
        if valid {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err("must be an e-mail address like name@example.org")
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= LABEL_BYTES_MAX
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A password of acceptable length.
#[derive(Debug, Clone)]
pub(crate) struct Password(Secret);

impl Password {
    /// The error says what is wrong, for people.
    pub(crate) fn parse(text: String) -> Result<Self, &'static str> {
        let chars = text.chars().count();
        if (PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX).contains(&chars) {
            Ok(Self(Secret::new(text)))
        } else {
            Err("must be 8 to 128 characters long")
        }
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// What an account may act as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Customer,
    Organiser,
    VenueOwner,
    Staff,
    Admin,
}

impl Role {
    pub(crate) const ALL: [Self; 5] = [
        Self::Customer,
        Self::Organiser,
        Self::VenueOwner,
        Self::Staff,
        Self::Admin,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Organiser => "organiser",
            Self::VenueOwner => "venue_owner",
            Self::Staff => "staff",
            Self::Admin => "admin",
        }
    }

    /// The error says what is wrong, for people.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or("must be one of customer, organiser, venue_owner, staff, admin")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_without_case() {
        assert_eq!(
            Email::parse("Ann.Lee+x@Example.ORG")
                .map(|email| email.0)
                .as_deref(),
            Ok("ann.lee+x@example.org")
        );
        assert!(Email::parse("demo@localhost").is_ok());
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long_local = format!("{}@example.org", "a".repeat(65));
        let long_label = format!("a@{}.org", "a".repeat(64));
        let long = format!("a@{}.org", vec!["a".repeat(60); 5].join("."));
        for bad in [
            "",
            "a",
            "@",
            "a@",
            "@example.org",
            "a@b@c",
            "a b@example.org",
            "a@exa mple.org",
            "a@.org",
            "a@example..org",
            "a@-example.org",
            "a@example-.org",
            "ä@example.org",
            "a@example.org\n",
            "a@example.org ",
            "<a@example.org>",
            &long_local,
            &long_label,
            &long,
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn password_lengths_count_characters() {
        for (text, fits) in [
            ("ü".repeat(7), false),
            ("ü".repeat(8), true),
            ("ü".repeat(128), true),
            ("ü".repeat(129), false),
        ] {
            assert_eq!(
                Password::parse(text.clone()).is_ok(),
                fits,
                "{}",
                text.chars().count()
            );
        }
    }

    #[test]
    fn roles_round_trip() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Ok(role));
        }
        assert!(Role::parse("Admin").is_err());
        assert!(Role::parse("").is_err());
    }
}
