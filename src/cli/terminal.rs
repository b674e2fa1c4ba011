//! Where text goes: how wide it may be, whether it may have colour, and small pictures made of characters.

use std::io::IsTerminal as _;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

/// How wide text is where nobody knows better.
const WIDTH: usize = 80;
/// How wide it gets at most: longer lines are hard to read.
const WIDTH_MAX: usize = 160;
/// The heights of a sparkline.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// The parts of a bar's last character.
const PARTS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// How text may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Whether somebody looks at it: otherwise it is plain, for the next program.
    pub(super) pictures: bool,
    /// Whether it may have colour.
    pub(super) colour: bool,
    /// Characters of a line.
    pub(super) width: usize,
}

/// What may be said about it.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(super) struct LookArgs {
    /// Without colour; so it is also where standard output is no terminal
    #[arg(long, env = "NO_COLOR", value_parser = clap::builder::FalseyValueParser::new())]
    no_color: bool,
}

impl Look {
    /// Of standard output.
    pub(super) fn of(args: LookArgs) -> Self {
        let out = std::io::stdout();
        let terminal = out.is_terminal();
        let width = rustix::termios::tcgetwinsize(&out).ok().map(|size| usize::from(size.ws_col));
        let width = width.filter(|width| terminal && *width > 0).unwrap_or(WIDTH);
        Self { pictures: terminal, colour: terminal && !args.no_color, width: width.min(WIDTH_MAX) }
    }

    /// For another program, or a test.
    #[cfg(test)]
    pub(super) const PLAIN: Self = Self { pictures: false, colour: false, width: WIDTH };

    /// A text in the colour of a severity's rank (see [`crate::alerts::severity_rank`]).
    pub(super) fn severity(&self, rank: u8, text: &str) -> String {
        match (self.colour, rank) {
            (true, 3) => format!("\u{1b}[1;31m{text}\u{1b}[0m"),
            (true, 1 | 2) => format!("\u{1b}[33m{text}\u{1b}[0m"),
            _ => text.to_owned(),
        }
    }

    /// A bar as long as a share says, in percent; nothing where nobody looks.
    pub(super) fn bar(&self, percent: Decimal, length: usize) -> String {
        if !self.pictures {
            return String::new();
        }
        let eighths = percent.max(Decimal::ZERO).min(Decimal::ONE_HUNDRED)
            * Decimal::from(length.saturating_mul(8))
            / Decimal::ONE_HUNDRED;
        let eighths = eighths.round().to_usize().unwrap_or_default();
        let part = (eighths % 8).checked_sub(1).and_then(|part| PARTS.get(part));
        std::iter::repeat_n('█', eighths / 8).chain(part.copied()).collect()
    }

    /// A line of heights from zero to the greatest value; nothing where nobody looks. What is not known is a blank.
    pub(super) fn sparkline(&self, values: &[Option<Decimal>]) -> String {
        let most = values.iter().flatten().copied().max().unwrap_or_default();
        if !self.pictures || most <= Decimal::ZERO {
            return String::new();
        }
        let level = |value: &Option<Decimal>| {
            let Some(value) = value else { return ' ' };
            let steps = Decimal::from(LEVELS.len() - 1);
            let place = (value.max(&Decimal::ZERO) * steps / most).round().to_usize();
            LEVELS.get(place.unwrap_or_default()).copied().unwrap_or(' ')
        };
        values.iter().map(level).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEEN: Look = Look { pictures: true, colour: true, width: 80 };

    fn decimal(text: &str) -> Decimal {
        text.parse().expect(text)
    }

    #[test]
    fn a_bar_ends_with_a_part_of_a_character() {
        for (percent, want) in [
            ("0", ""),
            ("50", "████"),
            ("100", "████████"),
            ("53.2", "████▎"),
            ("900", "████████"),
            ("-1", ""),
        ] {
            assert_eq!(SEEN.bar(decimal(percent), 8), want, "{percent}");
        }
        assert_eq!(Look::PLAIN.bar(decimal("50"), 8), "");
    }

    #[test]
    fn a_sparkline_begins_at_zero() {
        let values =
            [Some("0"), Some("50"), None, Some("100"), Some("99")].map(|it| it.map(decimal));
        assert_eq!(SEEN.sparkline(&values), "▁▅ ██");
        assert_eq!(SEEN.sparkline(&[None, Some(Decimal::ZERO)]), "");
        assert_eq!(Look::PLAIN.sparkline(&values), "");
    }

    #[test]
    fn colour_is_for_those_who_see_it() {
        assert_eq!(SEEN.severity(3, "critical"), "\u{1b}[1;31mcritical\u{1b}[0m");
        assert_eq!(SEEN.severity(0, "info"), "info");
        assert_eq!(Look::PLAIN.severity(3, "critical"), "critical");
    }
}
