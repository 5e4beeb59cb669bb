//! Words that people use for one another: what kinds of events are called, and cities that have a
//! name in English, which catalogues have, and another at home.
//!
//! Always holds: both engines go by this list; its members are as [`fold::key`](crate::fold::key)
//! makes them. It is short on purpose: a word that means something else too hides what was meant.

use std::{collections::HashMap, sync::LazyLock};

/// Words that the longest member has.
const MEMBER_WORDS_MAX: usize = 4;

/// Each stands for the others of its line.
#[rustfmt::skip]
const GROUPS: &[&[&str]] = &[
    &["concert", "gig", "konzert", "concierto", "концерт", "こんさーと", "演唱会"],
    &["theatre", "theater", "teatro", "театр"],
    &["musical", "musicals"],
    &["opera", "oper", "опера", "歌剧"],
    &["ballet", "ballett", "балет"],
    &["film", "movie", "cinema", "kino"],
    &["football", "soccer", "fussball", "futbol"],
    &["ice hockey", "icehockey", "eishockey"],
    &["comedy", "stand up", "standup", "kabarett"],
    &["children", "kids", "kinder"],
    &["orchestra", "orchester", "orquesta", "оркестр"],
    &["symphony", "sinfonie", "sinfonia"],
    &["philharmonic", "philharmonie", "philharmonia"],
    &["classical", "klassik"],
    &["hip hop", "hiphop", "rap"],
    &["electronic", "techno", "edm"],
    &["new york", "new york city", "nyc"],
    &["los angeles", "l a"],
    &["san francisco", "sf"],
    &["ho chi minh city", "saigon", "hcmc"],
    &["mumbai", "bombay", "मुंबई"],
    &["delhi", "दिल्ली"],
    &["kolkata", "calcutta"],
    &["chennai", "madras"],
    &["bengaluru", "bangalore"],
    &["beijing", "peking", "北京"],
    &["shanghai", "上海"],
    &["guangzhou", "canton", "广州"],
    &["shenzhen", "深圳"],
    &["chengdu", "成都"],
    &["hong kong", "香港"],
    &["taipei", "台北"],
    &["tokyo", "東京"],
    &["osaka", "大阪"],
    &["kyoto", "京都"],
    &["yokohama", "横浜"],
    &["nagoya", "名古屋"],
    &["seoul", "서울"],
    &["busan", "부산"],
    &["bangkok", "กรุงเทพ"],
    &["moscow", "moskau", "moskva", "москва"],
    &["saint petersburg", "st petersburg", "санкт петербург"],
    &["kyiv", "kiev", "киів", "киев"],
    &["athens", "athen", "αθηνα"],
    &["thessaloniki", "θεσσαλονικη"],
    &["cairo", "kairo", "القاهره"],
    &["baghdad", "بغداد"],
    &["riyadh", "الرياض"],
    &["dubai", "دبي"],
    &["tehran", "teheran", "تهران"],
    &["tel aviv", "תל אביב"],
    &["jerusalem", "ירושלים"],
    &["istanbul", "constantinople"],
    &["munich", "munchen", "muenchen"],
    &["koln", "cologne", "koeln"],
    &["nurnberg", "nuremberg", "nuernberg"],
    &["dusseldorf", "duesseldorf"],
    &["vienna", "wien"],
    &["zurich", "zuerich"],
    &["geneve", "geneva", "genf"],
    &["prague", "praha", "prag"],
    &["warsaw", "warszawa", "warschau"],
    &["krakow", "cracow", "krakau"],
    &["copenhagen", "kobenhavn", "kopenhagen"],
    &["goteborg", "gothenburg"],
    &["brussels", "bruxelles", "brussel"],
    &["the hague", "den haag"],
    &["lisbon", "lisboa", "lissabon"],
    &["rome", "roma", "rom"],
    &["milano", "milan", "mailand"],
    &["florence", "firenze", "florenz"],
    &["naples", "napoli", "neapel"],
    &["turin", "torino"],
    &["venice", "venezia", "venedig"],
    &["seville", "sevilla"],
    &["bucharest", "bucuresti", "bukarest"],
    &["belgrade", "beograd", "belgrad", "београд"],
    &["sofia", "софия"],
    &["mexico city", "ciudad de mexico", "cdmx"],
];

/// Where each member is: its line.
static LINES: LazyLock<HashMap<&str, usize>> = LazyLock::new(|| {
    let lines = GROUPS.iter().enumerate();
    lines
        .flat_map(|(line, members)| members.iter().map(move |member| (*member, line)))
        .collect()
});

/// Words next to each other that are looked for together.
#[derive(Debug, PartialEq)]
pub(crate) struct Unit<'a> {
    pub(crate) words: &'a [String],
    /// What may be there in their place.
    pub(crate) others: Vec<&'static str>,
    /// The last of them is the last of all.
    pub(crate) is_last: bool,
}

/// All of `words`, the longest members together.
pub(crate) fn units(words: &[String]) -> Vec<Unit<'_>> {
    let mut units = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let longest = MEMBER_WORDS_MAX.min(words.len() - at);
        let member = (1..=longest).rev().find_map(|count| {
            let text = words[at..at + count].join(" ");
            let (member, line) = LINES.get_key_value(text.as_str())?;
            let others = GROUPS[*line].iter().copied();
            Some((count, others.filter(|other| other != member).collect()))
        });
        let (count, others) = member.unwrap_or((1, Vec::new()));
        let end = at + count;
        units.push(Unit {
            words: &words[at..end],
            others,
            is_last: end == words.len(),
        });
        at = end;
    }
    units
}

/// Each member with those that it stands for, for an engine that looks for them itself.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    GROUPS.iter().flat_map(|members| {
        members.iter().map(|member| {
            let others = members.iter().copied();
            (*member, others.filter(|other| other != member).collect())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold;

    #[test]
    fn the_list_is_as_words_are_and_has_none_twice() {
        let members: Vec<&str> = GROUPS.iter().copied().flatten().copied().collect();
        for member in &members {
            assert_eq!(fold::key(member), *member);
            assert!(member.split(' ').count() <= MEMBER_WORDS_MAX, "{member}");
        }
        assert_eq!(LINES.len(), members.len());
        assert!(GROUPS.iter().all(|members| members.len() > 1));
    }

    #[test]
    fn the_longest_member_counts() {
        let words = fold::words("jazz gig new york city");
        let units = units(&words);
        let seen: Vec<(String, usize, bool)> = units
            .iter()
            .map(|unit| (unit.words.join(" "), unit.others.len(), unit.is_last))
            .collect();
        let expected = [
            ("jazz", 0, false),
            ("gig", 6, false),
            ("new york city", 2, true),
        ];
        assert_eq!(
            seen,
            expected.map(|(words, others, last)| (words.to_owned(), others, last))
        );
        assert_eq!(units[2].others, ["new york", "nyc"]);
    }
}
