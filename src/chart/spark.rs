//! Small pictures beside a number; what they show stands in words next to them.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

use super::scale::Scale;
use super::text::Markup;

const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 24.0;

/// A line without axes, from the first value at the left to the last at the right; nothing for fewer than two.
pub fn sparkline(values: &[Decimal]) -> String {
    let steps = values.len().saturating_sub(1);
    if steps == 0 {
        return String::new();
    }
    let scale = Scale::new(values.iter().copied(), HEIGHT - 2.0, 2.0);
    let step = WIDTH / f64::from(u32::try_from(steps).unwrap_or(u32::MAX));
    let mut markup = Markup::default();
    markup.add(format_args!(
        r#"<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true" focusable="false"><path class="c-line" d=""#
    ));
    let mut x = 0.0;
    for (at, value) in values.iter().enumerate() {
        let pen = if at == 0 { 'M' } else { 'L' };
        markup.add(format_args!("{pen}{x:.1} {:.1}", scale.at(*value)));
        x += step;
    }
    markup.add(format_args!(r#""/></svg>"#));
    markup.finish()
}

/// A bar that is filled as far as a share says, in percent from 0 to 100.
pub fn share(percent: Decimal) -> String {
    let width = percent.to_f64().unwrap_or_default().clamp(0.0, 100.0);
    let mut markup = Markup::default();
    markup.add(format_args!(
        r#"<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" focusable="false"><rect class="c-track" width="100" height="8"/><rect class="c-s1" width="{width:.1}" height="8"/></svg>"#
    ));
    markup.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_goes_from_edge_to_edge() {
        let values: Vec<Decimal> = [0, 10, 5].map(Decimal::from).into();
        assert!(sparkline(&values).contains("M0.0 22.0L60.0 2.0L120.0 12.0"));
        assert_eq!(sparkline(&values[..1]), "");
    }

    #[test]
    fn a_share_stays_within_its_bar() {
        for (percent, want) in [("-3", "0.0"), ("47.25", "47.2"), ("1000", "100.0")] {
            let svg = share(percent.parse().expect("decimal"));
            assert!(svg.contains(&format!(r#"width="{want}""#)), "{svg}");
        }
    }
}
