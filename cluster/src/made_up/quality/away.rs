//! What isn't there: real performers and works, of whom the made-up catalogue has none, and no words at
//! all. Who asks for one wants nothing else, so that each that finds something is a mistake.

use holdfast_proto::search::v1::SearchShowsRequest;
use search_svc::Trial;

/// As people write them.
#[rustfmt::skip]
const NAMES: [&str; 60] = [
    "metallica", "rammstein", "coldplay", "beyonce", "adele", "eminem", "nirvana", "madonna", "shakira",
    "slayer", "muse", "blur", "oasis", "radiohead", "bjork", "sting", "prince", "cher", "abba", "kraftwerk",
    "stromae", "rosalia", "maneskin", "zucchero", "indochine", "taylor swift", "ed sheeran", "dua lipa",
    "billie eilish", "bruno mars", "lady gaga", "arctic monkeys", "pearl jam", "iron maiden", "depeche mode",
    "daft punk", "pink floyd", "foo fighters", "green day", "linkin park", "the cure", "the killers",
    "the national", "sigur ros", "die toten hosen", "helene fischer", "bad bunny", "bon jovi", "guns n roses",
    "swan lake", "the lion king", "hamilton", "wicked", "la traviata", "carmina burana", "cirque du soleil",
    "blue man group", "riverdance", "harlem globetrotters", "tickets for rihanna",
];

/// Keys that somebody hit.
const NO_WORDS: [&str; 12] = [
    "qwertz uiop",
    "asdf jkl",
    "zzzzzz",
    "xkcdxkcd",
    "hjkl",
    "wxyzwx abcabc",
    "aaaa bbbb cccc",
    "tickets for qwertz",
    "fghfgh",
    "лорпавы",
    "lkjhgf mnbvcx",
    "qqq www eee",
];

/// How many of them find something.
#[derive(Debug, Default)]
pub(super) struct Mistaken {
    pub(super) names: usize,
    /// Only where words were taken more loosely.
    pub(super) names_loosely: usize,
    pub(super) no_words: usize,
}

impl Mistaken {
    /// A line of the page.
    pub(super) fn told(&self) -> String {
        let Self {
            names,
            names_loosely,
            no_words,
        } = self;
        format!(
            "Of {} real performers and works, which aren't in it, {names} find something else, {names_loosely} of them\n\
             only because words were taken more loosely; of {} that are no words, {no_words}.\n",
            NAMES.len(),
            NO_WORDS.len()
        )
    }
}

pub(super) async fn mistaken(trial: &Trial) -> Mistaken {
    let mut mistaken = Mistaken::default();
    for q in NAMES.into_iter().chain(NO_WORDS) {
        let request = SearchShowsRequest {
            q: q.to_owned(),
            from_ms: Some(0),
            ..Default::default()
        };
        let found = trial.search(request).await.unwrap();
        let Some(first) = found.shows.first() else {
            continue;
        };
        let how = found.loosened.as_ref();
        println!(
            "{q:?} finds {:?} {:?} {how:?}",
            first.title, first.performers
        );
        match NAMES.contains(&q) {
            true => {
                mistaken.names += 1;
                mistaken.names_loosely += usize::from(how.is_some());
            }
            false => mistaken.no_words += 1,
        }
    }
    mistaken
}
