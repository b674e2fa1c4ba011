//! Charts as SVG text: a line with its forecast, stacked bars, a sparkline, a share; and as PNG for mails ([`picture`]).
//!
//! Pure. Receives exact values, and prints them as they are in labels; only where a point lies on the picture is
//! computed in floating point. A chart is drawn twice, wide and narrow, since text must not be scaled; the stylesheet
//! chooses by the width of the place. Colours and strokes are classes of that stylesheet (`c-…`), so both themes fit and
//! no style stands in the markup. Each has a title, a description that says what it shows, and its values as rows.

mod bars;
mod line;
mod picture;
mod scale;
mod spark;
mod text;

pub use bars::{Bar, Bars};
pub use line::{Forecast, Limit, Line, Mark, Point, Span};
pub use picture::{Hours, Picture};
pub use spark::{share, sparkline};
pub use text::{amount_text, figure_text, hours_text};

/// A chart, ready to stand in a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// The `svg` elements, the wide one first.
    pub svg: String,
    /// What the columns of `rows` are.
    pub headings: Vec<String>,
    /// The values, for those who would rather read them.
    pub rows: Vec<Vec<String>>,
}

/// How wide a chart is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Width {
    Wide,
    Narrow,
}

impl Width {
    pub(crate) const BOTH: [Self; 2] = [Self::Wide, Self::Narrow];

    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Narrow => "narrow",
        }
    }
}
