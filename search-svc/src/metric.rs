//! Every metric's name.

/// Searches; label `outcome` (`found`, also where nothing was; `loosened`: found only taken more loosely;
/// `refused`, `failed`).
pub(crate) const SEARCHES: &str = "holdfast_search_searches_total";
/// How long the engine took for a search, in seconds.
pub(crate) const SEARCH_SECONDS: &str = "holdfast_search_seconds";
/// Segments of the embedded index that were asked; label `outcome` (`kept`: it had answered the same before,
/// and nothing of it changed; `made`).
pub(crate) const SEGMENT_ANSWERS: &str = "holdfast_search_segment_answers_total";
/// How long suggestions for what was typed took, in seconds.
pub(crate) const SUGGEST_SECONDS: &str = "holdfast_search_suggest_seconds";
/// From a change in the catalogue until it can be found, in seconds (SE-1).
pub(crate) const CHANGE_SECONDS: &str = "holdfast_search_change_seconds";
/// Shows put into or removed from the index; label `kind` (`put`, `removed`).
pub(crate) const SHOWS_WRITTEN: &str = "holdfast_search_shows_written_total";
/// Age of the oldest change that can't be found yet, in seconds; 0 with none (SE-1).
pub(crate) const LAG_SECONDS: &str = "holdfast_search_lag_seconds";
/// 1 while an index is being built anew.
pub(crate) const BUILDING: &str = "holdfast_search_index_building";
/// Indexes built anew; label `outcome` (`built`, `failed`).
pub(crate) const REBUILDS: &str = "holdfast_search_rebuilds_total";
