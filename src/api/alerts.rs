//! Alerts with what keeps them quiet and who was notified of them, as the API answers and the command line prints them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::alerts::{Alert, Fingerprint, Member, Silence, Suppression};
use crate::rules::Labels;
use crate::store::{AlertFilter, GroupRecord, JournalEntry, Space, Store, StoreError};

/// Alerts of a list at most, where it is asked for by the API.
pub const ALERTS_MAX: usize = 10_000;
/// Lines of a history at most, where it is asked for by the API.
pub const LINES_MAX: usize = 1_000;
/// Alerts and groups that are looked at, at most.
const LOOK_MAX: usize = 10_000;
/// Characters of a fingerprint or an id from which its beginning stands for the whole.
pub const BEGINNING: usize = 8;

/// Alerts, those that fire first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AlertList {
    /// How many fire in all.
    pub firing: u64,
    /// The alerts.
    pub items: Vec<SeenAlert>,
}

/// An alert with what keeps it quiet.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct SeenAlert {
    /// The alert.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub alert: Alert,
    /// Ids of the silences that hold now.
    pub silenced_by: Vec<String>,
    /// Why it was last kept quiet otherwise, when that goes for all of its groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub suppressed: Option<Suppression>,
}

/// All that is known of one alert.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct AlertStory {
    /// The alert.
    #[serde(flatten)]
    pub seen: SeenAlert,
    /// The silences that hold for it now.
    #[schema(value_type = Vec<Object>)]
    pub silences: Vec<Silence>,
    /// The groups that hold it.
    pub groups: Vec<InGroup>,
    /// Its history, the latest line first.
    pub journal: Vec<JournalEntry>,
}

/// An alert within one of its groups.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct InGroup {
    /// The group's key.
    pub key: String,
    /// Identity of its route.
    pub route: String,
    /// Labels that make the group.
    #[schema(value_type = BTreeMap<String, String>)]
    pub labels: Labels,
    /// What keeps the alert quiet there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub suppressed: Option<Suppression>,
    /// Who was notified of it.
    pub notified: Vec<Notified>,
}

/// What one target was notified of an alert.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Notified {
    /// The integration.
    pub integration: String,
    /// The target within it.
    pub target: String,
    /// When it was last notified of the group.
    pub at: Timestamp,
    /// Whether it knows the alert as firing; else it was notified of its end.
    pub firing: bool,
}

/// Why there is no story.
#[derive(Debug, thiserror::Error)]
pub enum StoryError {
    /// No alert has the fingerprint.
    #[error("no alert has the fingerprint {0}")]
    Unknown(String),
    /// It is the beginning of several.
    #[error("several alerts' fingerprints begin with {0}")]
    Several(String),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Alerts as they are now: those that fire, or `all` that are stored; `limit` at most.
pub async fn list(
    store: &Store,
    now: Timestamp,
    all: bool,
    limit: usize,
) -> Result<AlertList, StoreError> {
    let alerts = store.alerts(AlertFilter { firing_only: !all, fingerprint: None, limit }).await?;
    let silences = store.silences().await?.silences;
    let members = members(store).await?;
    let suppressed = |alert: &Alert| members.get(&alert.fingerprint).map_or(&[][..], Vec::as_slice);
    let seen = |alert: Alert| {
        let suppressed = suppressed(&alert);
        SeenAlert::of(alert, &silences, suppressed, now)
    };
    let firing = store.stats().await?.firing();
    Ok(AlertList { firing, items: alerts.into_iter().map(seen).collect() })
}

/// All that is known of an alert, by its fingerprint or its first eight characters or more, with so many lines of its history.
pub async fn story(
    store: &Store,
    now: Timestamp,
    fingerprint: &str,
    lines: usize,
) -> Result<AlertStory, StoryError> {
    let alert = find(store, fingerprint).await?;
    let mut silences = store.silences().await?.silences;
    let records = store.groups_of(&alert.fingerprint).await?;
    let members = records.iter().filter_map(|record| record.group.members.get(&alert.fingerprint));
    let members: Vec<Option<Suppression>> =
        members.map(|member| member.suppressed.clone()).collect();
    let journal = store.journal(alert.fingerprint.to_string(), lines).await?;
    let groups = records.iter().map(|record| InGroup::of(record, &alert.fingerprint)).collect();
    let seen = SeenAlert::of(alert, &silences, &members, now);
    silences.retain(|one| seen.silenced_by.contains(&one.id));
    Ok(AlertStory { seen, silences, groups, journal })
}

async fn find(store: &Store, fingerprint: &str) -> Result<Alert, StoryError> {
    let filter =
        AlertFilter { firing_only: false, fingerprint: Some(fingerprint.to_owned()), limit: 1 };
    if let Some(alert) = store.alerts(filter).await?.pop() {
        return Ok(alert);
    }
    if fingerprint.len() >= BEGINNING {
        let all = AlertFilter { firing_only: false, fingerprint: None, limit: LOOK_MAX };
        let mut found = store.alerts(all).await?;
        found.retain(|alert| alert.fingerprint.as_str().starts_with(fingerprint));
        match found.pop() {
            Some(alert) if found.is_empty() => return Ok(alert),
            Some(_) => return Err(StoryError::Several(fingerprint.to_owned())),
            None => {}
        }
    }
    Err(StoryError::Unknown(fingerprint.to_owned()))
}

/// What keeps each alert quiet in its groups.
async fn members(
    store: &Store,
) -> Result<BTreeMap<Fingerprint, Vec<Option<Suppression>>>, StoreError> {
    let mut members: BTreeMap<Fingerprint, Vec<Option<Suppression>>> = BTreeMap::new();
    for row in store.rows(Space::Member, LOOK_MAX).await? {
        let Some((_, fingerprint)) = row.key.rsplit_once('\n') else { continue };
        let value = row.value.unwrap_or_default();
        if let Ok(member) = serde_json::from_slice::<Member>(&value) {
            let of = members.entry(Fingerprint::from(fingerprint.to_owned())).or_default();
            of.push(member.suppressed);
        }
    }
    Ok(members)
}

impl InGroup {
    fn of(record: &GroupRecord, alert: &Fingerprint) -> Self {
        let GroupRecord { group, log } = record;
        let notified = log.iter().filter_map(|(id, entry)| {
            let firing = entry.firing.contains_key(alert);
            (firing || entry.resolved.contains_key(alert)).then_some(())?;
            let (integration, target) = (id.integration.clone(), id.target.clone());
            Some(Notified { integration, target, at: entry.notified_at?, firing })
        });
        Self {
            key: group.key.clone(),
            route: group.route.clone(),
            labels: group.labels.clone(),
            suppressed: group.members.get(alert).and_then(|member| member.suppressed.clone()),
            notified: notified.collect(),
        }
    }
}

impl SeenAlert {
    /// `members` has what keeps the alert quiet in each of its groups.
    pub fn of(
        alert: Alert,
        silences: &[Silence],
        members: &[Option<Suppression>],
        now: Timestamp,
    ) -> Self {
        let silenced_by = silences
            .iter()
            .filter(|silence| alert.is_firing() && silence.silences(&alert.labels, now))
            .map(|silence| silence.id.clone())
            .collect();
        let first = members.first().and_then(Option::as_ref);
        let everywhere = members.iter().all(Option::is_some);
        // Which silences hold is known better than from the last look.
        let suppressed = first.filter(|why| {
            everywhere && alert.is_firing() && !matches!(why, Suppression::Silenced(_))
        });
        Self { suppressed: suppressed.cloned(), alert, silenced_by }
    }

    /// Whether a silence holds for it.
    pub fn is_silenced(&self) -> bool {
        !self.silenced_by.is_empty()
    }
}
