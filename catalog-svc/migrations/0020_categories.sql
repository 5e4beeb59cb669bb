-- What kinds of events there are, as a tree that admins change. Events name one of it by its slug. The
-- previous release goes on working: it writes any word, and an event of a word that isn't here belongs to
-- nothing else.
CREATE TABLE catalog.categories (
    slug   text PRIMARY KEY CHECK (slug ~ '^[a-z][a-z0-9-]*$' AND length(slug) <= 32),
    parent text REFERENCES catalog.categories,
    name   text NOT NULL CHECK (name <> ''),
    -- What it belongs to from the broadest on, and itself: follows from the parents, and is written with
    -- them.
    path   text[] NOT NULL CHECK (path[cardinality(path)] = slug)
);
CREATE INDEX categories_of_parent ON catalog.categories (parent);

-- Whose events' shows are to be told as changed, and up to which event that is done.
CREATE TABLE catalog.category_news (
    slug           text PRIMARY KEY REFERENCES catalog.categories ON DELETE CASCADE,
    after_event_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);

CREATE INDEX events_of_category ON catalog.events (category, event_id);

INSERT INTO catalog.categories (slug, parent, name, path)
SELECT slug, parent, name, CASE WHEN parent IS NULL THEN ARRAY[slug] ELSE ARRAY[parent, slug] END
FROM (VALUES
    ('music', NULL, 'Music'),
    ('music-alternative', 'music', 'Alternative'),
    ('music-blues', 'music', 'Blues'),
    ('music-childrens-music', 'music', 'Children''s Music'),
    ('music-classical', 'music', 'Classical'),
    ('music-country', 'music', 'Country'),
    ('music-dance-electronic', 'music', 'Dance/Electronic'),
    ('music-electronic', 'music', 'Electronic'),
    ('music-folk', 'music', 'Folk'),
    ('music-hip-hop-rap', 'music', 'Hip-Hop/Rap'),
    ('music-holiday', 'music', 'Holiday'),
    ('music-jazz', 'music', 'Jazz'),
    ('music-latin', 'music', 'Latin'),
    ('music-metal', 'music', 'Metal'),
    ('music-musical', 'music', 'Musical'),
    ('music-new-age', 'music', 'New Age'),
    ('music-pop', 'music', 'Pop'),
    ('music-r-b', 'music', 'R&B'),
    ('music-reggae', 'music', 'Reggae'),
    ('music-religious', 'music', 'Religious'),
    ('music-rock', 'music', 'Rock'),
    ('music-world', 'music', 'World'),
    ('sports', NULL, 'Sports'),
    ('sports-aquatics', 'sports', 'Aquatics'),
    ('sports-athletic-races', 'sports', 'Athletic Races'),
    ('sports-badminton', 'sports', 'Badminton'),
    ('sports-baseball', 'sports', 'Baseball'),
    ('sports-basketball', 'sports', 'Basketball'),
    ('sports-biathlon', 'sports', 'Biathlon'),
    ('sports-boxing', 'sports', 'Boxing'),
    ('sports-cricket', 'sports', 'Cricket'),
    ('sports-curling', 'sports', 'Curling'),
    ('sports-cycling', 'sports', 'Cycling'),
    ('sports-esports', 'sports', 'eSports'),
    ('sports-equestrian', 'sports', 'Equestrian'),
    ('sports-fencing', 'sports', 'Fencing'),
    ('sports-field-hockey', 'sports', 'Field Hockey'),
    ('sports-football', 'sports', 'Football'),
    ('sports-golf', 'sports', 'Golf'),
    ('sports-gymnastics', 'sports', 'Gymnastics'),
    ('sports-handball', 'sports', 'Handball'),
    ('sports-hockey', 'sports', 'Hockey'),
    ('sports-ice-hockey', 'sports', 'Ice Hockey'),
    ('sports-ice-skating', 'sports', 'Ice Skating'),
    ('sports-lacrosse', 'sports', 'Lacrosse'),
    ('sports-martial-arts', 'sports', 'Martial Arts'),
    ('sports-motorsports-racing', 'sports', 'Motorsports/Racing'),
    ('sports-rodeo', 'sports', 'Rodeo'),
    ('sports-rugby', 'sports', 'Rugby'),
    ('sports-skiing', 'sports', 'Skiing'),
    ('sports-soccer', 'sports', 'Soccer'),
    ('sports-surfing', 'sports', 'Surfing'),
    ('sports-table-tennis', 'sports', 'Table Tennis'),
    ('sports-tennis', 'sports', 'Tennis'),
    ('sports-track-field', 'sports', 'Track & Field'),
    ('sports-volleyball', 'sports', 'Volleyball'),
    ('sports-wrestling', 'sports', 'Wrestling'),
    ('arts-theatre', NULL, 'Arts & Theatre'),
    ('arts-theatre-childrens-theatre', 'arts-theatre', 'Children''s Theatre'),
    ('arts-theatre-circus', 'arts-theatre', 'Circus'),
    ('arts-theatre-classical', 'arts-theatre', 'Classical'),
    ('arts-theatre-comedy', 'arts-theatre', 'Comedy'),
    ('arts-theatre-cultural', 'arts-theatre', 'Cultural'),
    ('arts-theatre-dance', 'arts-theatre', 'Dance'),
    ('arts-theatre-drama', 'arts-theatre', 'Drama'),
    ('arts-theatre-fine-art', 'arts-theatre', 'Fine Art'),
    ('arts-theatre-magic-illusion', 'arts-theatre', 'Magic & Illusion'),
    ('arts-theatre-musical', 'arts-theatre', 'Musical'),
    ('arts-theatre-opera', 'arts-theatre', 'Opera'),
    ('arts-theatre-performance-art', 'arts-theatre', 'Performance Art'),
    ('arts-theatre-puppetry', 'arts-theatre', 'Puppetry'),
    ('arts-theatre-spectacular', 'arts-theatre', 'Spectacular'),
    ('arts-theatre-theatre', 'arts-theatre', 'Theatre'),
    ('arts-theatre-variety', 'arts-theatre', 'Variety'),
    ('film', NULL, 'Film'),
    ('film-action-adventure', 'film', 'Action/Adventure'),
    ('film-animation', 'film', 'Animation'),
    ('film-comedy', 'film', 'Comedy'),
    ('film-documentary', 'film', 'Documentary'),
    ('film-drama', 'film', 'Drama'),
    ('film-family', 'film', 'Family'),
    ('film-horror', 'film', 'Horror'),
    ('film-science-fiction', 'film', 'Science Fiction'),
    ('family', NULL, 'Family'),
    ('family-childrens-theatre', 'family', 'Children''s Theatre'),
    ('family-circus', 'family', 'Circus'),
    ('family-fairs', 'family', 'Fairs'),
    ('family-ice-shows', 'family', 'Ice Shows'),
    ('family-puppetry', 'family', 'Puppetry'),
    ('family-zoo', 'family', 'Zoo'),
    ('miscellaneous', NULL, 'Miscellaneous'),
    ('miscellaneous-community', 'miscellaneous', 'Community'),
    ('miscellaneous-fairs-festivals', 'miscellaneous', 'Fairs & Festivals'),
    ('miscellaneous-food-drink', 'miscellaneous', 'Food & Drink'),
    ('miscellaneous-lecture-seminar', 'miscellaneous', 'Lecture/Seminar'),
    ('miscellaneous-science', 'miscellaneous', 'Science'),
    ('other', NULL, 'Other')
) AS seed (slug, parent, name);

-- What events are of already stands beside them, until an admin puts it where it belongs.
INSERT INTO catalog.categories (slug, parent, name, path)
SELECT DISTINCT category, NULL, initcap(replace(category, '-', ' ')), ARRAY[category]
FROM catalog.events
WHERE length(category) <= 32
ON CONFLICT (slug) DO NOTHING;
