//! What is usual for a series at this hour of the week: the median of the weeks before, its spread, and on how many
//! weeks both rest.
//!
//! Pure. Time is cut into the hours that clocks in the rule's time zone show (`civil`), so the same hour a week before
//! is 168 hours before, over daylight saving too. Hours under way are kept with their series (`open`); an hour that is
//! over goes to the series' [`History`], a few bytes for each (`week`). `estimate` compares the window as it is with the
//! same stretch of the weeks before.
//!
//! An hour weighs nothing in which the rule's alert fired, in which tollbell was not ready ([`Outages`]), that the
//! clocks skipped or showed twice, or that was before the series began.

mod civil;
mod computed;
mod estimate;
mod history;
mod open;
mod outages;
mod past;
mod terms;
mod week;
mod words;

pub use self::history::History;
pub use self::open::OpenHours;
pub use self::outages::{OUTAGE_MIN, Outages};
pub use self::past::{Changed, Past};
use self::terms::WEEK_HOURS;
pub use self::terms::{Kept, Span, Terms, Usual, WEEKS_MAX, WEEKS_MIN};
pub use self::words::{factor, in_words};

#[cfg(test)]
mod tests;
