//! "Did you mean": the known word nearest to one that is not known.

/// Likeness (Jaro and Winkler, 0 to 1) from which a word is worth suggesting.
const LIKENESS_MIN: f64 = 0.8;

/// `did you mean …?`, when some known word is near.
pub(super) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    known
        .into_iter()
        .map(|known| (strsim::jaro_winkler(word, known), known))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| format!("did you mean `{known}`?"))
}
