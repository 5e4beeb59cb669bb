//! The currencies that one pays with, by ISO 4217, and how many decimals each has.
//!
//! Funds, metals and codes for testing are left out: nobody sells a ticket for them.

use crate::Currency;

/// Without decimals: one unit is the smallest amount.
const WHOLE: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF";
/// With three decimals.
const THOUSANDTHS: &str = "BHD IQD JOD KWD LYD OMR TND";
/// With two.
const HUNDREDTHS: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD \
    BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP \
    GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP \
    LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD \
    PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC \
    SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG";

impl Currency {
    /// Decimals of an amount in units; `None` for three letters that are no currency of the list.
    pub fn minor_digits(&self) -> Option<u32> {
        let is_in = |list: &str| list.split_whitespace().any(|code| code == self.as_str());
        [(HUNDREDTHS, 2), (WHOLE, 0), (THOUSANDTHS, 3)]
            .into_iter()
            .find_map(|(list, digits)| is_in(list).then_some(digits))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn currencies_have_their_decimals_and_made_up_ones_have_none() {
        let digits = |code: &str| code.parse::<Currency>().map(|c| c.minor_digits());
        assert_eq!(digits("EUR"), Ok(Some(2)));
        assert_eq!(digits("JPY"), Ok(Some(0)));
        assert_eq!(digits("KWD"), Ok(Some(3)));
        assert_eq!(digits("XYZ"), Ok(None));
        assert_eq!(digits("AAA"), Ok(None));
    }

    #[test]
    fn every_code_of_the_list_is_a_currency_and_there_once() {
        let codes: Vec<&str> = [WHOLE, HUNDREDTHS, THOUSANDTHS]
            .iter()
            .flat_map(|list| list.split_whitespace())
            .collect();
        assert_eq!(codes.len(), 156);
        assert!(codes.iter().all(|code| code.parse::<Currency>().is_ok()));
        assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), codes.len());
    }
}
