//! The words that made-up things are called by.

use super::dice::Dice;

/// A kind of event: segment, category, genres, and how many of a hundred are of it.
pub(super) struct Kind {
    pub(super) segment: &'static str,
    pub(super) category: &'static str,
    pub(super) genres: &'static [&'static str],
    percent: u64,
}

/// Together a hundred.
const KINDS: [Kind; 5] = [
    Kind {
        segment: "Music",
        category: "music",
        genres: &[
            "Rock",
            "Pop",
            "Jazz",
            "Classical",
            "Hip-Hop/Rap",
            "Country",
            "Electronic",
            "Folk",
            "Metal",
        ],
        percent: 45,
    },
    Kind {
        segment: "Sports",
        category: "sports",
        genres: &[
            "Football",
            "Basketball",
            "Ice Hockey",
            "Handball",
            "Volleyball",
        ],
        percent: 20,
    },
    Kind {
        segment: "Arts & Theatre",
        category: "arts-theatre",
        genres: &[
            "Drama",
            "Comedy",
            "Opera",
            "Dance",
            "Musical",
            "Magic & Illusion",
        ],
        percent: 22,
    },
    Kind {
        segment: "Film",
        category: "film",
        genres: &[
            "Documentary",
            "Science Fiction",
            "Animation",
            "Silent with Orchestra",
        ],
        percent: 6,
    },
    Kind {
        segment: "Family",
        category: "family",
        genres: &["Circus", "Puppetry", "Ice Shows", "Children's Theatre"],
        percent: 7,
    },
];

pub(super) fn kind(dice: &mut Dice) -> &'static Kind {
    let mut rolled = dice.below(100);
    for kind in &KINDS {
        if rolled < kind.percent {
            return kind;
        }
        rolled -= kind.percent;
    }
    &KINDS[0]
}

const ADJECTIVES: [&str; 48] = [
    "Amber",
    "Ancient",
    "Blue",
    "Borrowed",
    "Brave",
    "Bright",
    "Broken",
    "Burning",
    "Distant",
    "Electric",
    "Empty",
    "Endless",
    "Fading",
    "Foreign",
    "Forgotten",
    "Frozen",
    "Gentle",
    "Gilded",
    "Golden",
    "Hidden",
    "Hollow",
    "Iron",
    "Lonely",
    "Lost",
    "Loud",
    "Lucky",
    "Midnight",
    "Northern",
    "Painted",
    "Paper",
    "Patient",
    "Quiet",
    "Restless",
    "Roaring",
    "Rusty",
    "Sacred",
    "Salt",
    "Scarlet",
    "Secret",
    "Silent",
    "Silver",
    "Sleepless",
    "Southern",
    "Stolen",
    "Velvet",
    "Wandering",
    "Wild",
    "Winter",
];
const NOUNS: [&str; 60] = [
    "Anchors",
    "Arrows",
    "Birds",
    "Bridges",
    "Candles",
    "Carousels",
    "Cathedrals",
    "Clouds",
    "Comets",
    "Corners",
    "Crowns",
    "Deserts",
    "Doors",
    "Echoes",
    "Engines",
    "Falcons",
    "Fires",
    "Foxes",
    "Gardens",
    "Ghosts",
    "Giants",
    "Harbours",
    "Horizons",
    "Horses",
    "Islands",
    "Kites",
    "Lanterns",
    "Letters",
    "Lights",
    "Lions",
    "Machines",
    "Maps",
    "Meadows",
    "Mirrors",
    "Mountains",
    "Oceans",
    "Orchards",
    "Owls",
    "Parades",
    "Pilots",
    "Planets",
    "Poets",
    "Rivers",
    "Rooftops",
    "Sailors",
    "Satellites",
    "Shadows",
    "Signals",
    "Sparrows",
    "Stations",
    "Storms",
    "Strangers",
    "Streets",
    "Thieves",
    "Tides",
    "Towers",
    "Trains",
    "Waves",
    "Windows",
    "Wolves",
];
const GIVEN: [&str; 64] = [
    "Ada", "Aiko", "Alma", "Amara", "Anders", "Anouk", "Arjun", "Astrid", "Bao", "Bela", "Bruno",
    "Camila", "Carmen", "Chidi", "Clara", "Dario", "Dilan", "Edith", "Elif", "Emil", "Esther",
    "Farah", "Felix", "Freya", "Gita", "Hana", "Hugo", "Ines", "Ivo", "Jonas", "Juno", "Kaito",
    "Kofi", "Lea", "Leila", "Lucia", "Luka", "Maren", "Mateo", "Mila", "Milan", "Nadia", "Nils",
    "Noor", "Olga", "Omar", "Otto", "Paloma", "Petra", "Rafael", "Rosa", "Samir", "Selma", "Sofia",
    "Sven", "Tariq", "Thea", "Tomas", "Uma", "Vera", "Viktor", "Yara", "Zeno", "Zora",
];
const FAMILY: [&str; 72] = [
    "Abara",
    "Acheson",
    "Aldana",
    "Amsel",
    "Arroyo",
    "Bakker",
    "Balogun",
    "Bergqvist",
    "Bianchi",
    "Brandt",
    "Castellan",
    "Chaudhry",
    "Coates",
    "Dahl",
    "Delacroix",
    "Dimitrov",
    "Duarte",
    "Eklund",
    "Fairweather",
    "Falk",
    "Farkas",
    "Ferreira",
    "Fontaine",
    "Galvez",
    "Goldammer",
    "Grimaldi",
    "Hallberg",
    "Haruki",
    "Hollander",
    "Ibarra",
    "Ikeda",
    "Jansen",
    "Jelinek",
    "Kaplan",
    "Karimi",
    "Kestrel",
    "Kowalczyk",
    "Lindqvist",
    "Lombardi",
    "Maduro",
    "Marchetti",
    "Mbeki",
    "Mercer",
    "Mishra",
    "Moreau",
    "Nakajima",
    "Nasser",
    "Novotny",
    "Oduya",
    "Okafor",
    "Olander",
    "Ostrova",
    "Paixao",
    "Pereira",
    "Quist",
    "Rahimi",
    "Rasmussen",
    "Renard",
    "Rosetti",
    "Sandoval",
    "Santoro",
    "Sato",
    "Schilling",
    "Serrano",
    "Sokolov",
    "Tanaka",
    "Thorne",
    "Valente",
    "Varga",
    "Vestergaard",
    "Wexler",
    "Zielinski",
];
const ENSEMBLES: [&str; 14] = [
    "Band",
    "Brass",
    "Choir",
    "Club",
    "Collective",
    "Company",
    "Ensemble",
    "Experience",
    "Orchestra",
    "Project",
    "Quartet",
    "Society",
    "Trio",
    "Union",
];
const TEAMS: [&str; 24] = [
    "Albatrosses",
    "Badgers",
    "Bears",
    "Bulls",
    "Comets",
    "Cranes",
    "Dragons",
    "Eagles",
    "Flames",
    "Hawks",
    "Herons",
    "Hornets",
    "Jaguars",
    "Knights",
    "Lynxes",
    "Mammoths",
    "Ravens",
    "Rockets",
    "Rovers",
    "Sharks",
    "Stallions",
    "Thunder",
    "Tigers",
    "Wanderers",
];
const TOURS: [&str; 12] = [
    "Tour",
    "World Tour",
    "Live",
    "Unplugged",
    "In Concert",
    "Summer Nights",
    "Homecoming",
    "Anniversary Tour",
    "Farewell",
    "Acoustic Evening",
    "Album Release",
    "Encore",
];
const STREETS: [&str; 24] = [
    "Bridge Street",
    "Canal Street",
    "Castle Road",
    "Cedar Avenue",
    "Central Square",
    "Church Lane",
    "Factory Road",
    "Garden Street",
    "Harbour Road",
    "High Street",
    "Hill Road",
    "King Street",
    "Lake Avenue",
    "Long Street",
    "Market Square",
    "Mill Lane",
    "New Street",
    "Old Town Square",
    "Park Avenue",
    "Queen Street",
    "River Road",
    "Station Road",
    "Theatre Square",
    "West Street",
];
/// By size of the hall: up to so many seats.
const HOUSES: [(u32, &[&str]); 4] = [
    (
        1_500,
        &[
            "Theatre",
            "Playhouse",
            "Club",
            "Old Brewery",
            "Opera House",
            "Music Hall",
        ],
    ),
    (
        6_000,
        &[
            "Concert Hall",
            "Auditorium",
            "Civic Hall",
            "Palace",
            "Forum",
        ],
    ),
    (20_000, &["Arena", "Dome", "Sports Hall", "Exhibition Hall"]),
    (
        u32::MAX,
        &["Stadium", "Park Stadium", "National Stadium", "Bowl"],
    ),
];

fn two(dice: &mut Dice) -> String {
    format!("{} {}", dice.pick(&ADJECTIVES), dice.pick(&NOUNS))
}

fn person(dice: &mut Dice) -> String {
    format!("{} {}", dice.pick(&GIVEN), dice.pick(&FAMILY))
}

/// Who is on, of a kind; `city` is where a team is from.
pub(super) fn performer(kind: &Kind, city: &str, dice: &mut Dice) -> String {
    if kind.category == "sports" {
        return format!("{city} {}", dice.pick(&TEAMS));
    }
    match dice.below(4) {
        0 => format!("The {}", two(dice)),
        1 => person(dice),
        2 => format!("{} {}", two(dice), dice.pick(&ENSEMBLES)),
        _ => format!("{} & the {}", person(dice), dice.pick(&NOUNS)),
    }
}

/// What is on, of a kind, with that performer; `city` is where a guest is from.
pub(super) fn title(kind: &Kind, performer: &str, city: &str, dice: &mut Dice) -> String {
    match kind.category {
        "music" => format!("{performer}: {} {}", two(dice), dice.pick(&TOURS)),
        "sports" => format!("{performer} – {city} {}", dice.pick(&TEAMS)),
        "film" => format!("{} (with {performer})", two(dice)),
        _ => format!("{performer}: The {}", two(dice)),
    }
}

pub(super) fn venue(city: &str, seats: u32, dice: &mut Dice) -> String {
    let houses = HOUSES.iter().find(|(most, _)| seats <= *most);
    let house = dice.pick(houses.map_or(&["Hall"][..], |(_, houses)| houses));
    match dice.below(3) {
        0 => format!("{city} {house}"),
        1 => format!("{} {house}", dice.pick(&FAMILY)),
        _ => format!("{} {house} {city}", dice.pick(&ADJECTIVES)),
    }
}

pub(super) fn address(dice: &mut Dice) -> String {
    format!("{} {}", dice.pick(&STREETS), dice.between(1, 240))
}
