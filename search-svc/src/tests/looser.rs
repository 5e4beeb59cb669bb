//! Questions that nothing fits as they were asked: what is found then, and how often an index is asked.

use std::sync::atomic::Ordering;

use super::{
    catching_up::Watched,
    recorded::built,
    replay::{Replay, recorded},
    shows::{DAY_MS, START_MS, all, fill, near, puts, show, text},
};
use crate::{
    facet::Facet,
    index::{Found, Index, Total},
    looser::{
        self, Answer, Asked,
        Looseness::{self, AsAsked, Misspelt, WithoutArticles, WithoutAsking},
    },
    query::{Price, Query},
};

/// A first page: `query` with the words of `q`.
fn first_page(query: Query, q: &str) -> Asked {
    let Query {
        words,
        text,
        pairs,
        sort,
        ..
    } = text(q);
    Asked {
        query: Query {
            words,
            text,
            pairs,
            sort,
            ..query
        },
        q: q.to_owned(),
        taken: None,
        question: 0,
        now_ms: 0,
    }
}

async fn answer(index: &impl Index, asked: &Asked) -> Answer {
    looser::search(index, asked).await.unwrap()
}

/// Numbers of the shows that are found, and how the words were taken.
async fn found(index: &impl Index, asked: &Asked) -> (Vec<u8>, Looseness) {
    let answer = answer(index, asked).await;
    let shows = answer.found.shows.iter();
    let numbers = shows.map(|show| show.show_id[0]).collect();
    (numbers, answer.looseness)
}

/// Of any engine.
pub(super) async fn what_nothing_fits_is_taken_more_loosely(index: &impl Index) {
    words_that_only_ask_need_not_be_there(index).await;
    words_are_found_by_their_beginnings(index).await;
    filters_make_nothing_looser(index).await;
    a_looser_question_is_counted_and_paged_as_any(index).await;
    if !is_spelt_looser(index) {
        return;
    }
    words_that_no_show_has_may_be_misspelt_more(index).await;
    what_is_spelt_as_something_is_not_taken_for_something_else(index).await;
}

fn is_spelt_looser<I: Index>(_: &I) -> bool {
    I::SPELLS_LOOSER
}

async fn words_that_only_ask_need_not_be_there(index: &impl Index) {
    let shows = [
        show(1, "Silent Owls"),
        show(2, "Hugo Dimitrov and Friends").with(&["Hugo Dimitrov"]),
        show(3, "Who Knows"),
        show(4, "The Who").with(&["The Who"]),
        show(5, "When in Rome"),
        show(6, "The The"),
        show(7, "Play"),
        show(8, "Die Ärzte"),
        show(10, "Кино"),
        show(11, "Gala").at("The Hague", 52.07, 4.3),
        show(12, "Night Larks").described("Thursday January 2027"),
        show(13, "Night Larks").described("Saturday weekend January 2027"),
        show(20, "Night Larks").described("Saturday weekend January 2027"),
    ];
    fill(index, shows).await;
    for (meant, q, first, looseness) in [
        ("the band", "silent owls", 1, AsAsked),
        ("the other band", "the who", 4, AsAsked),
        ("that title", "When in Rome", 5, AsAsked),
        ("a name that only asks", "The The", 6, AsAsked),
        ("another", "play", 7, AsAsked),
        ("tickets", "tickets for Silent Owls", 1, WithoutAsking),
        (
            "tickets",
            "silent owls concert tickets near me",
            1,
            WithoutAsking,
        ),
        ("tickets", "buy silent owls seats", 1, WithoutAsking),
        (
            "tickets, not yet typed out",
            "silent owls tick",
            1,
            WithoutAsking,
        ),
        ("when", "when does Hugo Dimitrov play?", 2, WithoutAsking),
        ("when that band", "when does The Who play", 4, WithoutAsking),
        ("there", "silent owls in berlin", 1, WithoutAsking),
        ("there", "gala tickets the hague", 11, WithoutAsking),
        (
            "the next one",
            "night larks this weekend",
            13,
            WithoutAsking,
        ),
        (
            "the next one",
            "night larks coming saturday",
            13,
            WithoutAsking,
        ),
        ("in German", "Karten für Die Ärzte", 8, WithoutAsking),
        ("in French", "billets pour Silent Owls", 1, WithoutAsking),
        ("in Spanish", "cuándo toca Hugo Dimitrov", 2, WithoutAsking),
        ("in Russian", "билеты на кино", 10, WithoutAsking),
        (
            "the band without its article",
            "the silent owls",
            1,
            WithoutArticles,
        ),
        (
            "tickets, after more words than count",
            "where can i get to buy cheap tickets for the concert of the silent owls",
            1,
            WithoutArticles,
        ),
    ] {
        let (numbers, taken) = found(index, &first_page(all(), q)).await;
        assert_eq!(
            (numbers.first(), taken),
            (Some(&first), looseness),
            "{meant}: {q}: {numbers:?}"
        );
    }
    for q in [
        "qwertz uiop",
        "tickets",
        "tickets near me",
        "tickets for qwertz",
        "when does qwertz uiop play",
        "silent owls tonight",
        "北京 門票",
    ] {
        let nothing = (Vec::new(), AsAsked);
        assert_eq!(found(index, &first_page(all(), q)).await, nothing, "{q}");
    }
}

/// Of any engine that takes Japanese apart.
pub(super) async fn who_asks_in_japanese_is_answered(index: &impl Index) {
    fill(index, [show(1, "東京事変ライブ"), show(2, "Кино")]).await;
    let asked = first_page(all(), "東京事変 チケット");
    assert_eq!(found(index, &asked).await, (vec![1], WithoutAsking));
}

/// But of one of a few letters that isn't being typed any more.
async fn words_are_found_by_their_beginnings(index: &impl Index) {
    let shows = [
        show(1, "Airport Blues"),
        show(2, "Weihnachtsoratorium"),
        show(3, "방탄소년단"),
    ];
    fill(index, shows).await;
    for (q, first) in [
        ("air", Some(1)),
        ("air tickets", None),
        ("Weihnacht Karten", Some(2)),
        ("방탄 티켓", Some(3)),
    ] {
        let (found, _) = found(index, &first_page(all(), q)).await;
        assert_eq!(found.first().copied(), first, "{q}");
    }
}

async fn filters_make_nothing_looser(index: &impl Index) {
    let hamburg = |number, title| show(number, title).at("Hamburg", 53.55, 9.99);
    let shows = [
        show(1, "The Who"),
        show(2, "Horizons"),
        show(3, "Silent Owls"),
        hamburg(4, "Who Knows").in_category("comedy"),
        hamburg(5, "Horns"),
        hamburg(6, "Silent Owls"),
    ];
    fill(index, shows).await;
    let city = |city: &str| Query {
        city: Some(city.to_owned()),
        ..all()
    };
    let of_days = |from, to| Query {
        from_ms: START_MS + from * DAY_MS,
        to_ms: Some(START_MS + to * DAY_MS),
        ..all()
    };
    let dear = Query {
        price: Some(Price {
            currency: "EUR".to_owned(),
            min: Some(1_000_000),
            max: None,
        }),
        ..all()
    };
    let comedy = Query {
        category: Some("comedy".to_owned()),
        ..all()
    };
    for (q, query, expected, looseness) in [
        ("the who", city("berlin"), &[1][..], AsAsked),
        ("horizns", city("berlin"), &[2], AsAsked),
        ("tickets silent owls", city("berlin"), &[3], WithoutAsking),
        ("tickets silent owls", city("hamburg"), &[6], WithoutAsking),
        // It is on, but not so: what else has a part of the name isn't meant.
        ("the who", city("hamburg"), &[], AsAsked),
        ("the who tickets", city("hamburg"), &[], AsAsked),
        ("the who", comedy, &[], AsAsked),
        ("the who", of_days(3, 5), &[], AsAsked),
        ("the who", near(53.55, 9.99, 1_000), &[], AsAsked),
        ("horizns", city("hamburg"), &[], AsAsked),
        ("tickets silent owls", city("bonn"), &[], AsAsked),
        ("tickets silent owls", dear, &[], AsAsked),
    ] {
        let asked = Asked {
            now_ms: START_MS,
            ..first_page(query, q)
        };
        let expected = (expected.to_vec(), looseness);
        assert_eq!(found(index, &asked).await, expected, "{:?}", asked.query);
    }
}

async fn a_looser_question_is_counted_and_paged_as_any(index: &impl Index) {
    let mut shows: Vec<_> = (1..=25).map(|number| show(number, "Silent Owls")).collect();
    shows.push(show(26, "Other Owls"));
    fill(index, shows).await;
    let page = Query {
        facets: vec![Facet::City],
        limit: 10,
        ..all()
    };
    let asked = first_page(page, "tickets for silent owls");
    let first = answer(index, &asked).await;
    assert_eq!(first.looseness, WithoutAsking);
    // As the same without those words.
    let plain = answer(index, &first_page(asked.query.clone(), "silent owls")).await;
    let with_its_tag = Found {
        tag: first.found.tag.clone(),
        ..plain.found
    };
    assert_eq!(first.found, with_its_tag);
    let known = Query {
        known: first.found.tag.clone(),
        ..asked.query.clone()
    };
    let again = answer(index, &first_page(known, "tickets for silent owls")).await;
    assert_eq!(again.found.unchanged, !first.found.tag.is_empty());
    assert_eq!(again.looseness, WithoutAsking);
    let (Total::Exact(total) | Total::Estimated(total)) = first.found.total;
    assert_eq!((total, first.found.more), (25, true));
    let mut numbers = Vec::new();
    for offset in [0, 10, 20, 30] {
        let next = Asked {
            query: Query {
                offset,
                ..first.query.clone()
            },
            taken: Some(WithoutAsking),
            ..first_page(all(), "tickets for silent owls")
        };
        let (of_page, looseness) = found(index, &next).await;
        assert_eq!(looseness, WithoutAsking);
        numbers.extend(of_page);
    }
    assert_eq!(numbers, (1..=25).collect::<Vec<u8>>());
}

async fn words_that_no_show_has_may_be_misspelt_more(index: &impl Index) {
    let shows = [
        show(1, "Spring Tour").with(&["Kofi Moreau"]),
        show(2, "Nora Nakajima"),
        show(3, "The Paper Arrows"),
        show(4, "Виктория Оркестр"),
    ];
    fill(index, shows).await;
    for (meant, q, first) in [
        ("him, wrong at two letters", "koofii mreau", 1),
        ("her, wrong at a short word", "ora nakjaima", 2),
        ("them, wrong and half typed", "the paper arrr", 3),
        (
            "them, asking for tickets",
            "tickets for the paapeer arrrows",
            3,
        ),
        ("him, asking when", "when does koofii mreau play", 1),
        ("them, in Cyrillic", "викттря аркестр", 4),
    ] {
        let (numbers, looseness) = found(index, &first_page(all(), q)).await;
        assert_eq!(
            (numbers.first(), looseness),
            (Some(&first), Misspelt),
            "{meant}: {q}"
        );
    }
}

async fn what_is_spelt_as_something_is_not_taken_for_something_else(index: &impl Index) {
    let shows = [
        show(1, "Silver Owls").at("Bergen", 60.39, 5.32),
        show(2, "Silent Kites"),
        show(3, "Quartz Trio").described("With a slayer."),
        show(4, "Prayer").at("Seoul", 37.56, 126.97),
        show(5, "아이돌"),
        show(6, "The Who").described("In the evening, Friday June 2027 weekend"),
    ];
    fill(index, shows).await;
    for q in [
        // Each word is one that a show has, so that no other is meant.
        "silent owls",
        "silver owls berlin",
        "slayer seoul",
        // Not more than so many mistakes, none in numbers, and none where a letter is a syllable.
        "xilwex owls",
        // Alone it would be anything.
        "qwertz",
        "qwer",
        "abc",
        "silver 2027",
        "아이유",
        "qwertz uiop",
        // Names that are like days and months.
        "the who pune",
        "the weeknd",
    ] {
        let nothing = (Vec::new(), AsAsked);
        assert_eq!(found(index, &first_page(all(), q)).await, nothing, "{q}");
    }
}

#[tokio::test]
async fn an_index_is_asked_again_only_where_nothing_fits_and_a_few_times() {
    let dir = tempfile::tempdir().unwrap();
    let index = Watched::open(dir.path());
    index.begin_next().await.unwrap();
    let shows = [show(1, "The Silent Owls"), show(2, "東京事変")];
    index.write_next(puts(shows)).await.unwrap();
    index.swap().await.unwrap();
    let in_bonn = || Query {
        city: Some("bonn".to_owned()),
        ..all()
    };
    for (q, query, times) in [
        ("silent owls", all(), 1),
        ("", all(), 1),
        ("", in_bonn(), 1),
        // No looser way asks anything else.
        ("北京", in_bonn(), 1),
        ("tickets", in_bonn(), 1),
        ("tickets silent owls", all(), 2),
        ("qwertz uiop", all(), 2),
        ("silent owls", in_bonn(), 2),
        ("qwertz uiop", in_bonn(), 3),
        ("tickets for the qwertz uiop", all(), 4),
        ("tickets for the qwertz uiop", in_bonn(), 7),
    ] {
        index.asked.store(0, Ordering::Relaxed);
        let asked = first_page(query, q);
        answer(&*index, &asked).await;
        let came = index.asked.load(Ordering::Relaxed);
        assert_eq!(came, times, "{:?}", asked.query);
    }
    // A page that goes on is what it is, also where nothing is left of it.
    let next = Asked {
        query: Query {
            offset: 20,
            ..text("tickets silent owls")
        },
        taken: Some(AsAsked),
        ..first_page(all(), "tickets silent owls")
    };
    assert_eq!(found(&*index, &next).await, (Vec::new(), AsAsked));
}

#[tokio::test]
async fn a_meilisearch_is_asked_without_the_words_that_only_ask() {
    let replay = Replay::start().await;
    let meili = built(&replay).await;
    replay.expect([(); 4].map(|()| recorded("search, nothing found")));
    let in_bonn = Query {
        city: Some("bonn".to_owned()),
        ..all()
    };
    let asked = first_page(in_bonn, "Tickets für Zzzz, when?");
    let nothing = (Vec::new(), AsAsked);
    assert_eq!(found(&meili, &asked).await, nothing);
    assert_eq!(
        found(&meili, &first_page(all(), "koofii mreau")).await,
        nothing
    );
    let bodies = replay.came();
    let questions: Vec<(&str, &str)> = bodies
        .iter()
        .map(|body| {
            (
                body["q"].as_str().unwrap(),
                body["filter"].as_str().unwrap(),
            )
        })
        .collect();
    let [everywhere, in_bonn] = [
        "starts_at_ms >= 0",
        "starts_at_ms >= 0 AND city_key = \"bonn\"",
    ];
    let expected = [
        ("Tickets für Zzzz when", in_bonn),
        ("Tickets für Zzzz when", everywhere),
        // Its last word is whole.
        ("Zzzz ", in_bonn),
        // It doesn't go by how words may be spelt.
        ("koofii mreau", everywhere),
    ];
    assert_eq!(questions, expected);
}
