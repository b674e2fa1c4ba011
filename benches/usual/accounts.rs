//! Simulated accounts: what they are charged in 26 weeks, with bursts that nobody wanted.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Weeks of traffic.
pub(crate) const WEEKS: i64 = 26;
/// Bursts begin in this week; false alarms are counted from then on.
pub(crate) const FIRST_WEEK: i64 = 8;
/// How long a burst lasts, in seconds.
pub(crate) const BURST: i64 = 3_600;
/// How many times the usual.
pub(crate) const FACTORS: [i64; 3] = [3, 5, 20];
/// 2026-01-05T00:00:00Z, a Monday.
pub(crate) const START: i64 = 1_767_571_200;
pub(crate) const WEEK: i64 = 604_800;
const HOUR: i64 = 3_600;

/// A kind of account.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    pub(crate) name: &'static str,
    /// Time zone of the rule.
    pub(crate) zone: &'static str,
    /// Charges an hour, by local hour of the week (Monday 0) and zone.
    rate: fn(i64) -> f64,
    /// A second office, somewhere else.
    also: Option<&'static str>,
    /// Factor from week to week.
    growth: f64,
    /// 30 % more on a weekday of every second week.
    campaigns: bool,
    /// A week in which tollbell was down.
    pub(crate) outage: Option<i64>,
}

/// A burst.
#[derive(Clone, Copy)]
pub(crate) struct Burst {
    pub(crate) from: i64,
    pub(crate) factor: i64,
    pub(crate) by_day: bool,
}

/// What happens to an account.
pub(crate) struct Traffic {
    /// Second, and ten-thousandths of a dollar; in order.
    pub(crate) charges: Vec<(i64, i64)>,
    pub(crate) bursts: Vec<Burst>,
}

fn office(hour: i64) -> f64 {
    let (day, hour) = (hour / 24, hour % 24);
    match (day, hour) {
        (0..5, 9..17) => 120.0,
        (0..5, 8 | 17) => 45.0,
        (0..5, 7 | 18..20) => 10.0,
        _ => 2.0,
    }
}

fn weekends(hour: i64) -> f64 {
    let (day, hour) = (hour / 24, hour % 24);
    match (day, hour) {
        (5..7, 10..22) => 150.0,
        (_, 9..21) => 40.0,
        (_, 7..24) => 12.0,
        _ => 3.0,
    }
}

fn low(hour: i64) -> f64 {
    office(hour) / 3.0
}

const PLAIN: Account = Account {
    name: "office hours",
    zone: "Europe/Berlin",
    rate: office,
    also: None,
    growth: 1.0,
    campaigns: false,
    outage: None,
};

pub(crate) const ACCOUNTS: [Account; 7] = [
    PLAIN,
    Account { name: "weekends", zone: "America/Chicago", rate: weekends, ..PLAIN },
    Account { name: "growth, 1.5 % a week", growth: 1.015, ..PLAIN },
    Account { name: "campaign days", campaigns: true, ..PLAIN },
    Account { name: "low volume", rate: low, ..PLAIN },
    Account { name: "two time zones", also: Some("America/New_York"), ..PLAIN },
    Account { name: "a week of outage", outage: Some(14), ..PLAIN },
];

/// `SplitMix64`: the same numbers on every machine.
pub(crate) struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// At least 0, below 1.
    fn part(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, end: i64) -> i64 {
        (self.part() * end as f64) as i64
    }

    /// How many of something that happens so often on average.
    fn poisson(&mut self, mean: f64) -> u32 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.part(), 0);
        while product > limit {
            product *= self.part();
            count += 1;
        }
        count
    }

    /// A charge: most are small, with a mean of 0.12.
    fn price(&mut self) -> i64 {
        let exponential = -(1.0 - self.part()).ln() * 0.115;
        ((0.005 + exponential) * 10_000.0) as i64
    }
}

impl Account {
    /// The hour of the week that clocks show, from Monday.
    fn hour_of_week(zone: &TimeZone, at: i64) -> i64 {
        let at = Timestamp::from_second(at).expect("in range");
        let shown = zone.to_datetime(at);
        i64::from(shown.weekday().to_monday_zero_offset()) * 24 + i64::from(shown.hour())
    }

    /// Charges an hour at a time, without campaigns.
    fn rate(&self, zones: &[TimeZone], at: i64) -> f64 {
        let rate: f64 = zones.iter().map(|zone| (self.rate)(Self::hour_of_week(zone, at))).sum();
        rate * self.growth.powf(((at - START) / WEEK) as f64)
    }

    fn zones(&self) -> Vec<TimeZone> {
        let names = [Some(self.zone), self.also];
        names.into_iter().flatten().map(|zone| TimeZone::get(zone).expect("a zone")).collect()
    }

    /// Two bursts in each week from [`FIRST_WEEK`] on, one by day and one at night, which are apart from each other.
    fn bursts(&self, zones: &[TimeZone], random: &mut Random) -> Vec<Burst> {
        let mut bursts = Vec::new();
        for week in FIRST_WEEK..WEEKS {
            if self.outage == Some(week) {
                continue;
            }
            let factor = FACTORS[(week % 3) as usize];
            let monday = START + week * WEEK;
            let busiest =
                (0..168).map(|hour| self.rate(zones, monday + hour * HOUR)).fold(0.0, f64::max);
            let day = loop {
                let from = monday + random.below(WEEK - 12 * HOUR);
                if self.rate(zones, from) >= 0.8 * busiest
                    && self.rate(zones, from + BURST) >= 0.8 * busiest
                {
                    break Burst { from, factor, by_day: true };
                }
            };
            let night = loop {
                let from = monday + random.below(WEEK - 12 * HOUR);
                let hour = Self::hour_of_week(&zones[0], from) % 24;
                if (1..4).contains(&hour) && (from - day.from).abs() > 6 * HOUR {
                    break Burst { from, factor, by_day: false };
                }
            };
            bursts.extend([day, night]);
        }
        bursts.sort_by_key(|burst| burst.from);
        bursts
    }

    /// The charges of 26 weeks. A burst by day makes so many times the traffic of its time; at night, when that is next
    /// to nothing, so many times what the account has in an hour on average.
    pub(crate) fn traffic(&self, seed: u64) -> Traffic {
        let mut random = Random(seed);
        let zones = self.zones();
        let bursts = self.bursts(&zones, &mut random);
        let campaign_days: Vec<i64> = (0..WEEKS).map(|_| random.below(5)).collect();
        let mut charges = Vec::new();
        for minute in 0..WEEKS * WEEK / 60 {
            let at = START + minute * 60;
            let week = (at - START) / WEEK;
            let usual = self.rate(&zones, at);
            let hour = Self::hour_of_week(&zones[0], at);
            let is_campaign =
                self.campaigns && week % 2 == 1 && hour / 24 == campaign_days[week as usize];
            let mut rate = if is_campaign { 1.3 * usual } else { usual };
            if let Some(burst) =
                bursts.iter().find(|burst| (burst.from..burst.from + BURST).contains(&at))
            {
                let mean = || {
                    (0..168)
                        .map(|hour| self.rate(&zones, START + week * WEEK + hour * HOUR))
                        .sum::<f64>()
                        / 168.0
                };
                let more = if burst.by_day {
                    (burst.factor - 1) as f64 * usual
                } else {
                    burst.factor as f64 * mean()
                };
                rate += more;
            }
            let mut seconds: Vec<i64> =
                (0..random.poisson(rate / 60.0)).map(|_| random.below(60)).collect();
            seconds.sort_unstable();
            let is_down = self.outage == Some(week);
            charges.extend(
                seconds
                    .into_iter()
                    .map(|second| (at + second, random.price()))
                    .filter(|_| !is_down),
            );
        }
        Traffic { charges, bursts }
    }
}
