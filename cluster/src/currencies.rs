//! What people pay with, by country: for shows whose file names no price, and for made-up ones.
//!
//! Always holds: each is a currency of ISO 4217. Countries that aren't listed use the dollar, as
//! much of the world's touring does.

/// Countries by currency; the euro area of 2026.
const COUNTRIES: [(&str, &str); 31] = [
    (
        "EUR",
        "AD AT BE BG CY DE EE ES FI FR GR HR IE IT LT LU LV MC ME MT NL PT SI SK SM VA XK",
    ),
    ("GBP", "GB IM JE GG"),
    ("CHF", "CH LI"),
    ("SEK", "SE"),
    ("NOK", "NO SJ"),
    ("DKK", "DK FO GL"),
    ("PLN", "PL"),
    ("CZK", "CZ"),
    ("HUF", "HU"),
    ("RON", "RO"),
    ("TRY", "TR"),
    ("UAH", "UA"),
    ("CAD", "CA"),
    ("MXN", "MX"),
    ("BRL", "BR"),
    ("ARS", "AR"),
    ("CLP", "CL"),
    ("COP", "CO"),
    ("AUD", "AU NR KI TV"),
    ("NZD", "NZ CK NU"),
    ("JPY", "JP"),
    ("KRW", "KR"),
    ("CNY", "CN"),
    ("TWD", "TW"),
    ("HKD", "HK"),
    ("SGD", "SG"),
    ("INR", "IN"),
    ("THB", "TH"),
    ("ZAR", "ZA"),
    ("AED", "AE"),
    ("KWD", "KW"),
];

const ELSEWHERE: &str = "USD";

/// The currency of a country (ISO 3166-1 alpha-2).
pub(crate) fn of_country(country: &str) -> &'static str {
    COUNTRIES
        .iter()
        .find(|(_, countries)| countries.split(' ').any(|listed| listed == country))
        .map_or(ELSEWHERE, |(currency, _)| currency)
}

/// What a dollar is in tenths of a unit, about; for made-up prices only.
pub(crate) fn dollar_tenths(currency: &str) -> i64 {
    match currency {
        "KWD" => 3,
        "EUR" | "GBP" | "CHF" => 9,
        "AUD" | "CAD" | "NZD" | "SGD" => 14,
        "AED" | "PLN" => 38,
        "RON" | "BRL" => 50,
        "DKK" | "CNY" | "HKD" => 70,
        "SEK" | "NOK" => 105,
        "MXN" | "ZAR" => 180,
        "CZK" | "TWD" | "THB" => 300,
        "UAH" | "TRY" => 420,
        "INR" => 850,
        "JPY" => 1_500,
        "HUF" => 3_500,
        "CLP" => 9_500,
        "ARS" => 12_000,
        "KRW" => 13_500,
        "COP" => 41_000,
        _ => 10,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use holdfast_types::Currency;

    use super::*;

    #[test]
    fn every_currency_is_one_and_no_country_has_two() {
        let mut countries = BTreeSet::new();
        for (currency, listed) in COUNTRIES {
            let digits = currency.parse::<Currency>().unwrap().minor_digits();
            assert!(digits.is_some(), "{currency}");
            assert!(dollar_tenths(currency) != 10, "{currency} has no rate");
            for country in listed.split(' ') {
                assert!(countries.insert(country), "{country}");
            }
        }
        assert_eq!(of_country("DE"), "EUR");
        assert_eq!(of_country("JP"), "JPY");
        assert_eq!(of_country("US"), "USD");
        assert_eq!(of_country("??"), "USD");
    }
}
