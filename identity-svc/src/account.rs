//! What an account is made of: address, password, roles. Parsing is the only way to have one, so
//! what has the type is within bounds.

use holdfast_mesh::config::Secret;
use idna::AsciiDenyList;
use unicode_normalization::UnicodeNormalization;
use unicode_security::{
    GeneralSecurityProfile, RestrictionLevel, RestrictionLevelDetection,
    confusable_detection::skeleton,
};

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

const NO_ADDRESS: &str = "must be an e-mail address like name@example.org";

/// An address in the form it is compared and mailed to: plain ASCII, lower case, a domain of other letters
/// as DNS has it (`xn--`). So nothing that could begin a line of its own is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Email(String);

impl Email {
    /// Reads a valid e-mail address as the WHATWG HTML standard defines it ("valid e-mail
    /// address"), at most 254 bytes, after what is only written differently (NFKC: full-width letters,
    /// ligatures) is written plainly. A domain may have letters of other scripts, unless they are mixed so
    /// that they look like others, or all look like ASCII (UTS 39). The error says what is wrong, for people.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if text.len() > EMAIL_BYTES_MAX {
            return Err("must be at most 254 bytes long");
        }
        let plain: String = text.nfkc().collect();
        let (local, domain) = plain.split_once('@').ok_or(NO_ADDRESS)?;
        let is_local = !local.is_empty()
            && local.len() <= LOCAL_BYTES_MAX
            && local.bytes().all(|byte| {
                byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte)
            });
        if !is_local {
            return Err(NO_ADDRESS);
        }
        let domain = domain_name(domain)?;
        let email = format!("{}@{domain}", local.to_ascii_lowercase());
        match email.len() <= EMAIL_BYTES_MAX {
            true => Ok(Self(email)),
            false => Err("must be at most 254 bytes long"),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A domain as DNS has it, in lower case.
fn domain_name(domain: &str) -> Result<String, &'static str> {
    let plain = domain.is_ascii() && !domain.to_ascii_lowercase().contains("xn--");
    let name = match plain {
        true => domain.to_ascii_lowercase(),
        false => {
            // What can't be seen is left out of a name, so it is looked for before.
            let written = |c: char| c == '.' || c == '-' || c.identifier_allowed();
            let (shown, valid) = idna::domain_to_unicode(domain);
            valid.map_err(|_| NO_ADDRESS)?;
            if !domain.chars().all(written) || shown.split('.').any(looks_like_another) {
                return Err(
                    "looks like another address: the domain has letters that look like others",
                );
            }
            let name = idna::domain_to_ascii_cow(domain.as_bytes(), AsciiDenyList::STD3);
            name.map_err(|_| NO_ADDRESS)?.into_owned()
        }
    };
    match name.split('.').all(is_label) {
        true => Ok(name),
        false => Err(NO_ADDRESS),
    }
}

/// Whether people would take a label for another: it has letters that names don't have, of scripts that
/// aren't written together, or all of them look like ASCII. UTS 39 §5.2 "highly restrictive", and §4.
fn looks_like_another(label: &str) -> bool {
    !label.is_ascii()
        && (!label.chars().all(|c| c == '-' || c.identifier_allowed())
            || !label.check_restriction_level(RestrictionLevel::HighlyRestrictive)
            || skeleton(label).all(|c| c.is_ascii()))
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
    fn one_address_is_one_however_it_is_written() {
        for (text, as_compared) in [
            ("ａｎｎ＠ｅｘａｍｐｌｅ．ｏｒｇ", "ann@example.org"),
            ("oﬃce@example.org", "office@example.org"),
            ("\u{212a}im@example.org", "kim@example.org"),
            ("ann@Bücher.example", "ann@xn--bcher-kva.example"),
            ("ann@bu\u{308}cher.example", "ann@xn--bcher-kva.example"),
            ("ann@XN--bcher-kva.example", "ann@xn--bcher-kva.example"),
            ("ann@例え.テスト", "ann@xn--r8jz45g.xn--zckzah"),
        ] {
            let email = Email::parse(text).map(|email| email.0);
            assert_eq!(email.as_deref(), Ok(as_compared), "{text}");
        }
    }

    #[test]
    fn what_looks_like_another_address_is_refused() {
        for bad in [
            // Cyrillic letters among Latin ones, and alone.
            "ann@ex\u{430}mple.org",
            "ann@\u{430}\u{440}\u{440}\u{4cf}\u{435}.com",
            "ann@xn--80ak6aa92e.com",
            // Greek, and a Latin letter of phonetics.
            "ann@g\u{3bf}\u{3bf}gle.com",
            "ann@ex\u{251}mple.org",
            // Before the @ there is ASCII only.
            "\u{430}nn@example.org",
            "ann\u{301}@example.org",
            // Direction, joiners, and what can't be seen.
            "ann\u{202e}@example.org",
            "ann@exam\u{200b}ple.org",
            "ann@exam\u{202e}ple.org",
            "ann@exam\u{ad}ple\u{2066}.org",
            // Line ends, which would begin a header of their own.
            "ann@example.org\r\nBcc: bob@example.org",
            "ann\n@example.org",
            "ann\u{2028}@example.org",
            "ann@example.org\0",
            "\"ann\r\nBcc: bob@example.org\"@example.org",
            // A label that isn't what it says.
            "ann@xn--a.org",
            "ann@xn--.org",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
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
