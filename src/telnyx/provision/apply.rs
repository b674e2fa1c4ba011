//! A plan, done step by step.

use serde::Serialize;
use serde_json::{Value, json};

use super::plan::{Action, Item, Object, Plan, profile_name};
use super::state::{WEBHOOK, text};
use super::webhook_settings::is_enabled;
use crate::telnyx::{ApiError, Client, Endpoint};

/// What came of one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// It is done; with the id of what was made, where Telnyx says.
    Done(Option<String>),
    /// Telnyx said no to this one.
    Refused(ApiError),
    /// There was no good answer: it may be done, or not.
    InDoubt(ApiError),
    /// It failed, and was not done.
    Failed(ApiError),
}

impl Happened {
    /// Why it is not sure to be done.
    pub fn error(&self) -> Option<&ApiError> {
        match self {
            Self::Done(_) => None,
            Self::Refused(error) | Self::InDoubt(error) | Self::Failed(error) => Some(error),
        }
    }

    /// One word: `done`, `refused`, `in_doubt` or `failed`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Refused(_) => "refused",
            Self::InDoubt(_) => "in_doubt",
            Self::Failed(_) => "failed",
        }
    }
}

/// What came of a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// Steps that are done.
    pub done: usize,
    /// Steps that Telnyx refused.
    pub refused: usize,
    /// Steps that may be done, or not.
    pub in_doubt: usize,
    /// Steps that failed and stopped the rest.
    pub failed: usize,
    /// Steps that were not tried.
    pub left: usize,
}

/// Does what a plan says, in its order; `told` hears of each step as it happens.
///
/// Settings and costs of calls stand alone: one that is refused, or of which the answer cannot be read, does not stop the others; anything else does.
pub async fn apply(
    client: &Client,
    plan: &Plan,
    told: &mut dyn FnMut(&Item, &Happened),
) -> Applied {
    let mut applied = Applied::default();
    let (mut profile, mut channel) = (plan.profile.clone(), plan.channel.clone());
    let steps: Vec<&Item> = plan.steps().collect();
    for (n, &item) in steps.iter().enumerate() {
        let alone = matches!(item.object, Object::Setting { .. } | Object::CallCost { .. });
        // What holds a setting that is still there cannot go. One in doubt is most likely gone.
        if item.action == Action::Delete && !alone && applied.refused > 0 {
            applied.left = steps.len() - n;
            break;
        }
        let happened = step(client, plan, item, profile.as_deref(), channel.as_deref()).await;
        let (happened, goes_on) = match happened {
            Ok(happened) => (happened, true),
            Err(error) if alone && is_no(&error) => (Happened::Refused(error), true),
            Err(error) if may_be_done(&error) => {
                let answered = matches!(error, ApiError::Unreadable { .. });
                (Happened::InDoubt(error), alone && answered)
            }
            Err(error) => (Happened::Failed(error), false),
        };
        match &happened {
            Happened::Done(id) => {
                match item.object {
                    Object::Profile => profile.clone_from(id),
                    Object::Channel => channel.clone_from(id),
                    Object::Setting { .. } | Object::CallCost { .. } => {}
                }
                applied.done += 1;
            }
            Happened::Refused(_) => applied.refused += 1,
            Happened::InDoubt(_) => applied.in_doubt += 1,
            Happened::Failed(_) => applied.failed += 1,
        }
        told(item, &happened);
        if !goes_on {
            applied.left = steps.len() - n - 1;
            break;
        }
    }
    applied
}

/// Whether an error is about the one thing that was asked for.
fn is_no(error: &ApiError) -> bool {
    matches!(error.status(), Some(400 | 403 | 404 | 409 | 422))
}

/// Whether what was asked for may have been done although there was no good answer.
fn may_be_done(error: &ApiError) -> bool {
    match error {
        ApiError::Refused { status, .. } => *status >= 500,
        ApiError::Key { .. } | ApiError::Unsendable { .. } => false,
        ApiError::Timeout { .. } | ApiError::Connect { .. } | ApiError::Unreadable { .. } => true,
    }
}

async fn step(
    client: &Client,
    plan: &Plan,
    item: &Item,
    profile: Option<&str>,
    channel: Option<&str>,
) -> Result<Happened, ApiError> {
    let id = item.id.as_deref();
    let id = match (item.action, &item.object) {
        (Action::Create, Object::Profile) => {
            let body = json!({"name": profile_name(&plan.url)});
            create(client, &Endpoint::NOTIFICATION_PROFILE_CREATE, &body).await?
        }
        (Action::Create, Object::Channel) => {
            let body = json!({
                "notification_profile_id": profile,
                "channel_type_id": WEBHOOK,
                "channel_destination": plan.url,
            });
            create(client, &Endpoint::NOTIFICATION_CHANNEL_CREATE, &body).await?
        }
        (Action::Create, Object::Setting { condition_id }) => {
            let body = json!({
                "notification_event_condition_id": condition_id,
                "notification_profile_id": profile,
                "notification_channel_id": channel,
            });
            let endpoint = Endpoint::NOTIFICATION_SETTING_CREATE;
            let answer = client.call(&endpoint, None, &[], Some(&body)).await?;
            made(&answer)
        }
        (Action::Delete, Object::Setting { .. }) => {
            delete(client, &Endpoint::NOTIFICATION_SETTING_DELETE, id).await?
        }
        (Action::Delete, Object::Channel) => {
            delete(client, &Endpoint::NOTIFICATION_CHANNEL_DELETE, id).await?
        }
        (Action::Delete, Object::Profile) => {
            delete(client, &Endpoint::NOTIFICATION_PROFILE_DELETE, id).await?
        }
        (Action::Enable, Object::CallCost { kind, body }) => {
            let Some(endpoint) = kind.update() else { return Ok(Happened::Done(None)) };
            let answer = client.call(&endpoint, id, &[], Some(body)).await?;
            if !is_enabled(&answer) {
                let detail = "the costs of calls are still off".to_owned();
                let error = ApiError::Unreadable { endpoint: endpoint.name, detail };
                return Ok(Happened::Refused(error));
            }
            item.id.clone()
        }
        _ => item.id.clone(),
    };
    Ok(Happened::Done(id))
}

/// Makes what others refer to by its id.
async fn create(
    client: &Client,
    endpoint: &Endpoint,
    body: &Value,
) -> Result<Option<String>, ApiError> {
    let answer = client.call(endpoint, None, &[], Some(body)).await?;
    let missing = || ApiError::Unreadable {
        endpoint: endpoint.name,
        detail: "the answer does not name the id of what was made".to_owned(),
    };
    made(&answer).map(Some).ok_or_else(missing)
}

fn made(answer: &Value) -> Option<String> {
    Some(text(answer.get("data")?, "id")).filter(|id| !id.is_empty())
}

/// Deletes; what is gone already is as good.
async fn delete(
    client: &Client,
    endpoint: &Endpoint,
    id: Option<&str>,
) -> Result<Option<String>, ApiError> {
    match client.call(endpoint, id, &[], None).await {
        Ok(_) => Ok(id.map(str::to_owned)),
        Err(error) if error.status() == Some(404) => Ok(id.map(str::to_owned)),
        Err(error) => Err(error),
    }
}
