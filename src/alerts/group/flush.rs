//! A flush: what each integration is owed now.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    Flushed, Group, NOTICE_CAUSES_MAX, Notice, Teller, Told, Withdrawn, interval, newest,
    repeat_at, tick, turn_at,
};
use crate::alerts::{Alert, Fingerprint, Reason, Suppression, Timing};
use crate::clock;

/// What may be told now; each part ordered by start, then fingerprint.
struct View<'a> {
    firing: Vec<&'a Alert>,
    ended: Vec<Alert>,
}

impl Group {
    /// Decides what to tell now and notes it as told.
    ///
    /// `firing` gives the alerts that fire; `suppressed` says why one is not to be told (inhibited, silenced), `muted`
    /// why the whole route is not. What ended while silenced or inhibited is dropped, as in Alertmanager; what ended
    /// while the route is muted waits.
    #[expect(
        clippy::too_many_arguments,
        reason = "all that a decision depends on; there is one caller"
    )]
    pub fn flush<'a>(
        &mut self,
        timing: &Timing,
        tellers: &[Teller<'_>],
        firing: &dyn Fn(&Fingerprint) -> Option<&'a Alert>,
        suppressed: &dyn Fn(&Alert) -> Option<Suppression>,
        muted: Option<&Suppression>,
        now: Timestamp,
    ) -> Flushed {
        self.begin(tellers, now);
        let mut flushed = Flushed::default();
        let quiet = |alert: &Alert| quiet(alert, suppressed(alert), muted);
        let view = self.sift(firing, &quiet, &mut flushed);
        let mut waits: Option<Timestamp> = None;
        for teller in tellers {
            self.settle(teller, &view.ended, &mut flushed.withdrawn);
            let Some((reason, ended)) = owed(self.told.get(teller.id), &view, timing, now) else {
                continue;
            };
            let turn = self.told.get(teller.id).map(|told| turn_at(told, timing));
            if let Some(turn) = turn.filter(|turn| *turn > now) {
                waits = Some(waits.map_or(turn, |other| other.min(turn)));
                continue;
            }
            flushed.notices.push(self.tell(teller, reason, &view.firing, &ended, now));
        }
        self.finish(tellers, &view, waits.is_some(), !flushed.notices.is_empty());
        if self.flushed_at.is_none() || !flushed.notices.is_empty() {
            self.flushed_at = Some(now);
        }
        self.next_flush = waits.into_iter().chain(self.next_check(timing, now)).min();
        flushed
    }

    /// Counts the flush and forgets integrations that are gone. A clock that was set back must not keep anybody quiet:
    /// what lies in the future is taken as just now.
    fn begin(&mut self, tellers: &[Teller<'_>], now: Timestamp) {
        self.flushes = self.flushes.saturating_add(1);
        self.flushed_at = self.flushed_at.map(|at| at.min(now));
        self.told.retain(|id, _| tellers.iter().any(|teller| teller.id == id));
        for told in self.told.values_mut() {
            told.at = told.at.min(now);
        }
    }

    /// Parts what may be told from what is quiet; drops what ended quietly, and what neither fires nor ended (its row
    /// is lost; nothing can be said of it).
    fn sift<'a>(
        &mut self,
        firing: &dyn Fn(&Fingerprint) -> Option<&'a Alert>,
        quiet: &dyn Fn(&Alert) -> Option<Suppression>,
        flushed: &mut Flushed,
    ) -> View<'a> {
        let mut view = View { firing: Vec::new(), ended: Vec::new() };
        let mut gone = Vec::new();
        for (fingerprint, member) in &mut self.members {
            let fires = firing(fingerprint).filter(|alert| alert.is_firing());
            let Some(alert) = member.ended.as_deref().or(fires) else {
                gone.push(fingerprint.clone());
                continue;
            };
            let why = quiet(alert);
            match &why {
                None => match (&member.ended, fires) {
                    (Some(ended), _) => view.ended.push((**ended).clone()),
                    (None, Some(alert)) => view.firing.push(alert),
                    (None, None) => {}
                },
                Some(why) => {
                    if member.suppressed.as_ref() != Some(why) {
                        flushed.suppressed.push((fingerprint.clone(), why.clone()));
                    }
                    if member.ended.is_some() && !why.is_by_time() {
                        gone.push(fingerprint.clone());
                    }
                }
            }
            member.suppressed = why;
        }
        for fingerprint in &gone {
            flushed.withdrawn.extend(self.knowers(fingerprint).into_iter().map(|integration| {
                Withdrawn { integration, fingerprint: fingerprint.clone(), ended: None }
            }));
            self.forget(fingerprint);
        }
        view.firing.sort_by_key(|alert| (alert.starts_at, &alert.fingerprint));
        view.ended
            .sort_by(|a, b| (a.starts_at, &a.fingerprint).cmp(&(b.starts_at, &b.fingerprint)));
        view
    }

    /// An integration that does not want ends forgets what it knew as firing; no notice.
    fn settle(&mut self, teller: &Teller<'_>, ended: &[Alert], withdrawn: &mut Vec<Withdrawn>) {
        let Some(told) = self.told.get_mut(teller.id).filter(|_| !teller.send_resolved) else {
            return;
        };
        for alert in ended {
            if told.firing.remove(&alert.fingerprint) {
                told.resolved.insert(alert.fingerprint.clone());
                withdrawn.push(Withdrawn {
                    integration: teller.id.to_owned(),
                    fingerprint: alert.fingerprint.clone(),
                    ended: Some(alert.clone()),
                });
            }
        }
    }

    /// Notes what an integration is told, and makes its notice. As in Alertmanager it then knows as firing just what
    /// this notice says: an alert that is silenced meanwhile is new to it afterwards.
    fn tell(
        &mut self,
        teller: &Teller<'_>,
        reason: Reason,
        firing: &[&Alert],
        ended: &[&Alert],
        now: Timestamp,
    ) -> Notice {
        let told = self.told.entry(teller.id.to_owned()).or_insert_with(|| Told {
            at: now,
            firing: [].into(),
            resolved: [].into(),
            every: None,
        });
        told.at = now;
        told.every = teller.every;
        told.firing = firing.iter().map(|alert| alert.fingerprint.clone()).collect();
        told.resolved.extend(ended.iter().map(|alert| alert.fingerprint.clone()));
        let alerts: Vec<Alert> = firing.iter().chain(ended).map(|alert| (*alert).clone()).collect();
        let mut causes: Vec<i64> = alerts
            .iter()
            .filter_map(|alert| self.members.get(&alert.fingerprint))
            .flat_map(|member| member.causes.iter().copied())
            .collect();
        newest(&mut causes, NOTICE_CAUSES_MAX);
        Notice { integration: teller.id.to_owned(), reason, alerts, causes }
    }

    /// Notes what was told on the alerts; those whose end nobody is still to hear of go.
    fn finish(&mut self, tellers: &[Teller<'_>], view: &View<'_>, some_wait: bool, any_told: bool) {
        for alert in &view.firing {
            if let Some(member) = self.members.get_mut(&alert.fingerprint).filter(|_| any_told) {
                member.told = true;
                // Who waits for its turn is to have the causes, too.
                if !some_wait {
                    member.causes.clear();
                }
            }
        }
        for alert in &view.ended {
            let fingerprint = &alert.fingerprint;
            let all_heard = tellers.iter().all(|teller| {
                self.told.get(teller.id).is_some_and(|told| told.resolved.contains(fingerprint))
            });
            if all_heard {
                self.forget(fingerprint);
            }
        }
    }

    /// While anything is kept quiet: the next step of the grid, as that ends with time; or a repeat due before it.
    fn next_check(&self, timing: &Timing, now: Timestamp) -> Option<Timestamp> {
        if self.members.values().all(|member| member.suppressed.is_none()) {
            return None;
        }
        let after = clock::add(now, Duration::from_nanos(1));
        let step = tick(self.flushed_at.unwrap_or(now), interval(timing), after);
        let repeats = self.told.values().map(|told| repeat_at(told, timing));
        repeats.filter(|at| *at > now).chain([step]).min()
    }
}

/// Why an alert is quiet, in the order of the journey: inhibited, by time, silenced. For one that ended a silence goes
/// first: it decides that nobody hears of it, where the time of day would keep it for later.
fn quiet(
    alert: &Alert,
    own: Option<Suppression>,
    muted: Option<&Suppression>,
) -> Option<Suppression> {
    match own {
        Some(Suppression::Silenced(_)) if alert.is_firing() => muted.cloned().or(own),
        own => own.or_else(|| muted.cloned()),
    }
}

/// What is to be told to an integration, and which ends; the ends it does not want are settled before.
fn owed<'v>(
    told: Option<&Told>,
    view: &'v View<'_>,
    timing: &Timing,
    now: Timestamp,
) -> Option<(Reason, Vec<&'v Alert>)> {
    let knows = |alert: &Alert| told.is_some_and(|told| told.firing.contains(&alert.fingerprint));
    let heard = |alert: &Alert| told.is_some_and(|told| told.resolved.contains(&alert.fingerprint));
    let ended: Vec<&Alert> = view.ended.iter().filter(|alert| !heard(alert)).collect();
    let has_new = view.firing.iter().chain(&ended).any(|alert| !knows(alert));
    let fires = !view.firing.is_empty();
    let reason = match told {
        None if has_new => Reason::First,
        Some(_) if has_new => Reason::NewAlerts,
        Some(_) if !ended.is_empty() && fires => Reason::SomeResolved,
        Some(_) if !ended.is_empty() => Reason::AllResolved,
        Some(told) if fires && repeat_at(told, timing) <= now => Reason::Repeat,
        None | Some(_) => return None,
    };
    Some((reason, ended))
}
