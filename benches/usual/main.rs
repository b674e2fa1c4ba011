//! What `usual` is worth and what it costs: `cargo bench --bench usual`.
//!
//! Without arguments, the shipped rule `usual/SpendUnusual` on simulated accounts, beside the best fixed threshold chosen with
//! hindsight and an exponential average: false alarms a week, and how long each takes to find a burst, as the table of
//! `docs/usual.md`. `-- seeds N` for more accounts of each kind, `-- cost` for bytes and time. Nothing is asserted.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "a measurement"
)]

mod accounts;
mod cost;
mod judges;

use accounts::{ACCOUNTS, BURST, Burst, FACTORS, FIRST_WEEK, START, WEEK, WEEKS};
use judges::{Policies, judge};

/// How long after a burst what it left in the window may still fire, in seconds.
const AFTER: i64 = 1_800;
/// Weeks in which alarms are counted.
const COUNTED: i64 = WEEKS - FIRST_WEEK;

/// How one way to judge did on accounts of one kind.
#[derive(Default)]
struct Score {
    false_alarms: usize,
    weeks: i64,
    /// Each burst, and after how many seconds it was found.
    found: Vec<(Burst, Option<i64>)>,
}

impl Score {
    fn add(&mut self, bursts: &[Burst], fired: &[i64]) {
        let is_due = |at: i64| {
            bursts.iter().any(|burst| (burst.from..burst.from + BURST + AFTER).contains(&at))
        };
        let counted = fired.iter().filter(|at| **at >= START + FIRST_WEEK * WEEK);
        self.false_alarms += counted.filter(|at| !is_due(**at)).count();
        self.weeks += COUNTED;
        let found = |burst: &Burst| {
            let mut within =
                fired.iter().filter(|at| (burst.from..burst.from + BURST).contains(*at));
            within.next().map(|at| at - burst.from)
        };
        self.found.extend(bursts.iter().map(|burst| (*burst, found(burst))));
    }

    /// False alarms a week.
    fn rate(&self) -> f64 {
        self.false_alarms as f64 / self.weeks as f64
    }

    /// The median in minutes, and how many were missed.
    fn delay(&self, by_day: bool, factor: i64) -> String {
        let all = self.found.iter();
        let of = all.filter(|(burst, _)| burst.by_day == by_day && burst.factor == factor);
        let mut delays: Vec<i64> = of.map(|(_, delay)| delay.unwrap_or(i64::MAX)).collect();
        delays.sort_unstable();
        let missed = delays.iter().filter(|delay| **delay == i64::MAX).count();
        let middle = delays[delays.len() / 2];
        let middle = if middle == i64::MAX {
            "–".to_owned()
        } else {
            format!("{:.1}", middle as f64 / 60.0)
        };
        match missed {
            0 => middle,
            missed => format!("{middle} ({missed} of {} missed)", delays.len()),
        }
    }

    fn row(&self, account: &str, by: &str) -> String {
        let cells: Vec<String> = [true, false]
            .iter()
            .flat_map(|by_day| FACTORS.iter().map(|factor| self.delay(*by_day, *factor)))
            .collect();
        format!("| {account} | {by} | {:.2} | {} |", self.rate(), cells.join(" | "))
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if args.iter().any(|arg| arg == "cost") {
        cost::print();
        return;
    }
    let seeds = args.iter().skip_while(|arg| *arg != "seeds").nth(1);
    let seeds: u64 = seeds.map_or(1, |seeds| seeds.parse().expect("a number"));
    println!(
        "| account | by | false alarms a week | day 3 × | 5 × | 20 × | night 3 × | 5 × | 20 × |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for account in ACCOUNTS {
        let policies = Policies::new(account.zone);
        let mut scores = [Score::default(), Score::default(), Score::default()];
        for seed in 0..seeds {
            let traffic = account.traffic(seed + 1);
            let fired = judge(&policies, &account, &traffic);
            let fixed = judges::best_fixed(&fired.points, |fired| {
                let mut score = Score::default();
                score.add(&traffic.bursts, fired);
                score.rate()
            });
            let average = judges::average(&fired.points, &traffic);
            for (score, fired) in scores.iter_mut().zip([&fired.usual, &fixed, &average]) {
                score.add(&traffic.bursts, fired);
            }
        }
        for (score, by) in scores.iter().zip(["usual", "fixed", "average"]) {
            println!("{}", score.row(if by == "usual" { account.name } else { "" }, by));
        }
    }
}
