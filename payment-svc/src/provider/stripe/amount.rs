//! Money as Stripe counts it (docs.stripe.com/currencies, "Minor units in API amounts").
//!
//! Ours counts in the minor unit of ISO 4217. Stripe's differs for a few currencies, and of some it
//! takes round amounts only; what can't be said exactly is refused, never rounded.

use holdfast_types::Money;

/// ISO 4217 has no minor unit, Stripe counts hundredths and takes whole ones only.
const IN_HUNDREDTHS: [&str; 2] = ["ISK", "UGX"];

/// ISO 4217 has hundredths, Stripe counts whole ones.
const IN_WHOLE: [&str; 1] = ["MGA"];

/// Three digits, of which the last has to be 0.
const IN_THOUSANDTHS: [&str; 5] = ["BHD", "JOD", "KWD", "OMR", "TND"];

/// Why an amount can't be Stripe's, or ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{amount} {currency} (minor units): {why}")]
pub(super) struct Unsayable {
    amount: i64,
    currency: String,
    why: &'static str,
}

/// What is sent: the amount, and the currency in small letters.
pub(super) fn to_stripe(money: Money) -> Result<(i64, String), Unsayable> {
    let Money { amount, currency } = money;
    let currency = currency.as_str();
    let wrong = |why| Unsayable {
        amount,
        currency: currency.to_owned(),
        why,
    };
    let sent = if IN_HUNDREDTHS.contains(&currency) {
        amount.checked_mul(100).ok_or(wrong("too much"))?
    } else if IN_WHOLE.contains(&currency) {
        if amount % 100 != 0 {
            return Err(wrong("Stripe takes whole ones of this currency only"));
        }
        amount / 100
    } else if IN_THOUSANDTHS.contains(&currency) && amount % 10 != 0 {
        return Err(wrong("Stripe wants the last digit to be 0"));
    } else {
        amount
    };
    Ok((sent, currency.to_ascii_lowercase()))
}

/// What Stripe says of an amount, as ours.
pub(super) fn from_stripe(amount: i64, currency: &str) -> Result<Money, Unsayable> {
    let wrong = |why| Unsayable {
        amount,
        currency: currency.to_owned(),
        why,
    };
    let currency = currency.to_ascii_uppercase();
    let ours = if IN_HUNDREDTHS.contains(&currency.as_str()) {
        if amount % 100 != 0 {
            return Err(wrong("not a whole one, and there is no smaller"));
        }
        amount / 100
    } else if IN_WHOLE.contains(&currency.as_str()) {
        amount.checked_mul(100).ok_or(wrong("too much"))?
    } else {
        amount
    };
    Ok(Money {
        amount: ours,
        currency: currency.parse().map_err(|_| wrong("no currency"))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount: i64, currency: &str) -> Money {
        let currency = currency.parse().expect("a currency");
        Money { amount, currency }
    }

    #[test]
    fn amounts_are_in_stripes_units_and_come_back_as_they_went() {
        for (ours, sent) in [
            (money(1_250, "EUR"), (1_250, "eur")),
            (money(500, "JPY"), (500, "jpy")),
            (money(5, "ISK"), (500, "isk")),
            (money(5, "UGX"), (500, "ugx")),
            (money(500, "MGA"), (5, "mga")),
            (money(5_120, "KWD"), (5_120, "kwd")),
        ] {
            let (amount, currency) = to_stripe(ours).expect("sayable");
            assert_eq!((amount, currency.as_str()), sent);
            assert_eq!(from_stripe(amount, &currency), Ok(ours));
        }
    }

    #[test]
    fn what_stripe_cannot_take_is_refused_and_not_rounded() {
        for ours in [
            money(5_124, "KWD"),
            money(501, "MGA"),
            money(i64::MAX, "ISK"),
        ] {
            assert!(to_stripe(ours).is_err(), "{ours:?}");
        }
        assert!(from_stripe(550, "isk").is_err());
        assert!(from_stripe(1, "e").is_err());
    }
}
