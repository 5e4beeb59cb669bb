//! Words that people write round what they look for: that they want tickets, when and where something
//! is on, and the small words between.
//!
//! Always holds: each of them counts where something has it, for it may be part of a name (The Who,
//! When in Rome); only of a question that nothing fits they are left out ([`crate::looser`]), and only
//! where something else is left. What narrows (tonight, a city, a kind) is none of them, but for `this`: what is found
//! without it comes soonest first.

use std::{collections::HashSet, sync::LazyLock};

use crate::{fold, synonyms};

/// As [`fold::key`] makes them, by language. Words that are a city's name, too, are missing, and those
/// that are mostly part of a name (who).
#[rustfmt::skip]
const ASKING: &[&str] = &[
    // English
    "ticket", "tickets", "tix", "tiket", "tikets", "seat", "seats", "buy", "book", "booking", "get", "cheap",
    "price", "prices", "cost", "concert", "concerts", "gig", "gigs", "show", "shows", "event", "events", "tour",
    "live", "date", "dates", "upcoming", "online", "when", "where", "how", "much", "can", "will", "is", "are",
    "do", "does", "i", "me", "my", "s", "play", "plays", "playing", "perform", "performs", "performing", "see",
    "watch", "want", "to", "for", "of", "at", "in", "on", "from", "by", "with", "and", "or", "near", "nearby",
    "around", "here", "this", "coming",
    // German
    "karte", "karten", "eintrittskarten", "konzert", "konzerte", "veranstaltung", "veranstaltungen", "auftritt",
    "auftritte", "termine", "kaufen", "bestellen", "buchen", "preis", "preise", "wann", "wo", "spielt", "spielen",
    "tritt", "auf", "fur", "im", "am", "bei", "beim", "mit", "und", "oder", "von", "vom", "zu", "zum", "zur",
    "nach", "mir", "nahe",
    // French
    "billet", "billets", "place", "places", "spectacle", "spectacles", "acheter", "reserver", "prix", "quand",
    "ou", "joue", "jouent", "chante", "pour", "de", "d", "du", "au", "aux", "en", "et", "dans", "avec",
    // Spanish
    "entrada", "entradas", "boleto", "boletos", "concierto", "conciertos", "comprar", "precio", "precios",
    "cuando", "donde", "toca", "tocan", "para", "del", "al", "con", "y", "cerca", "mi",
    // Italian
    "biglietto", "biglietti", "concerto", "concerti", "comprare", "acquistare", "prezzo", "prezzi", "quando",
    "dove", "suona", "suonano", "per", "di", "della", "nel", "e", "vicino",
    // Portuguese
    "ingresso", "ingressos", "bilhete", "bilhetes", "preco", "precos", "onde", "da", "dos", "em", "no",
    "na", "com", "perto", "mim",
    // Dutch
    "kaartje", "kaartjes", "kaarten", "kopen", "prijs", "wanneer", "waar", "speelt", "voor", "van", "op", "bij",
    // Polish
    "bilet", "bilety", "koncert", "koncerty", "kupic", "kiedy", "gdzie", "gra", "w", "z",
    // Swedish, Danish, Norwegian
    "biljett", "biljetter", "billett", "billetter", "nar", "hvornar", "spelar", "spiller", "pa", "til", "till",
    "och", "og",
    // Turkish
    "biletleri", "konser", "konseri", "zaman", "nerede",
    // Russian, Ukrainian
    "билет", "билета", "билеты", "концерт", "концерты", "купить", "цена", "цены", "когда", "где", "играет",
    "выступает", "на", "в", "и", "квитки", "квиток", "коли", "де", "купити",
    // Greek
    "εισιτηρια", "εισιτηριο", "ποτε", "που", "για",
    // Arabic, Hebrew, Hindi
    "تذاكر", "تذكره", "כרטיסים", "टिकट",
    // Chinese, Japanese, Korean, where they stand apart
    "门票", "門票", "票", "购票", "購票", "演唱会", "ちけっと", "こんさーと", "らいぶ", "予約", "티켓", "예매",
    "공연", "콘서트",
];

/// Articles, which names have more often than not (The Who, Las Vegas).
#[rustfmt::skip]
const ARTICLES: &[&str] = &[
    "the", "a", "an",
    "der", "die", "das", "den", "dem", "des", "ein", "eine", "einen",
    "le", "la", "les", "l", "un", "une", "el", "los", "las", "una", "il", "lo", "gli", "o", "os", "as",
    "het", "een",
];

/// Letters from which on the last word may be the beginning of one, while somebody still types.
const BEGUN_LETTERS: usize = 3;

static KINDS: LazyLock<[HashSet<&str>; 2]> =
    LazyLock::new(|| [ASKING, ARTICLES].map(|words| words.iter().copied().collect()));

/// Which words are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeftOut {
    Asking,
    AskingAndArticles,
}

/// A question in two.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Parted {
    /// What is looked for, as [`fold::words`] makes it, at least one.
    pub(crate) kept: Vec<String>,
    /// The same unfolded.
    pub(crate) text: String,
    /// Something that is left out comes behind all of it.
    pub(crate) goes_on: bool,
    /// What isn't, as it was written, at least one.
    pub(crate) left_out: Vec<String>,
    /// Words that are next to each other and not both left out.
    pub(crate) pairs: Vec<[String; 2]>,
}

/// Takes `q` apart; nothing where all of it would be left out, or none.
pub(crate) fn part(q: &str, which: LeftOut) -> Option<Parted> {
    let places = fold::places(q);
    let words: Vec<String> = places.iter().flat_map(|(_, words)| words.clone()).collect();
    let mut needed = needed(&words, which).into_iter();
    let mut parted = Parted::default();
    let mut all: Vec<(String, bool)> = Vec::new();
    for (at, words) in places {
        // What was written as one stays one.
        let of_place: Vec<bool> = needed.by_ref().take(words.len()).collect();
        let is_kept = of_place.contains(&true);
        parted.goes_on = !is_kept;
        if is_kept {
            parted.kept.extend_from_slice(&words);
            parted.text.push_str(&q[at]);
            parted.text.push(' ');
        } else {
            parted.left_out.push(q[at].to_owned());
        }
        all.extend(words.into_iter().map(|word| (word, is_kept)));
    }
    parted.pairs = all
        .windows(2)
        .filter(|pair| pair[0].1 || pair[1].1)
        .map(|pair| [pair[0].0.clone(), pair[1].0.clone()])
        .collect();
    (!parted.kept.is_empty() && !parted.left_out.is_empty()).then_some(parted)
}

/// Whether `word` is one of those that only ask.
pub(crate) fn asks(word: &str) -> bool {
    KINDS.iter().any(|words| words.contains(word))
}

/// Of each word whether it stays. Of a name of several words that stands for another (The Hague) all
/// do.
fn needed(words: &[String], which: LeftOut) -> Vec<bool> {
    let [asking, articles] = &*KINDS;
    let goes = |word: &str, is_last| {
        asking.contains(word)
            || (which == LeftOut::AskingAndArticles && articles.contains(word))
            || (is_last && begins_one(word))
    };
    let mut needed = Vec::new();
    for unit in synonyms::units(words) {
        let goes = match unit.words {
            [word] => goes(word, unit.is_last),
            _ => false,
        };
        needed.extend(unit.words.iter().map(|_| !goes));
    }
    needed
}

fn begins_one(word: &str) -> bool {
    word.chars().count() >= BEGUN_LETTERS && ASKING.iter().any(|asking| asking.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_as_words_are_and_have_none_twice() {
        let mut seen = HashSet::new();
        for word in [ASKING, ARTICLES].concat() {
            assert_eq!(fold::words(word), [word]);
            assert!(seen.insert(word), "{word} is there twice");
        }
    }

    #[test]
    fn what_only_asks_is_told_from_what_is_looked_for() {
        for (q, kept, left_out) in [
            ("tickets for Silent Owls", "silent owls", "tickets for"),
            ("When does The Who play?", "the who", "When does play"),
            (
                "silent owls concert tickets near me",
                "silent owls",
                "concert tickets near me",
            ),
            ("silent owls in las vegas", "silent owls las vegas", "in"),
            ("silent owls this weekend", "silent owls weekend", "this"),
            ("Karten für Die Ärzte", "die arzte", "Karten für"),
            ("billets pour L'Été", "l ete", "billets pour"),
            ("билеты на Кино", "кино", "билеты на"),
            ("東京事変 チケット", "東京事変", "チケット"),
            ("silent owls ticke", "silent owls", "ticke"),
            ("U2 tickets", "u2", "tickets"),
        ] {
            let parted = part(q, LeftOut::Asking).expect("is in two");
            assert_eq!(parted.kept.join(" "), kept, "{q}");
            assert_eq!(parted.left_out.join(" "), left_out, "{q}");
            assert_eq!(fold::key(&parted.text), kept, "{q}");
        }
    }

    #[test]
    fn articles_stay_as_long_as_they_may() {
        let q = "tickets for the Silent Owls";
        let parted = part(q, LeftOut::AskingAndArticles).expect("is in two");
        assert_eq!(parted.kept, ["silent", "owls"]);
        assert_eq!(parted.left_out, ["tickets", "for", "the"]);
        assert_eq!(parted.pairs, [["the", "silent"], ["silent", "owls"]]);
        assert!(!parted.goes_on);
        let parted = part("the hague tickets", LeftOut::AskingAndArticles).expect("is in two");
        assert_eq!(parted.kept, ["the", "hague"], "is one name");
        assert!(parted.goes_on);
        assert_eq!(
            part("tickets l a", LeftOut::Asking),
            part("tickets l a", LeftOut::AskingAndArticles)
        );
    }

    #[test]
    fn where_nothing_would_be_left_or_left_out_it_stays_whole() {
        for q in [
            "",
            " - ",
            "when in",
            "tickets near me",
            "silent owls",
            "owls tonight berlin",
            // A beginning is only what is typed last, and not of two letters.
            "ticke owls",
            "owls ti",
            "los angeles",
        ] {
            assert_eq!(part(q, LeftOut::Asking), None, "{q}");
        }
        assert_eq!(part("The The", LeftOut::AskingAndArticles), None);
    }
}
